package sources

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gonomaly/gonomaly/internal/tracing"
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
	gapOffsets      *prometheus.CounterVec
	losses          *prometheus.CounterVec
	cutRebuilds     *prometheus.CounterVec
	recreated       *prometheus.CounterVec
	skipped         *prometheus.CounterVec
	skippedOffsets  *prometheus.CounterVec
	cut             *prometheus.CounterVec
	stuck           *prometheus.CounterVec
	forced          *prometheus.CounterVec
	fenced          *prometheus.CounterVec
	nameTaken       *prometheus.GaugeVec
	rests           *prometheus.CounterVec
	overruns        *prometheus.CounterVec
	commits         *prometheus.CounterVec
	restores        *prometheus.HistogramVec
	polls           *prometheus.HistogramVec
	batches         *prometheus.HistogramVec
	progress        *prometheus.GaugeVec
	unowned         *prometheus.GaugeVec
	probes          *prometheus.CounterVec
	roundTrips      *prometheus.HistogramVec
	returned        *prometheus.GaugeVec

	records, seconds, withheld, unfolded, status *prometheus.Desc

	plain []*prometheus.CounterVec // with no label but the stream's

	mu       sync.Mutex
	lags     map[[3]string]*lag
	sessions map[string]*session // by stream
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
	spread := func(name, help string, first, factor float64) *prometheus.HistogramVec {
		return f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gonomaly_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(first, factor, 14), NativeHistogramBucketFactor: 1.1,
		}, []string{"stream"})
	}
	histogram := func(name, help string) *prometheus.HistogramVec { return spread(name, help, 0.005, 2) }
	gauge := func(name, help string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Name: "gonomaly_" + name, Help: help}, []string{"stream"})
	}
	partition := []string{"stream", "topic", "partition"}
	m := &KafkaMetrics{
		transactions:    counter("transactions_total", "Kafka transactions by outcome; with delivery at-least-once commits.", "outcome"),
		transactionTime: histogram("transaction_seconds", "Time to flush and commit."),
		messages:        counter("messages_written_total", "Messages written and committed: alerts, dead letters, and answers to probes.", "topic"),
		latency:         histogram("alert_latency_seconds", "Time from a record's Kafka timestamp to the commit of the alert that it triggered."),
		rebuilds:        counter("kafka_client_rebuilds_total", "Clients that failed and were made anew."),
		rebalances:      counter("kafka_rebalances_total", "Times that partitions were assigned."),
		fetchErrors:     counter("kafka_fetch_errors_total", "Fetches of a partition that failed."),
		gaps:            counter("kafka_gaps_total", "Times that retention had deleted records before they were read."),
		gapOffsets:      counter("kafka_gap_offsets_total", "Offsets that were never read, for retention had deleted them."),
		losses:          counter("kafka_data_losses_total", "Times that the brokers had lost records that were read already."),
		cutRebuilds:     counter("kafka_rebuilds_cut_total", "Partitions whose state was rebuilt from a part of their log only, as rebuild has it."),
		recreated:       counter("kafka_topics_recreated_total", "Topics found deleted and made anew."),
		skipped:         counter("kafka_batches_skipped_total", "Batches that were stepped over because they cannot be decoded, or not within bounds."),
		skippedOffsets:  counter("kafka_offsets_skipped_total", "Offsets of the batches that were stepped over."),
		cut:             counter("messages_cut_total", "Messages cut to what a broker takes."),
		stuck:           counter("kafka_stuck_total", "Times that the watchdog found no progress while the log grew."),
		forced:          counter("kafka_forced_rebalances_total", "Rebalances asked for because partitions had no member in a stable group."),
		fenced:          counter("kafka_fenced_total", "Times that another process with this instance's name took its place."),
		nameTaken:       gauge("kafka_name_taken", "1 while another process runs under this instance's name: this one waits until that is gone, and reads nothing."),
		rests:           counter("memory_rests_total", "Times that fetching rested because memory stood near GOMEMLIMIT."),
		overruns:        counter("memory_overruns_total", "Times that fetching went on after a rest although memory had not fallen."),
		commits: f.NewCounterVec(prometheus.CounterOpts{
			Name: pipeline.StageName, Help: pipeline.StageHelp, ConstLabels: prometheus.Labels{"stage": "commit"},
		}, []string{"stream"}),
		restores: histogram("restore_seconds", "Time from the assignment of a partition until all that was committed before is folded and its records are told of."),
		polls:    histogram("poll_interval_seconds", "Times between two polls of the loop: what is processed, written and committed in between."),
		batches:  spread("batch_records", "Records of one partition in one poll.", 1, 4),
		progress: gauge("loop_last_progress_timestamp_seconds", "When the loop last began a turn or processed records within one, Unix seconds: what /-/healthy goes by."),
		unowned:  gauge("partitions_unowned", "Partitions of the stream's topics that no member of its group has, while the group is stable; each member tells the same."),
		probes: counter("probes_total", "Probes by what became of them: returned, lost (no answer to it within probe.timeout), or failed (it could not be written, or answers not be read; where no round can even "+
			"begin, each counts one). Each instance counts its own.", "topic", "outcome"),
		roundTrips: histogram("probe_round_trip_seconds", "Time from when a probe is written to its topic until its answer is read from the alerts topic, of those that returned."),
		returned: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gonomaly_probe_last_return_timestamp_seconds", Help: "When a probe of the topic last returned, or probing began, Unix seconds.",
		}, []string{"stream", "topic"}),
		records: prometheus.NewDesc("gonomaly_kafka_lag_records",
			"Offsets between the next record wanted and the last stable offset, transaction markers among them; 0 when no data record is left. "+
				"Not there while the broker does not answer.", partition, nil),
		seconds: prometheus.NewDesc("gonomaly_time_lag_seconds",
			"Time since the Kafka timestamp of the next unprocessed data record; 0 when none is left below the last stable offset. The broker is asked at each scrape; "+
				"not there while it does not answer.", partition, nil),
		withheld: prometheus.NewDesc("gonomaly_kafka_withheld_seconds",
			"Time that the last stable offset has stood still although records lie beyond it: those of a transaction that is not ended, and all behind them. They are no lag, "+
				"for nobody can read them yet. 0 while it moves; not there while the broker does not answer.", partition, nil),
		status: prometheus.NewDesc("gonomaly_partition_status",
			"1 for how the partition's consumption goes, 0 for the others, as Burrow has it: ok; warn, the lag does not shrink; stall, the offset does not advance; "+
				"stop, the loop does not turn; rewind, the offset was set back.", append(partition, "status"), nil),
		unfolded: prometheus.NewDesc("gonomaly_restore_records_left",
			"Offsets committed before the partition was taken over that its state is still to fold; nothing is told before that.", partition, nil),
		lags: map[[3]string]*lag{}, sessions: map[string]*session{},
	}
	m.plain = plain
	reg.MustRegister(m)
	return m
}

