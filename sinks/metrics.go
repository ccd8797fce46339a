package sinks

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/sony/gobreaker/v2"
)

// Metrics are those of all sinks of a process.
type Metrics struct {
	deliveries *prometheus.CounterVec
	retries    *prometheus.CounterVec
	failures   *prometheus.CounterVec
	rewinds    *prometheus.CounterVec
	breaker    *prometheus.GaugeVec
	lag        *prometheus.GaugeVec
	oldest     *prometheus.GaugeVec
	latency    *prometheus.HistogramVec
}

// What became of an alert at a sink.
const (
	delivered  = "delivered"
	refused    = "refused"
	unreadable = "unreadable"
)

// NewMetrics registers the metrics of sinks; once for each registry, for the routers that follow each other.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "gonomaly_sink_" + name, Help: help}, append([]string{"sink"}, labels...))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: "gonomaly_sink_" + name, Help: help}, append([]string{"sink"}, labels...))
	}
	return &Metrics{
		deliveries: counter("deliveries_total", "Alerts by what became of them: delivered; refused or unreadable, and so in the dead-letter topic.", "outcome"),
		retries:    counter("retries_total", "Waits before another attempt."),
		failures:   counter("failures_total", "Attempts that a sink, or its dead-letter topic, answered with an error."),
		rewinds:    counter("rewinds_total", "Times a sink had lost writes, and was read back to what it has."),
		breaker:    gauge("breaker_state", "Breaker of the sink: 0 closed, 1 half open, 2 open."),
		lag:        gauge("lag_records", "Records of the alerts topic not yet delivered.", "topic", "partition"),
		oldest:     gauge("oldest_undelivered_seconds", "Age of the oldest record not yet delivered; 0 when there is none.", "topic", "partition"),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gonomaly_sink_delivery_seconds", Help: "Time from an alert's record in the alerts topic to its delivery.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 9), NativeHistogramBucketFactor: 1.1,
		}, []string{"sink"}),
	}
}

// of makes a sink's series appear before anything happens.
func (m *Metrics) of(sink string) {
	for _, outcome := range []string{delivered, refused, unreadable} {
		m.deliveries.WithLabelValues(sink, outcome)
	}
	m.retries.WithLabelValues(sink)
	m.failures.WithLabelValues(sink)
	m.rewinds.WithLabelValues(sink)
	m.state(sink, gobreaker.StateClosed)
}

// Forget drops what is told of a sink that is no longer configured: its breaker, open for ever, would keep somebody awake.
func (m *Metrics) Forget(sink string) {
	labels := prometheus.Labels{"sink": sink}
	for _, v := range []*prometheus.CounterVec{m.deliveries, m.retries, m.failures, m.rewinds} {
		v.DeletePartialMatch(labels)
	}
	for _, v := range []*prometheus.GaugeVec{m.breaker, m.lag, m.oldest} {
		v.DeletePartialMatch(labels)
	}
	m.latency.DeletePartialMatch(labels)
}

func (m *Metrics) state(sink string, s gobreaker.State) {
	m.breaker.WithLabelValues(sink).Set(float64(s))
}
