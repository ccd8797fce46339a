package sinks

import (
	"log/slog"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/internal/tracing/collector"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" // the W3C's example

// Each sink goes on from the trace that an alert carries, whether it takes the alert at once, after failures, or never; one without a trace, or
// whose trace is not sampled, has no span.
func TestDeliveriesAreTraced(t *testing.T) {
	w, c := newWorld(t), collector.Start(t)
	var err error
	w.tracer, err = tracing.New(tracing.Options{
		Config: tracing.Config{Endpoint: c.URL, Sample: 1}, Env: func(string) (string, bool) { return "", false },
		Metrics: tracing.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stdout.fail.Store(true)
	_, stop := w.run("redis", "stdout")
	send := func(value []byte, header string) {
		r := &kgo.Record{Topic: topic, Partition: 1, Key: []byte("m-00"), Value: value}
		if header != "" {
			r.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte(header)}}
		}
		if err := w.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	send(data(t, alert(0)), traceParent)
	send(data(t, alert(1)), traceParent[:53]+"00")
	send(data(t, alert(2)), "")
	send([]byte("no alert"), traceParent)
	w.eventually(func() bool { return testutil.ToFloat64(w.metrics.failures.WithLabelValues("stdout")) > 2 })
	w.stdout.fail.Store(false)
	w.eventually(func() bool {
		return testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("stdout", unreadable)) == 1
	})
	w.eventually(func() bool { return testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("redis", unreadable)) == 1 })
	stop()
	if err := w.tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	var got []string
	for _, s := range c.Spans() {
		if s.Trace != traceParent[3:35] || s.Parent != traceParent[36:52] {
			t.Errorf("%s is in trace %s under %s", s.Name, s.Trace, s.Parent)
		}
		tries, err := strconv.Atoi(s.About["gonomaly.delivery.attempts"])
		outcome := s.About["gonomaly.delivery.outcome"]
		if failed := s.Name == "deliver stdout" && outcome == delivered; err != nil || failed != (tries > 2) || failed != slices.Contains(s.Events, "broken pipe") {
			t.Errorf("%s took %d attempts, %v, with %q", s.Name, tries, err, s.Events)
		}
		if (s.Error == "") != (outcome == delivered) {
			t.Errorf("%s is %s with the error %q", s.Name, outcome, s.Error)
		}
		got = append(got, s.Name+": "+outcome)
	}
	slices.Sort(got)
	if want := []string{"deliver redis: delivered", "deliver redis: unreadable", "deliver stdout: delivered", "deliver stdout: unreadable"}; !slices.Equal(got, want) {
		t.Errorf("spans %q, want %q", got, want)
	}
	for sink, want := range map[string]int{"redis": 1, "stdout": 1} {
		if n := exemplarsOf(t, w.metrics.latency, sink); n != want {
			t.Errorf("%s has %d exemplars of latency, want %d", sink, n, want)
		}
	}
}

// exemplarsOf counts those of a histogram's series, of which all are of the one trace.
func exemplarsOf(t *testing.T, of *prometheus.HistogramVec, sink string) (n int) {
	t.Helper()
	var m dto.Metric
	h, ok := of.WithLabelValues(sink).(prometheus.Histogram)
	if err := h.Write(&m); err != nil || !ok {
		t.Fatal(err)
	}
	for _, b := range m.GetHistogram().GetBucket() {
		for _, l := range b.GetExemplar().GetLabel() {
			if l.GetName() == "trace_id" && l.GetValue() == traceParent[3:35] {
				n++
			}
		}
	}
	return n
}
