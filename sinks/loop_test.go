package sinks

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// hanging never answers.
type hanging struct{ StdoutConfig }

func (c *hanging) New(Env) (Sink, error) { return hangingSink{}, nil }

type hangingSink struct{}

func (hangingSink) Send(ctx context.Context, _ []*Delivery) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// A loop is stuck where nothing ends, and not where a sink is away: whoever restarts the process for that would help nobody.
func TestLoops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdout.fail.Store(true)
	away, _ := w.run("stdout")
	hangs, _ := w.runSinks([]SinkConfig{{Name: "hangs", Kind: "test", Params: &hanging{StdoutConfig{formatJSON}}}})
	w.produce(3000) // more than the queues hold, so that nothing more is read
	w.eventually(func() bool {
		l := hangs.Loops()
		return len(l) == 1 && l[0].Sink == "hangs" && l[0].Topic == topic && l[0].Stuck && l[0].Progressed > quick.idle
	})
	w.eventually(func() bool {
		l := away.Loops()
		return len(l) == 1 && !l[0].Stuck && l[0].Progressed < quick.idle && testutil.ToFloat64(w.metrics.failures.WithLabelValues("stdout")) > failuresToOpen
	})
	w.stdout.fail.Store(false)
	w.eventually(func() bool { return len(w.stdout.ids(t)) == 3000 })
	w.eventually(func() bool { return !away.Loops()[0].Stuck && away.Loops()[0].Progressed < time.Second })
}

// A sink that is away opens its breaker, also where no alert waits for it, and closes it once it is back.
func TestIdleSinkThatIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, _ := w.run("redis")
	w.produce(30)
	w.wantOnce()
	breaker := func(state float64) func() bool {
		return func() bool { return testutil.ToFloat64(w.metrics.breaker.WithLabelValues("redis")) == state }
	}
	before := testutil.ToFloat64(w.metrics.failures.WithLabelValues("redis"))
	w.redis.Close()
	w.eventually(breaker(2))
	if n := testutil.ToFloat64(w.metrics.failures.WithLabelValues("redis")) - before; n < failuresToOpen {
		t.Errorf("the breaker is open after %v failures, want %d or more", n, failuresToOpen)
	}
	if trouble(r) == "" {
		t.Error("the router is ready, want what is wrong with redis")
	}
	if err := w.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	w.eventually(breaker(0))
	w.eventually(func() bool { return trouble(r) == "" })
}
