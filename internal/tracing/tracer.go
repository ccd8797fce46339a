package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Options make a Tracer.
type Options struct {
	Config   Config
	Env      Env
	Version  string // of the program
	Instance string // of the process; "" has none
	Metrics  *Metrics
	Log      *slog.Logger
}

// Tracer makes spans of what others have measured. A nil one does nothing. It is used from many goroutines, and none of them waits for the
// collector.
type Tracer struct {
	share    float64
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New returns a Tracer, or nil where there is nowhere to send traces to. It connects to nothing yet.
func New(o Options) (*Tracer, error) {
	target := o.Config.target(o.Env)
	if target == "" {
		return nil, nil //nolint:nilnil // which is the one that does nothing
	}
	if o.Config.Endpoint == "" {
		// A variable that was set for other programs must not keep this one from starting.
		if err := (Config{Endpoint: target}).Check(); err != nil {
			o.Log.Error("no tracing: a variable of the environment is of no use: set tracing.endpoint, or OTEL_TRACES_EXPORTER=none", "error", err)
			return nil, nil //nolint:nilnil // as above
		}
		if speaksGRPC(o.Env) {
			o.Log.Warn("tracing over HTTP, although OTEL_EXPORTER_OTLP_PROTOCOL says grpc: name the collector's port for HTTP, most often 4318", "endpoint", target)
		}
	}
	headers, err := o.Config.headers()
	if err != nil {
		return nil, err
	}
	opts := exporting(target, headers, otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportTimeout,
	})
	// The library has one place for what it has to say, and would print it among our log's lines.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Warn("tracing", "error", err) }))
	ctx := context.Background() // of a start that waits for nothing
	exporter, err := otlptracehttp.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of traces: %w", err)
	}
	of, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(identity(o)...), resource.WithFromEnv())
	if err != nil {
		o.Log.Warn("tracing without what OTEL_RESOURCE_ATTRIBUTES says", "error", err)
	}
	out := &outlet{SpanExporter: exporter, metrics: o.Metrics, log: o.Log}
	collected := sdk.NewBatchSpanProcessor(out, sdk.WithMaxQueueSize(maxWaiting), sdk.WithMaxExportBatchSize(maxBatch), sdk.WithBatchTimeout(batchTime),
		sdk.WithExportTimeout(exportTimeout))
	provider := sdk.NewTracerProvider(sdk.WithResource(of), sdk.WithSampler(sdk.AlwaysSample()), sdk.WithIDGenerator(ids{}),
		sdk.WithSpanProcessor(&gate{collected, out}))
	o.Log.Info("tracing", "endpoint", target, "sample", o.Config.Sample)
	return &Tracer{share: o.Config.Sample, provider: provider, tracer: provider.Tracer("github.com/gonomaly/gonomaly")}, nil
}

// exporting are the options of a client of the collector.
func exporting(target string, headers map[string]string, again otlptracehttp.RetryConfig) []otlptracehttp.Option {
	opts := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(target), otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithRetry(again),
	}
	if len(headers) > 0 {
		opts = append(opts, otlptracehttp.WithHeaders(headers)) // else those of the environment
	}
	return opts
}

// speaksGRPC says whether the environment asks for what we do not speak.
func speaksGRPC(env Env) bool {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := env.get(name); protocol != "" {
			return protocol == "grpc"
		}
	}
	return false
}

func identity(o Options) []attribute.KeyValue {
	all := []attribute.KeyValue{attribute.String("service.name", "gonomaly")}
	if o.Version != "" {
		all = append(all, attribute.String("service.version", o.Version))
	}
	if o.Instance != "" {
		all = append(all, attribute.String("service.instance.id", o.Instance))
	}
	return all
}

// Pipeline is what has workers put traces into what they tell; nil for nothing.
func (t *Tracer) Pipeline() *pipeline.Tracing {
	if t == nil {
		return nil
	}
	return &pipeline.Tracing{Share: t.share}
}

// Close exports what waits, until ctx is done.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("export the last spans: %w", err)
	}
	return nil
}

// ids gives spans the ids that their context asks for, and others any. A span's own is asked for where it stands in a header already.
type ids struct{}

type idKey struct{}

type spanID struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements sdk.IDGenerator.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(idKey{}).(spanID)
	return id.trace, ids{}.NewSpanID(ctx, id.trace)
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if id, ok := ctx.Value(idKey{}).(spanID); ok && id.span.IsValid() {
		return id.span
	}
	var id trace.SpanID
	for !id.IsValid() {
		for i := range id {
			id[i] = byte(rand.UintN(256)) //nolint:gosec // it is to be unique, not secret
		}
	}
	return id
}
