package tracing

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
)

// Asked is how a collector does that traces would go to.
type Asked struct {
	Target  string // "" where there is no tracing
	GRPC    bool   // the environment asks for what is not spoken
	Took    time.Duration
	Refused error // the configuration with which a process does not start
	Ignored error // the variable of the environment for which a process goes without traces
	Err     error // the collector does not answer, or does not take traces
}

// Ask has the collector take an export without a span in it, as a Tracer would send one with some: to the same address, with the same headers and
// certificates.
func Ask(ctx context.Context, c Config, env Env) (a Asked) {
	if a.Target = c.target(env); a.Target == "" {
		return a
	}
	a.GRPC = c.Endpoint == "" && speaksGRPC(env)
	if c.Endpoint == "" {
		if a.Ignored = (Config{Endpoint: a.Target}).Check(); a.Ignored != nil {
			return a
		}
	}
	headers, err := c.headers()
	if a.Refused = err; err != nil {
		return a
	}
	client := otlptracehttp.NewClient(exporting(a.Target, headers, otlptracehttp.RetryConfig{})...)
	begin := time.Now()
	if err = client.Start(ctx); err == nil {
		err = errors.Join(client.UploadTraces(ctx, nil), client.Stop(context.WithoutCancel(ctx)))
	}
	a.Took, a.Err = time.Since(begin), err
	return a
}
