package doctor

import (
	"slices"
	"strings"
)

// collector tells whether traces arrive. Without them nothing is judged otherwise: what does not arrive is no worse than a warning.
func collector(f *facts) []Finding {
	out := findings{area: "tracing"}
	a := &f.collector
	switch {
	case a.Target == "": // none is wanted
	case a.Refused != nil:
		out.bad("correct tracing.headers_file: with it no process starts", "%v", a.Refused)
	case a.Ignored != nil:
		out.warn("set tracing.endpoint, or OTEL_TRACES_EXPORTER=none", "no tracing: a variable of the environment is of no use: %v", a.Ignored)
	case a.Err != nil:
		out.warn(collectorRemedy(a.Err.Error(), a.GRPC), "%s takes no traces: %v", a.Target, a.Err)
	default:
		out.good("%s takes traces, and answers in %s", a.Target, brief(a.Took))
	}
	return out.all
}

// collectorRemedy goes by what an error says: the client has no types for it.
func collectorRemedy(says string, grpc bool) string {
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(says, text) })
	}
	switch {
	case grpc, has("malformed HTTP"):
		return "name the collector's port for OTLP over HTTP, most often 4318: gRPC is not spoken"
	case has(": 401 ", ": 403 "):
		return "correct the headers: tracing.headers_file, or OTEL_EXPORTER_OTLP_HEADERS"
	case has(": 404 ", ": 405 "):
		return "correct tracing.endpoint, behind which /v1/traces is put, and have the collector's receiver otlp speak HTTP"
	case has("certificate", "tls:"):
		return "name the authority of the collector's certificate: OTEL_EXPORTER_OTLP_CERTIFICATE"
	}
	return "start the collector, or correct tracing.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT; docs/tracing.md"
}
