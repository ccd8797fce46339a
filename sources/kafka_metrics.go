package sources

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gonomaly/gonomaly/pipeline"
)

// KafkaMetrics are those of all Kafka sources of a process.
type KafkaMetrics struct {
	transactions    *prometheus.CounterVec
	transactionTime *prometheus.HistogramVec
	messages        *prometheus.CounterVec
	latency         *prometheus.HistogramVec
	rebuilds        *prometheus.CounterVec
	rebalances      *prometheus.CounterVec
	fetchErrors     *prometheus.CounterVec
	gaps            *prometheus.CounterVec
	losses          *prometheus.CounterVec
	cutRebuilds     *prometheus.CounterVec
	recreated       *prometheus.CounterVec
	skipped         *prometheus.CounterVec
	skippedOffsets  *prometheus.CounterVec
	cut             *prometheus.CounterVec
	stuck           *prometheus.CounterVec
	forced          *prometheus.CounterVec
	fenced          *prometheus.CounterVec
	rests           *prometheus.CounterVec
	overruns        *prometheus.CounterVec

	records, seconds, unfolded *prometheus.Desc

	plain []*prometheus.CounterVec // with no label but the stream's

	mu   sync.Mutex
	lags map[[3]string]*lag
}

// NewKafkaMetrics registers the metrics of Kafka sources; once for each registry.
func NewKafkaMetrics(reg prometheus.Registerer) *KafkaMetrics {
	f := promauto.With(reg)
	var plain []*prometheus.CounterVec
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := f.NewCounterVec(prometheus.CounterOpts{Name: "gonomaly_" + name, Help: help}, append([]string{"stream"}, labels...))
		if len(labels) == 0 {
			plain = append(plain, c)
		}
		return c
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gonomaly_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.005, 2, 14), NativeHistogramBucketFactor: 1.1,
		}, []string{"stream"})
	}
	partition := []string{"stream", "topic", "partition"}
	m := &KafkaMetrics{
		transactions:    counter("transactions_total", "Kafka transactions by outcome; with delivery at-least-once commits.", "outcome"),
		transactionTime: histogram("transaction_seconds", "Time to flush and commit."),
		messages:        counter("messages_written_total", "Messages written and committed: alerts and dead letters.", "topic"),
		latency:         histogram("alert_latency_seconds", "Time from a record's Kafka timestamp to the commit of the alert that it triggered."),
		rebuilds:        counter("kafka_client_rebuilds_total", "Clients that failed and were made anew."),
		rebalances:      counter("kafka_rebalances_total", "Times that partitions were assigned."),
		fetchErrors:     counter("kafka_fetch_errors_total", "Fetches of a partition that failed."),
		gaps:            counter("kafka_gaps_total", "Times that retention had deleted records before they were read."),
		losses:          counter("kafka_data_losses_total", "Times that the brokers had lost records that were read already."),
		cutRebuilds:     counter("kafka_rebuilds_cut_total", "Partitions whose state was rebuilt from a part of their log only, as rebuild has it."),
		recreated:       counter("kafka_topics_recreated_total", "Topics found deleted and made anew."),
		skipped:         counter("kafka_batches_skipped_total", "Batches that were stepped over because they cannot be decoded, or not within bounds."),
		skippedOffsets:  counter("kafka_offsets_skipped_total", "Offsets of the batches that were stepped over."),
		cut:             counter("messages_cut_total", "Messages cut to what a broker takes."),
		stuck:           counter("kafka_stuck_total", "Times that the watchdog found no progress while the log grew."),
		forced:          counter("kafka_forced_rebalances_total", "Rebalances asked for because partitions had no member in a stable group."),
		fenced:          counter("kafka_fenced_total", "Times that another process with this instance's name took its place."),
		rests:           counter("memory_rests_total", "Times that fetching rested because memory stood near GOMEMLIMIT."),
		overruns:        counter("memory_overruns_total", "Times that fetching went on after a rest although memory had not fallen."),
		records:         prometheus.NewDesc("gonomaly_kafka_lag_records", "Offsets between the next record wanted and the last stable offset.", partition, nil),
		seconds: prometheus.NewDesc("gonomaly_time_lag_seconds",
			"Time since the Kafka timestamp of the next unprocessed record; 0 when there is none.", partition, nil),
		unfolded: prometheus.NewDesc("gonomaly_restore_records_left",
			"Offsets committed before the partition was taken over that its state is still to fold; nothing is told before that.", partition, nil),
		lags: map[[3]string]*lag{},
	}
	m.plain = plain
	reg.MustRegister(m)
	return m
}

// begin has the counters of a stream stand at 0: a rate over one that is not there yet misses what it counts first.
func (m *KafkaMetrics) begin(stream string) {
	for _, c := range m.plain {
		c.WithLabelValues(stream)
	}
}

// written counts a message whose transaction is committed.
func (m *KafkaMetrics) written(stream string, message *pipeline.Message, alerts string, now time.Time) {
	m.messages.WithLabelValues(stream, message.Topic).Inc()
	if message.Topic == alerts && message.Time > 0 {
		m.latency.WithLabelValues(stream).Observe(max(0, now.Sub(time.Unix(0, message.Time)).Seconds()))
	}
}

func lagLabels(stream string, p pipeline.Partition) [3]string {
	return [3]string{stream, p.Topic, strconv.Itoa(int(p.ID))}
}

func (m *KafkaMetrics) track(stream string, p pipeline.Partition, l *lag) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lags[lagLabels(stream, p)] = l
}

// untrack forgets a partition's lag: one reported for a partition that has moved away would never end.
func (m *KafkaMetrics) untrack(stream string, p pipeline.Partition, l *lag) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := lagLabels(stream, p); m.lags[at] == l {
		delete(m.lags, at)
	}
}

// Describe is part of prometheus.Collector.
func (m *KafkaMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.records
	ch <- m.seconds
	ch <- m.unfolded
}

// Collect is part of prometheus.Collector.
func (m *KafkaMetrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for labels, l := range m.lags {
		left, known := l.records()
		if !known {
			continue
		}
		ch <- prometheus.MustNewConstMetric(m.records, prometheus.GaugeValue, float64(left), labels[:]...)
		ch <- prometheus.MustNewConstMetric(m.seconds, prometheus.GaugeValue, l.seconds(time.Now()), labels[:]...)
		ch <- prometheus.MustNewConstMetric(m.unfolded, prometheus.GaugeValue, float64(l.unfolded()), labels[:]...)
	}
}
