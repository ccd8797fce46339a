package sources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// answering is a handler that answers probes, as a worker does, unless it is mute.
type answering struct {
	*handler
	mute atomic.Bool
}

func (a *answering) Process(ctx context.Context, p pipeline.Partition, records []pipeline.Record) ([]pipeline.Message, error) {
	_, committed := a.get(p)
	var told []pipeline.Message
	for _, r := range records {
		if string(r.Key) == pipeline.ProbeKey && r.Offset >= max(committed, a.Position(p)) && !a.mute.Load() {
			told = append(told, pipeline.Message{Topic: alerts, Key: []byte(pipeline.ProbeKey + "/" + p.String()), Offset: r.Offset,
				Headers: []pipeline.Header{{Key: pipeline.ProbeHeader, Value: []byte(string(r.Headers[0].Value))}}})
		}
	}
	more, err := a.handler.Process(ctx, p, records)
	return append(more, told...), err
}

// probes starts a process that probes and answers.
func (w *world) probes(instance string, c ProbeConfig) (*process, *answering) {
	w.Helper()
	var a *answering
	return w.start(instance, func(o *KafkaOptions, h *handler) {
		a = &answering{handler: h}
		h.instead = a
		o.Config.Probe = &ProbeConfig{} // the defaults are slow
		h.tune = append(h.tune, func(k *Kafka) { k.o.Config.Probe = &c })
	}), a
}

// fast is as often as tests want it. Nothing is lost on a busy machine that only waits.
var fast = ProbeConfig{Every: 30 * time.Millisecond, Timeout: 2 * time.Minute}

// probed is how many probes of a process have come to an outcome.
func (p *process) probed(outcome string) float64 {
	return testutil.ToFloat64(p.o.Metrics.probes.WithLabelValues("s", input, outcome))
}

func (p *process) returns(t testing.TB, more float64) {
	t.Helper()
	from := p.probed(probeReturned)
	eventually(t, "probes return", func() error {
		if n := p.probed(probeReturned); n < from+more {
			return fmt.Errorf("%v did, and %v before", n, from)
		}
		return nil
	})
}

// seen are the probes in a topic, of each partition, by who sent them.
func (w *world) seen(topic, who string) map[int32]int {
	w.Helper()
	records, err := kafka.ReadAll(w.Context(), w.opts, topic)
	if err != nil {
		w.Fatal(err)
	}
	seen := map[int32]int{}
	for _, r := range records {
		if strings.HasPrefix(string(r.Key), pipeline.ProbeKey) && strings.HasPrefix(r.Headers[pipeline.ProbeHeader], "s/"+who+"/") {
			seen[r.Partition]++
		}
	}
	return seen
}

// Two processes probe every partition, also those that the other has, while records come; each answer is one process's.
func TestProbesReturn(t *testing.T) {
	w := newWorld(t, input)
	a, _ := w.probes("a", fast)
	stop := w.feed()
	b, _ := w.probes("b", fast)
	a.returns(t, 40)
	b.returns(t, 40)
	stop()
	a.quit(t)
	b.quit(t)
	for who, p := range map[string]*process{"a": a, "b": b} {
		returned, _ := p.metric(t, "gonomaly_probes_total", probeReturned)
		for _, outcome := range []string{probeLost, probeFailed} {
			if n := p.probed(outcome); n != 0 {
				t.Errorf("%v probes of %s were %s, want none", n, who, outcome)
			}
		}
		if n, _ := p.metric(t, "gonomaly_probe_round_trip_seconds"); n != returned {
			t.Errorf("%v round trips of %s are measured, %v probes returned", n, who, returned)
		}
		sent, sum := w.seen(input, who), 0
		for _, n := range sent {
			sum += n
		}
		if len(sent) != partitions || returned > float64(sum) {
			t.Errorf("%s has sent %v to the partitions, and %v returned", who, sent, returned)
		}
		if _, n := p.metric(t, "gonomaly_probe_last_return_timestamp_seconds"); n != 0 {
			t.Error("the time of the last return grows old after the end")
		}
	}
}

// In turn each partition gets its probe, as many at a time as are asked for.
func TestProbesInTurn(t *testing.T) {
	w := newWorld(t, input)
	c := fast
	c.Partitions = 3
	p, _ := w.probes("a", c)
	p.returns(t, 36)
	p.quit(t)
	records, err := kafka.ReadAll(t.Context(), w.opts, input)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		n, err := strconv.Atoi(path.Base(r.Headers[pipeline.ProbeHeader]))
		if want := int32((n - 1) % partitions); err != nil || r.Partition != want { //nolint:gosec // few
			t.Errorf("probe %d, %v, went to partition %d, want %d", n, err, r.Partition, want)
		}
	}
	if len(records) < 36 {
		t.Errorf("%d probes are there, want the 36 that have returned", len(records))
	}
}

