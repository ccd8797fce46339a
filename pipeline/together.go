package pipeline

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// together are metrics that a scrape tells as of one moment. Each by itself would be read a little before or after the others, and what adds up
// would seem not to; in the last scrape of a process that would stay so.
type together struct {
	moving sync.RWMutex // held for reading while they move
	all    []prometheus.Collector
}

// Describe is part of prometheus.Collector.
func (t *together) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range t.all {
		c.Describe(ch)
	}
}

// Collect is part of prometheus.Collector.
func (t *together) Collect(ch chan<- prometheus.Metric) {
	for _, m := range t.read() {
		ch <- m
	}
}

func (t *together) read() (now []prometheus.Metric) {
	t.moving.Lock()
	defer t.moving.Unlock()
	for _, c := range t.all {
		living := make(chan prometheus.Metric)
		go func() {
			c.Collect(living)
			close(living)
		}()
		for m := range living {
			s := still{desc: m.Desc()}
			s.err = m.Write(&s.value)
			now = append(now, &s)
		}
	}
	return now
}

// still is what a metric was.
type still struct {
	desc  *prometheus.Desc
	value dto.Metric
	err   error
}

// Desc is part of prometheus.Metric.
func (s *still) Desc() *prometheus.Desc { return s.desc }

// Write is part of prometheus.Metric.
func (s *still) Write(to *dto.Metric) error {
	to.Label, to.Counter, to.Gauge = s.value.Label, s.value.Counter, s.value.Gauge
	return s.err
}
