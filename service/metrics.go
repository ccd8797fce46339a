package service

import (
	"cmp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// metrics are those of the process: its parts take theirs from here, so that each is registered once, however often parts are made
// anew.
type metrics struct {
	pipeline *pipeline.Metrics
	sources  *sources.KafkaMetrics
	clients  *kafka.Metrics
	sinks    *sinks.Metrics
	tracing  *tracing.Metrics

	good         prometheus.Gauge
	when         prometheus.Gauge
	hash         *prometheus.GaugeVec
	reloads      *prometheus.CounterVec
	certificates *prometheus.GaugeVec
}

// Outcomes of a reload.
const (
	reloadLoaded    = "loaded"
	reloadRefused   = "refused"
	reloadUnchanged = "unchanged"
)

// Build says what a program was made of.
type Build struct{ Version, Revision string }

func newMetrics(reg prometheus.Registerer, b Build) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		pipeline: pipeline.NewMetrics(reg), sources: sources.NewKafkaMetrics(reg), clients: kafka.NewMetrics(reg), sinks: sinks.NewMetrics(reg),
		tracing: tracing.NewMetrics(reg),
		good: f.NewGauge(prometheus.GaugeOpts{
			Name: "gonomaly_config_last_reload_successful", Help: "1 if the last configuration that was loaded is in force, 0 if it was refused.",
		}),
		when: f.NewGauge(prometheus.GaugeOpts{
			Name: "gonomaly_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded, Unix seconds.",
		}),
		hash: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gonomaly_config_info", Help: "1 for each stream in force, with the hash of its detection settings.",
		}, []string{"stream", "hash"}),
		reloads: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gonomaly_config_reloads_total", Help: "Reloads by outcome: loaded; refused, so that the last good configuration stays in force; or unchanged.",
		}, []string{"outcome"}),
		certificates: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gonomaly_tls_certificate_not_after_timestamp_seconds",
			Help: "When a configured certificate ends, Unix seconds: of a client's chain the first to end, of a file of authorities the last. The files are read at the start of the process.",
		}, []string{"use"}),
	}
	for _, outcome := range []string{reloadLoaded, reloadRefused, reloadUnchanged} {
		m.reloads.WithLabelValues(outcome)
	}
	f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gonomaly_build_info", Help: "1, with what the program was made of.",
	}, []string{"version", "revision", "goversion"}).WithLabelValues(cmp.Or(b.Version, "unknown"), cmp.Or(b.Revision, "unknown"), runtime.Version()).Set(1)
	return m
}

// loaded notes the configuration that is in force.
func (m *metrics) loaded(c *config.Config) {
	m.good.Set(1)
	m.when.SetToCurrentTime()
	m.hash.Reset()
	for i := range c.Streams {
		m.hash.WithLabelValues(c.Streams[i].Name, c.Streams[i].Hash()).Set(1)
	}
}

func (m *metrics) refused() {
	m.good.Set(0)
	m.reloads.WithLabelValues(reloadRefused).Inc()
}
