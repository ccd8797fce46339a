package pipeline

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ages is a gauge of the time since something last happened to a partition, worked out when it is read.
type ages struct {
	desc *prometheus.Desc

	mu    sync.Mutex
	since map[[3]string]time.Time
}

func newAges(name, help string) *ages {
	return &ages{desc: prometheus.NewDesc(name, help, partitionLabels, nil), since: map[[3]string]time.Time{}}
}

func (a *ages) set(labels []string, t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since[[3]string(labels)] = t
}

func (a *ages) forget(labels []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.since, [3]string(labels))
}

// Describe is part of prometheus.Collector.
func (a *ages) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

// Collect is part of prometheus.Collector.
func (a *ages) Collect(ch chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for labels, t := range a.since {
		ch <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, max(0, time.Since(t).Seconds()), labels[:]...)
	}
}