// begin has the counters of a stream stand at 0: a rate over one that is not there yet misses what it counts first.
func (m *KafkaMetrics) begin(stream string, outputs []string) {
	for _, topic := range outputs {
		m.messages.WithLabelValues(stream, topic)
	}
	for _, c := range append(m.plain, m.commits) {
		c.WithLabelValues(stream)
	}
	m.nameTaken.WithLabelValues(stream)
	for _, outcome := range []string{"committed", "aborted", "failed"} {
		m.transactions.WithLabelValues(stream, outcome)
	}
}

// follow has scrapes ask the brokers through a session, until unfollow.
func (m *KafkaMetrics) follow(stream string, s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions[stream] = s
}

func (m *KafkaMetrics) unfollow(stream string, s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[stream] == s {
		delete(m.sessions, stream)
	}
}

// written counts a message whose transaction is committed.
func (m *KafkaMetrics) written(stream string, message *pipeline.Message, alerts string, now time.Time) {
	m.messages.WithLabelValues(stream, message.Topic).Inc()
	if message.Topic == alerts && message.Time > 0 {
		var trace pipeline.TraceContext
		if message.Trace != nil {
			trace = message.Trace.TraceContext
		}
		tracing.Observe(m.latency.WithLabelValues(stream), max(0, now.Sub(time.Unix(0, message.Time)).Seconds()), trace)
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
	ch <- m.withheld
	ch <- m.unfolded
	ch <- m.status
}

// Collect is part of prometheus.Collector. It waits for brokers a moment at most.
func (m *KafkaMetrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	lags, sessions := maps.Clone(m.lags), maps.Clone(m.sessions)
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lookWait)
	defer cancel()
	var looking sync.WaitGroup
	for _, s := range sessions {
		looking.Go(func() { s.look(ctx, true) })
	}
	looking.Wait()
	for labels, l := range lags {
		s := sessions[labels[0]]
		if s == nil {
			continue
		}
		now := time.Now()
		t, known := l.tell(now, s.watching.every)
		if !known {
			continue
		}
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
		}
		gauge(m.records, float64(t.records), labels[:]...)
		gauge(m.withheld, t.withheld, labels[:]...)
		gauge(m.unfolded, float64(t.unfolded), labels[:]...)
		if t.timed {
			gauge(m.seconds, t.seconds, labels[:]...)
		}
		is := l.window.status(t.records, now)
		for one, name := range statusNames {
			on := 0.0
			if status(one) == is {
				on = 1
			}
			gauge(m.status, on, append(labels[:], name)...)
		}
	}
}
