package doctor_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gonomaly/gonomaly/internal/tracing/collector"
	"github.com/gonomaly/gonomaly/service/doctor"
)

// Where traces go to a collector, it is asked as they would ask it; where they go nowhere, nothing is said of it.
func TestCollector(t *testing.T) {
	const base, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
	for name, c := range map[string]struct {
		inject func(w *world, c *collector.Collector)
		level  doctor.Level
		words  []string // none: there is no finding
	}{
		"off": {inject: func(*world, *collector.Collector) {}},
		"switched off": {inject: func(w *world, c *collector.Collector) {
			w.env[base], w.env["OTEL_TRACES_EXPORTER"] = c.URL, "none"
		}},
		"well":            {func(w *world, c *collector.Collector) { w.traces(c.URL) }, doctor.Good, []string{"/v1/traces takes traces, and answers in "}},
		"by the variable": {func(w *world, c *collector.Collector) { w.env[base] = c.URL }, doctor.Good, []string{"/v1/traces takes traces"}},
		"away":            {func(w *world, _ *collector.Collector) { w.traces("http://" + nobody(w.T)) }, doctor.Warning, []string{"takes no traces", "refused", "start the collector"}},
		"another path":    {func(w *world, c *collector.Collector) { c.Answer(404); w.traces(c.URL) }, doctor.Warning, []string{"404", "correct tracing.endpoint"}},
		"no right":        {func(w *world, c *collector.Collector) { c.Answer(401); w.traces(c.URL) }, doctor.Warning, []string{"401", "tracing.headers_file"}},
		"too busy":        {func(w *world, c *collector.Collector) { c.Answer(503); w.traces(c.URL) }, doctor.Warning, []string{"takes no traces", "docs/tracing.md"}},
		"gRPC":            {func(w *world, _ *collector.Collector) { w.traces("http://" + speaksHTTP2(w.T)) }, doctor.Warning, []string{"malformed HTTP", "4318"}},
		"gRPC is asked for": {func(w *world, _ *collector.Collector) {
			w.env[base], w.env[protocol] = "http://"+nobody(w.T), "grpc"
		}, doctor.Warning, []string{"takes no traces", "gRPC is not spoken"}},
		"no URL":         {func(w *world, _ *collector.Collector) { w.env[base] = "localhost:4317" }, doctor.Warning, []string{"localhost:4317", "of no use", "OTEL_TRACES_EXPORTER=none"}},
		"no certificate": {func(w *world, c *collector.Collector) { w.traces("https" + c.URL[len("http"):]) }, doctor.Warning, []string{"takes no traces", "http"}},
		"no file of headers": {func(w *world, c *collector.Collector) {
			w.edit("instance: one", "instance: one\ntracing: {endpoint: "+c.URL+`, headers_file: "${DIR}/none"}`)
		}, doctor.Bad, []string{"read tracing.headers_file", "no process starts"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, c2 := newWorld(t).all(), collector.Start(t)
			c.inject(w, c2)
			r, text := w.examine()
			if len(c.words) == 0 {
				for _, f := range r.Findings {
					if f.Area == "tracing" {
						t.Errorf("without tracing it says\n%s", text)
					}
				}
				return
			}
			w.want(r, c.level, "tracing", c.words...)
			if n := len(c2.Spans()); n > 0 {
				t.Errorf("the collector was sent %d spans, want none: to ask changes nothing", n)
			}
		})
	}
}

// The headers of the file go with the question.
func TestCollectorHeaders(t *testing.T) {
	w, c := newWorld(t).all(), collector.Start(t)
	if err := os.WriteFile(filepath.Join(w.env["DIR"], "headers"), []byte("Authorization: Bearer b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.edit("instance: one", "instance: one\ntracing: {endpoint: "+c.URL+`, headers_file: "${DIR}/headers"}`)
	r, _ := w.examine()
	w.want(r, doctor.Good, "tracing", "takes traces")
	if all := c.Headers(); len(all) != 1 || all[0].Get("Authorization") != "Bearer b" {
		t.Errorf("the collector was sent %v, want one request with the header", all)
	}
}

// traces has the configuration name a collector.
func (w *world) traces(url string) {
	w.Helper()
	w.edit("instance: one", "instance: one\ntracing: {endpoint: "+url+"}")
}

// speaksHTTP2 is the address of who answers as a server of gRPC does: with its SETTINGS (RFC 9113, section 6.5).
func speaksHTTP2(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_, _ = c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}
