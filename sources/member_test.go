package sources

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Two processes with one instance name: the newer has the slot, the older says so and does not fight; once the newer is gone the older
// goes on. Whoever reads, the alerts are those of one.
func TestTwoProcessesOfOneInstance(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*KafkaOptions, *handler){
		"exactly once":   func(*KafkaOptions, *handler) {},
		"at least once":  atLeastOnce,
		"consumer group": consumerGroup,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			var joins atomic.Int64
			for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.InitProducerID} {
				w.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
					w.cluster.KeepControl()
					joins.Add(1)
					return nil, nil, false
				})
			}
			older := w.start("one", change)
			stop := w.feed()
			older.later()
			newer := w.start("one", change)
			newer.later()
			w.eventually("the older says so", func() error { return contains(older.Ready(), "the instance's name one is taken") })
			if err := older.Healthy(); err != nil {
				t.Errorf("waiting is healthy: %v", err)
			}
			rebuilds := testutil.ToFloat64(newer.o.Metrics.rebuilds.WithLabelValues("s"))
			before := joins.Load()
			time.Sleep(3 * time.Second)
			if n := joins.Load() - before; n > 0 {
				t.Errorf("they join %d times in three seconds: they fight", n)
			}
			if n := testutil.ToFloat64(newer.o.Metrics.rebuilds.WithLabelValues("s")) - rebuilds; n > 0 {
				t.Errorf("the newer has made its client anew %v times", n)
			}
			if n := testutil.ToFloat64(older.o.Metrics.fenced.WithLabelValues("s")); n != 1 {
				t.Errorf("counted %v times, want once", n)
			}
			newer.quit(t)
			older.later()
			stop()
			w.caughtUp()
			if name == "at least once" {
				w.compareAtLeast()
			} else {
				w.compare()
			}
			w.eventually("the older is ready", older.Ready)
		})
	}
}

// A transactional id that is lost to the broker's own doing, for a transaction timed out, is taken back at once.
func TestFencedByTheBroker(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	p := w.start("one")
	stop := w.feed()
	p.later()
	w.refuse(kmsg.EndTxn, 1, func(req kmsg.Request) kmsg.Response { return refusedCommit(req, kerr.ProducerFenced) })
	p.outcomes("failed")
	begin := time.Now()
	p.later()
	if took := time.Since(begin); took > showTime+3*time.Second {
		t.Errorf("it took %v to go on", took)
	}
	stop()
	w.caughtUp()
	w.compare()
	if n := testutil.ToFloat64(p.o.Metrics.fenced.WithLabelValues("s")); n != 0 {
		t.Errorf("%v processes are said to have its name, want none", n)
	}
}

// What is a sign that somebody has the slot.
func TestFenced(t *testing.T) {
	for _, err := range []error{kerr.FencedInstanceID, fmt.Errorf("end: %w", kerr.ProducerFenced), errors.Join(errors.New("x"), kerr.InvalidProducerEpoch)} {
		if !fenced(err) {
			t.Errorf("fenced(%v) = false", err)
		}
	}
	for _, err := range []error{nil, kerr.RebalanceInProgress, errors.New("x")} {
		if fenced(err) {
			t.Errorf("fenced(%v) = true", err)
		}
	}
}
