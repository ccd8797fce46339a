package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Observed adds logs and metrics to a client's options. The metrics, gonomaly_kafka_client_…, have the client's role as a label; a
// client takes over those of its predecessor in the same role.
func Observed(opts Options, m *Metrics, role string, log *slog.Logger) Options {
	return append(slices.Clone(opts), kgo.WithLogger(logger{log.With("client", role), m.security, &Repeats{}}), kgo.WithHooks(m.of(role), guard{m.security}))
}

// Metrics are those of the process's clients.
type Metrics struct {
	reg      prometheus.Registerer
	security *security

	mu    sync.Mutex
	roles map[string]*tracked
}

// NewMetrics makes the metrics of a process's clients; once for each registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	return &Metrics{reg: reg, security: newSecurity(reg), roles: map[string]*tracked{}}
}

// clientMetrics is what the names of the client library's metrics begin with.
const clientMetrics = "gonomaly_kafka_client"

func (m *Metrics) of(role string) *kprom.Metrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before := m.roles[role]; before != nil {
		before.unregister() // its client may still be on its way out
	}
	t := &tracked{Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"client": role}, m.reg)}
	m.roles[role] = t
	return kprom.NewMetrics(clientMetrics, kprom.Registerer(t))
}

// tracked remembers what was registered.
type tracked struct {
	prometheus.Registerer

	mu         sync.Mutex
	collectors []prometheus.Collector
}

func (t *tracked) Register(c prometheus.Collector) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.collectors = append(t.collectors, c)
	return t.Registerer.Register(c)
}

func (t *tracked) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := t.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister is what a client calls when it is closed. A registry knows collectors by what they describe: one that is a successor's by
// now must stay.
func (t *tracked) Unregister(c prometheus.Collector) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.collectors, c)
	if i < 0 {
		return false
	}
	t.collectors = slices.Delete(t.collectors, i, i+1)
	return t.Registerer.Unregister(c)
}

func (t *tracked) unregister() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.collectors {
		t.Registerer.Unregister(c)
	}
	t.collectors = nil
}

// logger hands what a client logs to slog. What it calls info is ours to debug. While a broker is away a client says so several times a
// second: of warnings and errors each is logged once a minute for a broker.
type logger struct {
	*slog.Logger
	security *security
	repeats  *Repeats
}

func (l logger) Level() kgo.LogLevel {
	switch {
	case l.Enabled(context.Background(), slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.Enabled(context.Background(), slog.LevelWarn):
		return kgo.LogLevelWarn
	}
	return kgo.LogLevelError
}

func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	l.security.logged(msg, keyvals)
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	}
	if to > slog.LevelDebug {
		held, say := l.repeats.Say(msg, attribute(keyvals, "broker"))
		if !say {
			return
		}
		if held > 0 {
			keyvals = append(slices.Clip(keyvals), "repeated", held)
		}
	}
	l.Logger.Log(context.Background(), to, msg, keyvals...)
}

// attribute is the text of one of a line's attributes; "" where it has none of that name.
func attribute(keyvals []any, name string) string {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if keyvals[i] == name {
			return fmt.Sprint(keyvals[i+1])
		}
	}
	return ""
}
