package service_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/tracing/collector"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7" // the W3C's example

// tracedTo starts a process as the environment of an operator would that has all programs traced.
func (w *world) tracedTo(url string) *process {
	w.Helper()
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url}
	return w.start(func(o *service.Options) {
		o.Env = func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	})
}

// traces waits until a collector has as many spans with a name as are wanted, and returns all by their trace.
func (w *world) traces(c *collector.Collector, name string, want int) map[string][]collector.Span {
	w.Helper()
	var traces map[string][]collector.Span
	w.eventually(name+" is exported", func() error {
		n := 0
		traces = map[string][]collector.Span{}
		for _, s := range c.Spans() {
			traces[s.Trace] = append(traces[s.Trace], s)
			if s.Name == name {
				n++
			}
		}
		if n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
	return traces
}

// chain follows the spans of a trace from one of them up to the root, and returns their names, the root's first, and what that has as its parent.
func chain(trace []collector.Span, from collector.Span) (names []string, above string) {
	for {
		names = append([]string{from.Name}, names...)
		up := slices.IndexFunc(trace, func(s collector.Span) bool { return s.ID == from.Parent })
		if up < 0 || len(names) > len(trace) {
			return names, from.Parent
		}
		from = trace[up]
	}
}

// An alert has one trace, from its record through the batch and the commit to its delivery, which is the record's where that has one; the topics'
// readers go on from it; and the histograms of latency name it.
func TestTraces(t *testing.T) {
	c := collector.Start(t)
	records, _, _ := strings.Cut(settings, "  - name: windows")
	w := newWorld(t, records, "machines")
	p := w.tracedTo(c.URL)
	w.produce("machines", 3000)
	w.caughtUp(w.stream("records"))
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.sent/5+10) * time.Minute) // after what the five machines have sent
	odd := func(machine, flags string) {
		r := &kgo.Record{Topic: "machines", Key: []byte(machine), Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-" + parent + flags)}},
			Value: fmt.Appendf(nil, `{"machine":%q,"ts":%d,"temp":1e9,"pressure":1e9,"rpm":1e9,"vibration":1e9,"load":1e9}`, machine, at.UnixMilli())}
		if err := w.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	odd("machine-000000", "-01")
	odd("machine-000001", "-00")
	w.caughtUp(w.stream("records"))

	alerts, err1 := kafka.ReadAll(t.Context(), w.opts, "machines.alerts")
	letters, err2 := kafka.ReadAll(t.Context(), w.opts, "machines.dead-letters")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	sampled, parents := 0, 0
	for _, r := range alerts {
		if r.Headers["traceparent"][53:] == "01" {
			sampled++
		}
	}
	if len(alerts)-sampled != 1 || len(letters) != partitions {
		t.Fatalf("of %d alerts %d are sampled, %d dead letters, want all alerts but one, %d dead letters", len(alerts), sampled, len(letters), partitions)
	}
	w.traces(c, "deliver file", sampled)
	traces := w.traces(c, "commit", sampled+partitions)
	for _, r := range alerts {
		a, context := alertOf(t, r.Value), r.Headers["traceparent"]
		trace, span := context[3:35], context[36:52]
		if a.Trace != context {
			t.Errorf("alert %s has the trace %s, its header says %s", a.ID, a.Trace, context)
		}
		above := ""
		if trace == parent[:32] {
			parents++
			above = parent[33:]
		} else if trace != a.ID {
			t.Errorf("alert %s has the trace %s, want its own id", a.ID, trace)
		}
		if context[53:] == "00" {
			if slices.ContainsFunc(traces[trace], func(s collector.Span) bool { return s.ID == span }) {
				t.Errorf("alert %s is not sampled, and has a span", a.ID)
			}
			continue
		}
		own := slices.IndexFunc(traces[trace], func(s collector.Span) bool { return s.ID == span })
		if own < 0 {
			t.Errorf("alert %s: no span %s among %+v", a.ID, span, traces[trace])
			continue
		}
		if about := traces[trace][own].About; about["gonomaly.alert.id"] != a.ID || about["service.name"] != "gonomaly" || about["service.instance.id"] != "one" {
			t.Errorf("alert %s has a span about %v", a.ID, about)
		}
		for _, leaf := range []string{"commit", "deliver file"} {
			i := slices.IndexFunc(traces[trace], func(s collector.Span) bool { return s.Name == leaf && s.Parent == span })
			if i < 0 {
				t.Errorf("alert %s has no %s among %+v", a.ID, leaf, traces[trace])
				continue
			}
			names, top := chain(traces[trace], traces[trace][i])
			if want := []string{"record machines", "batch machines", "alert machines.alerts", leaf}; !slices.Equal(names, want) || top != above {
				t.Errorf("alert %s has %q under %q, want %q under %q", a.ID, names, top, want, above)
			}
			if s := traces[trace][i]; s.End.Before(s.Start) || s.Start.Before(traces[trace][own].Start) {
				t.Errorf("alert %s: %s from %v to %v, the alert from %v on", a.ID, leaf, s.Start, s.End, traces[trace][own].Start)
			}
		}
	}
	if parents != 2 {
		t.Errorf("%d alerts have their record's trace, want 2", parents)
	}
	for _, r := range letters {
		trace := r.Headers["gonomaly.traceparent"][3:35]
		if i := slices.IndexFunc(traces[trace], func(s collector.Span) bool { return s.About["gonomaly.reason"] != "" }); i < 0 {
			t.Errorf("a dead letter has no span with its reason: %+v", traces[trace])
		} else if names, _ := chain(traces[trace], traces[trace][i]); names[2] != "dead letter machines.dead-letters" {
			t.Errorf("a dead letter has %q", names)
		}
	}

	if n, _ := p.metric("gonomaly_trace_spans_total", `outcome="exported"`); int(n) < len(c.Spans()) {
		t.Errorf("%v spans are counted, the collector has %d", n, len(c.Spans()))
	}
	text := p.openMetrics()
	for _, histogram := range []string{"gonomaly_alert_latency_seconds_bucket", "gonomaly_sink_delivery_seconds_bucket"} {
		if !slices.ContainsFunc(exemplars(text, histogram), func(trace string) bool { return len(traces[trace]) > 0 }) {
			t.Errorf("%s has no trace as exemplar: %q", histogram, exemplars(text, histogram))
		}
	}
}

// openMetrics is a scrape as Prometheus asks for it that is to have exemplars.
func (p *process) openMetrics() string {
	p.Helper()
	_, text := p.askFor("application/openmetrics-text; version=1.0.0", get, "/metrics")
	return text
}

// exemplars are the traces that a scrape names for a metric.
func exemplars(text, metric string) (traces []string) {
	for line := range strings.Lines(text) {
		if _, exemplar, ok := strings.Cut(line, `# {trace_id="`); ok && strings.HasPrefix(line, metric) {
			traces = append(traces, exemplar[:32])
		}
	}
	return traces
}

// silent is the URL of a collector that takes connections and does not answer.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}

// Without a collector there is nothing of traces: not in the topics, and not in the metrics. And a collector that does not answer changes nothing
// but the count of what is lost, also at the end.
func TestTracesThatGoNowhere(t *testing.T) {
	for name, c := range map[string]struct {
		url    string
		status int
		lost   bool
	}{"off": {}, "away": {"http://127.0.0.1:1", 0, true}, "refusing": {"", http.StatusForbidden, true}, "silent": {silent(t), 0, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings, "machines")
			if c.status != 0 {
				to := collector.Start(t)
				to.Answer(c.status)
				c.url = to.URL
			}
			p := w.tracedTo(c.url)
			w.produce("machines", 3000)
			w.wantOnce("alerts.jsonl", append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...), "records", "windows")
			if traced := exemplars(p.openMetrics(), "gonomaly_"); (len(traced) > 0) != c.lost {
				t.Errorf("exemplars %q", traced)
			}
			if c.lost {
				return // the end is that of every process: it must come in time, which quit sees to
			}
			if n, _ := p.metric("gonomaly_trace_spans_total"); n != 0 {
				t.Errorf("%v spans", n)
			}
			for _, topic := range []string{"machines.alerts", "windows.alerts", "machines.dead-letters"} {
				records, err := kafka.ReadAll(t.Context(), w.opts, topic)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					if text := fmt.Sprintf("%v %s", r.Headers, r.Value); strings.Contains(text, "trace") {
						t.Errorf("%s has %s", topic, text)
					}
				}
			}
		})
	}
}
