package pipeline

import (
	"math"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// Metrics are those of all streams of a process.
type Metrics struct {
	sums        *together // received and records: the ones add up to the others
	received    *prometheus.CounterVec
	bytes       *prometheus.CounterVec
	future      *prometheus.CounterVec
	stages      [stages]*prometheus.CounterVec
	records     *prometheus.CounterVec
	replayed    *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	points      *prometheus.CounterVec
	alerts      *prometheus.CounterVec
	suppressed  *prometheus.CounterVec
	process     *prometheus.HistogramVec
	series      *prometheus.GaugeVec
	learning    *prometheus.GaugeVec
	watermark   *prometheus.GaugeVec

	checkpoints        *prometheus.CounterVec
	checkpointAge      *ages
	checkpointDuration *prometheus.HistogramVec
	checkpointBytes    *prometheus.GaugeVec
	checkpointPause    *prometheus.HistogramVec

	checkpointBytesTotal *prometheus.CounterVec
	evicted              *prometheus.CounterVec
	restores             *prometheus.CounterVec
}

// NewMetrics registers the metrics of streams; once for each registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counterOf := func(f promauto.Factory, name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "gonomaly_" + name, Help: help}, append([]string{"stream"}, labels...))
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return counterOf(f, name, help, labels...)
	}
	summed := func(name, help string, labels ...string) *prometheus.CounterVec {
		return counterOf(promauto.With(nil), name, help, labels...) // registered below
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: "gonomaly_" + name, Help: help}, partitionLabels)
	}
	histogram := func(name, help string, first float64) *prometheus.HistogramVec {
		return f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gonomaly_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(first, 4, 8), NativeHistogramBucketFactor: 1.1,
		}, []string{"stream"})
	}
	m := &Metrics{
		received:    summed("records_received_total", "Records taken from topics. They equal the sum of gonomaly_records_total over its outcomes, in every scrape."),
		bytes:       counter("received_bytes_total", "Bytes of the keys and values of the records taken from topics."),
		future:      counter("future_records_total", "Records whose event time lies more than a minute after this machine's clock, although their Kafka timestamp allows it: a clock is off."),
		records:     summed("records_total", "Records by what became of them: scored, warming (only learned), aggregated (into a window), late, incomplete (decode.missing is last, and some value of the key has never come), not_admitted (no room for the key), dead_lettered, filtered (of a kind that decode.where leaves out, or a tombstone), or probe (a heartbeat's, which is not judged).", "topic", "outcome"),
		replayed:    counter("records_replayed_total", "Records folded again in recovery, without output; counted nowhere else."),
		deadLetters: counter("dead_letters_total", "Records set aside as undecodable, by why.", "reason"),
		points:      counter("points_total", "Points given to detectors, but for those of records that are replayed: one for each record, or for each closed window."),
		alerts:      counter("alerts_total", "Alerts told: an anomaly, a drift or a silence, that opens an incident, updates it, or resolves it.", "kind", "status"),
		suppressed:  counter("alerts_suppressed_total", "Points over the limit, or changes, that raised no alert: an incident is open, or direction or min_deviation is not met; points that only a single detector (combination), or only its nominal law (calibration), has over the limit; and points that a detector itself holds back (recurring, habit, unproven, lone).", "kind", "reason"),
		process:     histogram("process_seconds", "Time to take records of one partition through the detectors: those of a poll, or a thousand at a time where they lie far apart.", 1e-4),
		series:      gauge("series", "Keys held."),
		learning:    gauge("series_learning", "Keys held that are in warm-up: no detector has a score of theirs yet."),
		watermark:   gauge("watermark_timestamp_seconds", "Event time up to which windows and cool-downs are done, Unix seconds."),

		checkpoints:        counter("checkpoints_total", "Checkpoints by outcome: stored, failed (and tried again), or broken (the store wants a whole one, which follows).", "outcome"),
		checkpointAge:      newAges("gonomaly_checkpoint_age_seconds", "Time since the state was last checkpointed, or the partition assigned."),
		checkpointDuration: histogram("checkpoint_seconds", "Time to store one checkpoint.", 1e-3),
		checkpointBytes:    gauge("checkpoint_bytes", "Size of the last whole checkpoint, before compression."),
		checkpointPause:    histogram("checkpoint_pause_seconds", "Times for which a partition waits while a piece of its state is encoded.", 1e-5),

		checkpointBytesTotal: counter("checkpoint_bytes_total", "Bytes of state checkpointed, before compression: whole, or what has changed.", "kind"),
		evicted:              counter("series_evicted_total", "Series forgotten: idle, or for a key that comes more often when there was no more room.", "reason"),
		restores:             counter("restores_total", "Partitions taken over, by where their state came from: checkpoint, log (rebuilt), or none (new), to which history (warm_up) may add.", "from"),
	}
	for s, name := range stageNames {
		m.stages[s] = f.NewCounterVec(prometheus.CounterOpts{Name: StageName, Help: StageHelp, ConstLabels: prometheus.Labels{"stage": name}}, []string{"stream"})
	}
	m.sums = &together{all: []prometheus.Collector{m.received, m.records}}
	reg.MustRegister(m.checkpointAge, m.sums)
	return m
}

