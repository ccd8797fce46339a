// Package tracing sends the spans of what alerts and dead letters went through to a collector of OpenTelemetry: record, batch, commit, and
// each delivery. Off, it is a nil Tracer whose methods do nothing. OpenTelemetry is named here only.
package tracing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// Config says where traces go.
type Config struct {
	Endpoint    string  `yaml:"endpoint" jsonschema_description:"URL of a collector that takes OTLP over HTTP, such as http://localhost:4318; /v1/traces is put behind it. By default what OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT says; without any there is no tracing."`
	Sample      float64 `yaml:"sample" jsonschema:"minimum=0,maximum=1,default=1" jsonschema_description:"Share of the alerts and dead letters that are traced. Where a record has a traceparent, that says whether."`
	HeadersFile string  `yaml:"headers_file" jsonschema_description:"File with headers for the collector, each in a line: its name, a colon, its value. It is read at the start of the process."`
}

// path of the traces at a collector.
const path = "/v1/traces"

// Check returns what is out of range, as *invalid.Value, or several joined. It opens nothing.
func (c Config) Check() error {
	var errs []error
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		switch want := "the URL of a collector, such as http://localhost:4318"; {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "":
			errs = append(errs, &invalid.Value{Name: "endpoint", Value: c.Endpoint, Want: want})
		case u.User != nil:
			errs = append(errs, &invalid.Value{Name: "endpoint", Value: u.Redacted(), Want: want + ", without a user: name it in headers_file, as Authorization"})
		}
	}
	if !(c.Sample >= 0 && c.Sample <= 1) {
		errs = append(errs, &invalid.Value{Name: "sample", Value: c.Sample, Want: "0 to 1"})
	}
	return errors.Join(errs...)
}

// Env looks up a variable of the environment; nil has none.
type Env func(name string) (value string, set bool)

func (e Env) get(name string) (value string) {
	if e != nil {
		value, _ = e(name)
	}
	return value
}

// target is where traces go, by the configuration or else by the variables of OpenTelemetry; "" for nowhere.
func (c Config) target(env Env) string {
	switch base := env.get("OTEL_EXPORTER_OTLP_ENDPOINT"); {
	case strings.EqualFold(env.get("OTEL_SDK_DISABLED"), "true"), env.get("OTEL_TRACES_EXPORTER") == "none":
		return ""
	case c.Endpoint != "":
		return strings.TrimSuffix(strings.TrimRight(c.Endpoint, "/"), path) + path
	case env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "":
		return env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") // as it is, says OpenTelemetry
	case base != "":
		return strings.TrimRight(base, "/") + path
	}
	return ""
}

// headers are those of the file, if there is one.
func (c Config) headers() (map[string]string, error) {
	if c.HeadersFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Clean(c.HeadersFile))
	if err != nil {
		return nil, fmt.Errorf("read tracing.headers_file: %w", err)
	}
	headers := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("line %d of tracing.headers_file %s is no header, want a name, a colon and a value", n, c.HeadersFile) // it may be a secret
		}
		headers[name] = strings.TrimSpace(value)
	}
	return headers, lines.Err()
}
