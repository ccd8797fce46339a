package service

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gonomaly/gonomaly/config"
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

	good prometheus.Gauge
	when prometheus.Gauge
	hash *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		pipeline: pipeline.NewMetrics(reg), sources: sources.NewKafkaMetrics(reg), clients: kafka.NewMetrics(reg), sinks: sinks.NewMetrics(reg),
		good: f.NewGauge(prometheus.GaugeOpts{
			Name: "gonomaly_config_last_reload_successful", Help: "1 if the last configuration that was loaded is in force, 0 if it was refused.",
		}),
		when: f.NewGauge(prometheus.GaugeOpts{
			Name: "gonomaly_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded, Unix seconds.",
		}),
		hash: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gonomaly_config_info", Help: "1 for each stream in force, with the hash of its detection settings.",
		}, []string{"stream", "hash"}),
	}
}

func (m *metrics) loaded(c *config.Config) {
	m.good.Set(1)
	m.when.SetToCurrentTime()
	m.hash.Reset()
	for i := range c.Streams {
		m.hash.WithLabelValues(c.Streams[i].Name, c.Streams[i].Hash()).Set(1)
	}
}

func (m *metrics) refused() { m.good.Set(0) }