// begin has what is counted of a stream stand at 0: a rate over a counter that is not there yet misses what it counts first.
func (m *Metrics) begin(stream string, topics []string) {
	m.checkpoints.WithLabelValues(stream, "stored")
	m.checkpoints.WithLabelValues(stream, "failed")
	m.checkpoints.WithLabelValues(stream, "broken")
	m.checkpointBytesTotal.WithLabelValues(stream, "whole")
	m.checkpointBytesTotal.WithLabelValues(stream, "changes")
	for _, why := range decode.Reasons() {
		m.deadLetters.WithLabelValues(stream, string(why))
	}
	for _, k := range kinds {
		for _, s := range []Status{Open, Update, Resolve} {
			if k == Anomaly || s != Update { // nothing else is told again
				m.alerts.WithLabelValues(stream, string(k), string(s))
			}
		}
	}
	for why := range evictionReasons {
		m.evicted.WithLabelValues(stream, string(why))
	}
	for _, from := range []string{"checkpoint", "history", "log", "none"} {
		m.restores.WithLabelValues(stream, from)
	}
	for _, topic := range topics {
		for o := range outcomes {
			m.records.WithLabelValues(stream, topic, o.String())
		}
	}
	for k, reasons := range reasonsUntold {
		for _, why := range reasons {
			m.suppressed.WithLabelValues(stream, string(k), string(why))
		}
	}
	m.received.WithLabelValues(stream)
	m.bytes.WithLabelValues(stream)
	m.future.WithLabelValues(stream)
	for _, s := range m.stages {
		s.WithLabelValues(stream)
	}
	m.replayed.WithLabelValues(stream)
	m.points.WithLabelValues(stream)
}

var partitionLabels = []string{"stream", "topic", "partition"}

func (s *Stream) labels(p Partition) []string {
	return []string{s.name, p.Topic, strconv.Itoa(int(p.ID))}
}

// add brings the counters up to what the worker has counted since the last call. Where records come a few at a time, finding a counter costs
// as much as a record: those that have not moved are left alone.
func (m *Metrics) add(stream, topic string, now, before *Counts) {
	for o := range outcomes {
		before.Outcomes[o] = move(m.records, now.Outcomes[o], before.Outcomes[o], stream, topic, o.String())
	}
	for r, n := range now.Reasons {
		before.Reasons[r] = move(m.deadLetters, n, before.Reasons[r], stream, string(r))
	}
	for k, statuses := range now.Alerts {
		for s, n := range statuses {
			before.Alerts[k][s] = move(m.alerts, n, before.Alerts[k][s], stream, string(k), string(s))
		}
	}
	for k, reasons := range now.Untold {
		for why, n := range reasons {
			before.Untold[k][why] = move(m.suppressed, n, before.Untold[k][why], stream, string(k), string(why))
		}
	}
	for why, n := range now.Evicted {
		before.Evicted[why] = move(m.evicted, n, before.Evicted[why], stream, string(why))
	}
	before.Future = move(m.future, now.Future, before.Future, stream)
	before.Replayed = move(m.replayed, now.Replayed, before.Replayed, stream)
	before.Points = move(m.points, now.Points, before.Points, stream)
}

// tellWatermark is called at the assignment, too: of a partition that has no more records it is the one thing that says since when.
func (m *Metrics) tellWatermark(part *partition) {
	if at := part.worker.watermark; at > math.MinInt64 {
		m.watermark.WithLabelValues(part.labels...).Set(float64(at) / 1e9)
	}
}

// move brings the counter with these labels from before to now, and returns now.
func move(c *prometheus.CounterVec, now, before uint64, labels ...string) uint64 {
	if now != before {
		c.WithLabelValues(labels...).Add(float64(now - before))
	}
	return now
}

// forget drops the gauges of a partition that is no longer ours.
func (m *Metrics) forget(labels []string) {
	m.series.DeleteLabelValues(labels...)
	m.learning.DeleteLabelValues(labels...)
	m.watermark.DeleteLabelValues(labels...)
	m.checkpointBytes.DeleteLabelValues(labels...)
	m.checkpointAge.forget(labels)
}