// Probes that no answer comes of are lost, and counted; then it goes on. A partition added later is probed too.
func TestProbesAreLost(t *testing.T) {
	w := newWorld(t, input)
	c := fast
	c.Timeout = time.Second
	p, answers := w.probes("a", c)
	eventually(t, "the first return", func() error {
		if p.probed(probeReturned) == 0 {
			return errors.New("none has")
		}
		return nil
	})
	answers.mute.Store(true)
	lost := p.probed(probeLost)
	eventually(t, "probes are lost", func() error {
		if n := p.probed(probeLost); n < lost+20 {
			return fmt.Errorf("%v were, and %v before", n, lost)
		}
		last := testutil.ToFloat64(p.o.Metrics.returned.WithLabelValues("s", input))
		if age := time.Since(time.UnixMilli(int64(1e3 * last))); age < c.Timeout/2 { // those before may have been lost, too, on a busy machine
			return fmt.Errorf("the last one has returned %v ago, although they are lost", age)
		}
		return nil
	})
	answers.mute.Store(false)
	p.returns(t, 20)
	for _, topic := range []string{input, alerts} {
		if _, err := w.admin.CreatePartitions(t.Context(), 2, topic); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "an added partition is probed", func() error {
		if n := w.seen(input, "a")[partitions+1]; n == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	p.returns(t, 20)
	if err := errors.Join(p.healthy(), p.Ready()); err != nil {
		t.Errorf("lost probes are no trouble of the source: %v", err)
	}
}

// A prober that may not write, or whose alerts topic is made anew, counts what fails, and the source goes on.
func TestProbesFail(t *testing.T) {
	w := newWorld(t, input)
	p, _ := w.probes("a", fast)
	p.returns(t, 1)
	var denied atomic.Bool
	denied.Store(true)
	w.cluster.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		r := req.(*kmsg.ProduceRequest)
		if !denied.Load() || r.TransactionID != nil {
			return nil, nil, false
		}
		return refusedRecords(req, kerr.TopicAuthorizationFailed), nil, true
	})
	fails := func(what string) {
		t.Helper()
		from := p.probed(probeFailed)
		eventually(t, what, func() error {
			if n := p.probed(probeFailed); n < from+5 {
				return fmt.Errorf("%v have failed, and %v before", n, from)
			}
			return nil
		})
	}
	fails("probes that may not be written fail")
	if n, _ := p.metric(t, "gonomaly_kafka_authorization_failures_total"); n == 0 {
		t.Error("nobody is told that a right is missing")
	}
	denied.Store(false)
	p.returns(t, 20)
	if _, err := w.admin.DeleteTopics(t.Context(), alerts); err != nil {
		t.Fatal(err)
	}
	eventually(t, "probes whose answers cannot be read fail", func() error {
		if p.probed(probeFailed) == 0 {
			return errors.New("none has failed")
		}
		return nil
	})
	w.produce(100) // of which alerts come, and so the topic
	p.returns(t, 20)
	w.caughtUp()
}

// What comes back after its time is lost, once, and not a round trip.
func TestFlights(t *testing.T) {
	m := NewKafkaMetrics(prometheus.NewRegistry())
	fs := newFlights("s", time.Minute, m, logTo(""))
	begin := time.Now()
	for _, header := range []string{"in time", "too late", "never"} {
		fs.begin(header, place{input, 0})
	}
	fs.answered("in time", begin.Add(time.Second))
	fs.answered("in time", begin.Add(2*time.Second)) // at least once
	fs.answered("somebody's", begin.Add(time.Second))
	fs.expire(begin.Add(59 * time.Second))
	fs.answered("too late", begin.Add(2*time.Minute))
	fs.expire(begin.Add(2 * time.Minute))
	fs.unwritten("never", errors.New("too late"))
	count := func(outcome string) float64 { return testutil.ToFloat64(m.probes.WithLabelValues("s", input, outcome)) }
	if r, l, f := count(probeReturned), count(probeLost), count(probeFailed); r != 1 || l != 2 || f != 0 {
		t.Errorf("%v returned, %v lost, %v failed, want 1, 2 and none", r, l, f)
	}
	for i := range mostFlying {
		if !fs.begin(fmt.Sprint(i), place{"many", 0}) {
			t.Fatalf("there is no room for probe %d", i)
		}
	}
	if fs.begin("one more", place{"many", 0}) {
		t.Error("what is under way has no bound")
	}
	fs.expire(time.Now().Add(time.Hour))
	fs.begin("under way", place{input, 0})
	fs.fail([]string{input, "idle"})
	fs.answered("under way", begin)
	if n := count(probeFailed) + testutil.ToFloat64(m.probes.WithLabelValues("s", "idle", probeFailed)); n != 2 || count(probeReturned) != 1 {
		t.Errorf("%v failed, want the one under way, and one of the topic that has none", n)
	}
}
