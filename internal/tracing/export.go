package tracing

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Metrics are those of the spans of a process.
type Metrics struct{ spans *prometheus.CounterVec }

// What became of a span.
const (
	exported = "exported"
	failed   = "failed"
	dropped  = "dropped"
)

// NewMetrics registers the metrics of spans; once for each registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "gonomaly_trace_spans_total",
		Help: "Spans by what became of them: exported to the collector; failed, for it did not take them; or dropped, for too many waited for it. All stand at 0 without tracing.",
	}, []string{"outcome"})}
	for _, outcome := range []string{exported, failed, dropped} {
		m.spans.WithLabelValues(outcome)
	}
	return m
}

// What waits for the collector is bounded, in number and in time: nothing ever waits for it.
const (
	maxWaiting    = 4096 // spans, those in an export among them
	maxBatch      = 512  // spans of one export
	batchTime     = 2 * time.Second
	exportTimeout = 15 * time.Second // of a batch, attempts at it and all
	complainEvery = time.Minute
)

// gate lets spans through to the processor that collects them, as long as not too many wait there: of those that it drops by itself, nobody is told.
type gate struct {
	sdk.SpanProcessor
	out *outlet
}

// OnEnd implements sdk.SpanProcessor.
func (g *gate) OnEnd(s sdk.ReadOnlySpan) {
	if g.out.waiting.Add(1) > maxWaiting {
		g.out.waiting.Add(-1)
		g.out.metrics.spans.WithLabelValues(dropped).Inc()
		return
	}
	g.SpanProcessor.OnEnd(s)
}

// outlet is an exporter whose failures are counted, and said now and then.
type outlet struct {
	sdk.SpanExporter
	metrics *Metrics
	log     *slog.Logger
	waiting atomic.Int64

	mu   sync.Mutex
	lost int       // since it was said
	said time.Time // zero while all is well
}

// ExportSpans implements sdk.SpanExporter. It hands no error on: there is nobody who could do more.
func (o *outlet) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := o.SpanExporter.ExportSpans(ctx, spans)
	o.waiting.Add(-int64(len(spans)))
	outcome := exported
	if err != nil {
		outcome = failed
	}
	o.metrics.spans.WithLabelValues(outcome).Add(float64(len(spans)))
	o.say(len(spans), err)
	return nil
}

func (o *outlet) say(spans int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch now := time.Now(); {
	case err == nil:
		if !o.said.IsZero() {
			o.log.Info("spans are exported again")
		}
		o.said, o.lost = time.Time{}, 0
	case now.Sub(o.said) < complainEvery:
		o.lost += spans
	default:
		o.log.Warn("spans are lost: the collector does not take them", "spans", o.lost+spans, "error", err)
		o.said, o.lost = now, 0
	}
}
