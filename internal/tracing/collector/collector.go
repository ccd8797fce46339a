// Package collector is a collector of OpenTelemetry for tests: it keeps the spans that it is sent.
package collector

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one that was sent.
type Span struct {
	Name              string
	Trace, ID, Parent string // in hex
	Start, End        time.Time
	About             map[string]string // the span's attributes, and its resource's
	Events            []string          // what their attributes say
	Error             string            // of its status
}

// Collector takes traces in OTLP over HTTP.
type Collector struct {
	URL string

	mu      sync.Mutex
	status  int
	spans   []Span
	headers []http.Header
}

// Start starts one that ends with the test.
func Start(t testing.TB) *Collector {
	c := &Collector{status: http.StatusOK}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Answer has it answer with a status from now on; with another than 200 it keeps nothing.
func (c *Collector) Answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// Spans are those that it has.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Headers are those of the requests.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.headers)
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := read(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	switch {
	case err != nil || r.URL.Path != "/v1/traces":
		http.Error(w, fmt.Sprintf("%s: %v", r.URL.Path, err), http.StatusBadRequest)
		return
	case c.status != http.StatusOK:
		w.WriteHeader(c.status)
		return
	}
	for _, of := range request.GetResourceSpans() {
		for _, by := range of.GetScopeSpans() {
			for _, s := range by.GetSpans() {
				span := Span{
					Name: s.GetName(), Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())), //nolint:gosec // it is not far in the future
					About: map[string]string{}, Error: s.GetStatus().GetMessage(),
				}
				for _, a := range append(of.GetResource().GetAttributes(), s.GetAttributes()...) {
					span.About[a.GetKey()] = text(a.GetValue())
				}
				for _, e := range s.GetEvents() {
					for _, a := range e.GetAttributes() {
						span.Events = append(span.Events, text(a.GetValue()))
					}
				}
				c.spans = append(c.spans, span)
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func read(r *http.Request) (*collected.ExportTraceServiceRequest, error) {
	body, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	var request collected.ExportTraceServiceRequest
	return &request, proto.Unmarshal(b, &request)
}

func text(v *common.AnyValue) string {
	switch x := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return x.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(x.IntValue)
	}
	return v.String()
}
