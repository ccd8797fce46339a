package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gonomaly/gonomaly/internal/tracing/collector"
	"github.com/gonomaly/gonomaly/pipeline"
)

func variables(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		i := slices.Index(pairs, name)
		if i < 0 {
			return "", false
		}
		return pairs[i+1], true
	}
}

func TestTarget(t *testing.T) {
	const base, own = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	for _, c := range []struct {
		endpoint string
		env      []string
		want     string
	}{
		{"", nil, ""},
		{"http://c:4318", nil, "http://c:4318/v1/traces"},
		{"https://c/otlp/", nil, "https://c/otlp/v1/traces"},
		{"https://c/otlp/v1/traces", nil, "https://c/otlp/v1/traces"},
		{"", []string{base, "http://e:4318/"}, "http://e:4318/v1/traces"},
		{"", []string{base, "http://e:4318", own, "http://e/x"}, "http://e/x"},
		{"http://c:4318", []string{base, "http://e:4318"}, "http://c:4318/v1/traces"},
		{"http://c:4318", []string{"OTEL_SDK_DISABLED", "TRUE"}, ""},
		{"http://c:4318", []string{"OTEL_TRACES_EXPORTER", "none"}, ""},
	} {
		if got := (Config{Endpoint: c.endpoint}).target(variables(c.env...)); got != c.want {
			t.Errorf("Target of %q with %q = %q, want %q", c.endpoint, c.env, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		config Config
		says   string // "" for nothing
	}{
		{Config{}, ""},
		{Config{Endpoint: "http://localhost:4318", Sample: 0.01}, ""},
		{Config{Endpoint: "localhost:4318"}, "endpoint is localhost:4318, want the URL"},
		{Config{Endpoint: "grpc://localhost:4317"}, "want the URL"},
		{Config{Endpoint: "https://me:secret@c"}, "endpoint is https://me:xxxxx@c, want the URL of a collector, such as http://localhost:4318, without a user"},
		{Config{Sample: 1.5}, "sample is 1.5, want 0 to 1"},
	} {
		if err := c.config.Check(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("Check of %+v = %v, want %q", c.config, err, c.says)
		}
	}
}

// A variable that was meant for others does not keep the process from starting; what is wrong with it is said.
func TestVariablesOfOthers(t *testing.T) {
	const endpoint, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
	for _, c := range []struct {
		env   []string
		on    bool
		words string
	}{
		{[]string{endpoint, "localhost:4317"}, false, "level=ERROR"},
		{[]string{endpoint, "http://localhost:4317", protocol, "grpc"}, true, "level=WARN"},
		{[]string{endpoint, "http://localhost:4318", protocol, "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"}, true, "level=INFO"},
		{[]string{endpoint, "http://localhost:4318"}, true, "level=INFO"},
	} {
		var log bytes.Buffer
		tracer, err := New(Options{Env: variables(c.env...), Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil || (tracer != nil) != c.on || !strings.Contains(log.String(), c.words) || c.words == "level=INFO" && strings.Contains(log.String(), "WARN") {
			t.Errorf("with %q New = %v, %v, and says %s, want %v and %s", c.env, tracer, err, log.String(), c.on, c.words)
		}
		if err := tracer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// world is a tracer with its collector.
type world struct {
	*testing.T
	*Tracer
	collector *collector.Collector
	metrics   *Metrics
	log       bytes.Buffer
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{T: t, collector: collector.Start(t), metrics: NewMetrics(prometheus.NewRegistry())}
	c := Config{Endpoint: w.collector.URL, Sample: 1}
	for _, f := range change {
		f(&c)
	}
	var err error
	if w.Tracer, err = New(Options{Config: c, Version: "v1", Metrics: w.metrics, Log: slog.New(slog.NewTextHandler(&w.log, nil))}); err != nil {
		t.Fatal(err)
	}
	return w
}

// close ends the tracer, and wants so many spans exported, failed and dropped.
func (w *world) close(want ...float64) {
	w.Helper()
	if err := w.Close(w.Context()); err != nil {
		w.Error(err)
	}
	for i, outcome := range []string{exported, failed, dropped} {
		if n := testutil.ToFloat64(w.metrics.spans.WithLabelValues(outcome)); n != want[i] {
			w.Errorf("%v spans %s, want %v", n, outcome, want[i])
		}
	}
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// alert is one of a record that was dated a second before its batch began, and committed three after that.
func alert(offset int64, span byte) pipeline.Message {
	return pipeline.Message{
		Topic: "in.alerts", Offset: offset, Time: at.UnixNano(), Status: pipeline.Open,
		Trace: &pipeline.Traced{
			TraceContext: pipeline.TraceContext{Trace: [16]byte{1}, Span: [8]byte{span}, Sampled: true}, Alert: "an-id", Record: [8]byte{2},
			Partition: pipeline.Partition{Topic: "in", ID: 3}, Began: at.Add(time.Second), Done: at.Add(2 * time.Second), Batch: 7,
		},
	}
}

// Two alerts of one record have the record's span, and its batch's, in common; each span lasts from where it began to where it ended.
func TestSpans(t *testing.T) {
	w := newWorld(t)
	unsampled := alert(6, 9)
	unsampled.Trace.Sampled = false
	w.Committed("s", []pipeline.Message{alert(5, 3), alert(5, 4), unsampled, {Topic: "in.alerts"}}, at.Add(3*time.Second), at.Add(4*time.Second))
	w.close(6, 0, 0)
	ids := map[string]string{"0200000000000000": "the producer's"}
	for _, s := range w.collector.Spans() {
		ids[s.ID] = s.Name
	}
	var got []string
	for _, s := range w.collector.Spans() {
		got = append(got, s.Name+" in "+ids[s.Parent]+" from "+s.Start.Sub(at).String()+" to "+s.End.Sub(at).String())
	}
	slices.Sort(got)
	want := []string{
		"alert in.alerts in batch in from 2s to 4s", "alert in.alerts in batch in from 2s to 4s", "batch in in record in from 1s to 2s",
		"commit in alert in.alerts from 3s to 4s", "commit in alert in.alerts from 3s to 4s", "record in in the producer's from 0s to 4s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// History that is read again does not make spans of years, nor a clock that is ahead negative ones.
func TestRecordsOfOtherTimes(t *testing.T) {
	for _, dated := range []time.Time{at.Add(-20 * 365 * 24 * time.Hour), at.Add(time.Hour)} {
		w := newWorld(t)
		m := alert(5, 3)
		m.Time = dated.UnixNano()
		w.Committed("s", []pipeline.Message{m}, at.Add(3*time.Second), at.Add(4*time.Second))
		w.close(4, 0, 0)
		for _, s := range w.collector.Spans() {
			if s.Name == "record in" && (s.End.Sub(s.Start) != 3*time.Second || s.About["gonomaly.record.time"] != dated.Format(time.RFC3339Nano)) {
				t.Errorf("a record of %v has a span of %v, about %v", dated, s.End.Sub(s.Start), s.About)
			}
		}
	}
}

// A delivery tells of its attempts, of the first ones each.
func TestDelivered(t *testing.T) {
	w := newWorld(t)
	a := w.Attempts()
	for range 20 {
		a.Made(errors.New("no route"))
	}
	a.Made(nil)
	w.Delivered(pipeline.TraceContext{Trace: [16]byte{1}, Span: [8]byte{3}, Sampled: true, State: "rojo=1"}, Delivery{
		Sink: "redis", Kind: "redis", Outcome: "refused", Cause: errors.New("it says no"), Attempts: a, Ended: time.Now(),
	})
	w.Delivered(pipeline.TraceContext{Trace: [16]byte{1}, Span: [8]byte{3}}, Delivery{Attempts: a}) // not sampled
	w.close(1, 0, 0)
	s := w.collector.Spans()[0]
	if len(s.Events) != maxAttempts || s.Events[0] != "no route" || s.About["gonomaly.delivery.attempts"] != "21" || s.Error != "it says no" || s.Parent != "0300000000000000" {
		t.Errorf("the span is %+v", s)
	}
}

// What the collector does not take is counted, and said once.
func TestRefusedSpans(t *testing.T) {
	w := newWorld(t)
	w.collector.Answer(http.StatusUnauthorized)
	for range 3 {
		w.Committed("s", []pipeline.Message{alert(5, 3)}, at, at)
		if err := w.provider.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.collector.Answer(http.StatusOK)
	w.Committed("s", []pipeline.Message{alert(5, 3)}, at, at)
	w.close(4, 12, 0)
	if said := w.log.String(); strings.Count(said, "spans are lost") != 1 || strings.Count(said, "exported again") != 1 {
		t.Errorf("the log says\n%s", said)
	}
}

// Nothing waits for a collector that does not answer, and little waits in memory.
func TestCollectorThatHangs(t *testing.T) {
	hang := make(chan struct{})
	w := newWorld(t, func(c *Config) {
		l := listen(t, hang)
		c.Endpoint = "http://" + l
	})
	for range maxWaiting {
		w.Committed("s", []pipeline.Message{alert(5, 3)}, at, at)
	}
	if n := testutil.ToFloat64(w.metrics.spans.WithLabelValues(dropped)); n != 3*maxWaiting {
		t.Errorf("%v spans are dropped, want all but %d of %d", n, maxWaiting, 4*maxWaiting)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want that it was given up", err)
	}
	close(hang)
}

func TestHeadersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# of the vendor\nAuthorization: Basic c2VjcmV0\n\nX-Scope: a:b\n")
	w := newWorld(t, func(c *Config) { c.HeadersFile = file })
	w.Committed("s", []pipeline.Message{alert(5, 3)}, at, at)
	w.close(4, 0, 0)
	if h := w.collector.Headers()[0]; h.Get("Authorization") != "Basic c2VjcmV0" || h.Get("X-Scope") != "a:b" {
		t.Errorf("the collector was sent %v", h)
	}
	write("X-Scope: a\nsecret without a name\n")
	_, err := New(Options{Config: Config{Endpoint: "http://c", HeadersFile: file}})
	if err == nil || !strings.Contains(err.Error(), "line 2 of tracing.headers_file "+file) || strings.Contains(err.Error(), "secret") {
		t.Errorf("New with a bad file: %v", err)
	}
}

// Off is nil, and costs nothing.
func TestOff(t *testing.T) {
	off, err := New(Options{Config: Config{Sample: 1}})
	if off != nil || err != nil || off.Pipeline() != nil || off.Close(t.Context()) != nil {
		t.Fatalf("New without a target = %v, %v", off, err)
	}
	messages := []pipeline.Message{{Topic: "in.alerts", Offset: 5, Status: pipeline.Open}}
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"})
	failure := errors.New("no route")
	if n := testing.AllocsPerRun(100, func() {
		off.Processed(messages, off.Begin(), 1000)
		off.Committed("s", messages, at, at)
		attempts := off.Attempts()
		attempts.Made(failure)
		off.Delivered(pipeline.TraceContext{}, Delivery{Attempts: attempts})
		Observe(histogram, 1, pipeline.TraceContext{})
	}); n != 0 {
		t.Errorf("a turn without tracing allocates %v times", n)
	}
	if !off.Begin().IsZero() {
		t.Error("the clock is asked, for nobody")
	}
}

// listen takes requests, and does not answer before hang is closed.
func listen(t *testing.T, hang <-chan struct{}) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// BenchmarkAlert is what the spans of an alert cost who commits and who delivers it.
func BenchmarkAlert(b *testing.B) {
	provider := sdk.NewTracerProvider(sdk.WithIDGenerator(ids{}), sdk.WithSyncer(discard{}))
	t := &Tracer{share: 1, provider: provider, tracer: provider.Tracer("b")}
	messages := []pipeline.Message{alert(5, 3)}
	attempts := t.Attempts()
	attempts.Made(nil)
	b.ReportAllocs()
	for b.Loop() {
		t.Committed("s", messages, at, at)
		t.Delivered(messages[0].Trace.TraceContext, Delivery{Sink: "redis", Kind: "redis", Outcome: "delivered", Attempts: attempts, Ended: at})
	}
}

type discard struct{}

func (discard) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                        { return nil }
