package top

import (
	"cmp"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/service/recent"
)

// unknown stands for what an instance does not say.
var unknown = math.NaN()

// View is what the instances come to together.
type View struct {
	At         time.Time
	Instances  []Instance
	Streams    []Stream
	Partitions []Partition
	Sinks      []Sink
	Troubles   []Trouble

	Since     time.Time // incidents are counted since; zero where no instance counts them
	Incidents int       // opened since
	Keys      []recent.Key
	Alerts    []Alert
}

// Instance is one process.
type Instance struct {
	Name       string // host and port
	Err        error  // it does not answer
	Ready      bool
	Stuck      bool // a loop of it makes no progress
	Says       []string
	Version    string
	Up         float64 // seconds
	CPU        float64 // cores
	Memory     float64 // bytes resident
	Records    count
	Alerts     count
	Lag        float64 // seconds, of the worst partition
	Partitions int
}

// Stream is one path, over all instances.
type Stream struct {
	Name                                        string
	Records, Alerts, Suppressed, Dead, Replayed count
	Left                                        float64 // records to fold before partitions that were taken over tell again
	Unowned                                     float64 // partitions that no instance has
}

// Partition is what an instance says of one that it has.
type Partition struct {
	Instance, Stream, Topic string
	ID                      int
	Status                  string  // "" where it is not told
	Records                 float64 // of lag
	Lag                     float64 // seconds
	Series, Learning        float64
	Watermark               float64 // seconds that event time stands behind the clock
	Checkpoint              float64 // seconds since the last
}

// Sink is one over all instances.
type Sink struct {
	Name      string
	Delivered count
	Aside     count   // refused or unreadable
	Retries   count   // waits before another attempt
	Lag       float64 // records
	Oldest    float64 // seconds that the oldest undelivered alert has waited
	Breaker   float64 // the worst: 0 closed, 1 half open, 2 open
}

// Trouble is a counter that stays at 0 where all is well.
type Trouble struct {
	What  string
	Count count
}

// troubles are the counters that tell of trouble, and what people call them. The label, if any, says what kind, and some kinds are none.
var troubles = []struct {
	metric, what, label string
	but                 []string
}{
	{"gonomaly_dead_letters_total", "dead letters", "reason", nil},
	{"gonomaly_future_records_total", "records of the future", "", nil},
	{"gonomaly_redis_errors_total", "Redis errors", "reason", nil},
	{"gonomaly_transactions_total", "transactions", "outcome", []string{"committed"}},
	{"gonomaly_checkpoints_total", "checkpoints", "outcome", []string{"stored"}},
	{"gonomaly_checkpoints_damaged_total", "checkpoints damaged", "", nil},
	{"gonomaly_checkpoints_lost_total", "checkpoints lost", "", nil},
	{"gonomaly_config_reloads_total", "reloads", "outcome", []string{"loaded", "unchanged"}},
	{"gonomaly_kafka_authentication_failures_total", "not let in by Kafka:", "reason", nil},
	{"gonomaly_kafka_authorization_failures_total", "denied by Kafka:", "resource", nil},
	{"gonomaly_kafka_fetch_errors_total", "fetches failed", "", nil},
	{"gonomaly_kafka_client_rebuilds_total", "Kafka clients made anew", "", nil},
	{"gonomaly_kafka_fenced_total", "instance's name taken by another", "", nil},
	{"gonomaly_kafka_stuck_total", "partitions found stuck", "", nil},
	{"gonomaly_kafka_gaps_total", "gaps left by retention", "", nil},
	{"gonomaly_kafka_data_losses_total", "records lost by brokers", "", nil},
	{"gonomaly_kafka_batches_skipped_total", "batches stepped over", "", nil},
	{"gonomaly_memory_rests_total", "rests for memory", "", nil},
	{"gonomaly_sink_failures_total", "attempts failed at sink", "sink", nil},
	{"gonomaly_sink_rewinds_total", "rewinds of sink", "sink", nil},
}

// look makes a View of what instances said last, and before that: before lacks those that are asked for the first time.
func look(now []Scrape, before map[string]*Scrape, at time.Time) View {
	v := View{At: at}
	streams, sinks, troubles, keys := map[string]Stream{}, map[string]Sink{}, map[string]Trouble{}, map[[2]string]recent.Key{}
	for i := range now {
		s := &now[i]
		in := Instance{Name: name(s.URL), Err: s.Err, Ready: s.Ready, Stuck: s.Stuck, Says: slices.Concat(s.Loops, s.Says)}
		if s.Err == nil {
			c := between(before[s.URL], s)
			partitions := c.partitions(in.Name)
			in.measure(c, partitions)
			v.Partitions = append(v.Partitions, partitions...)
			c.addStreams(streams)
			c.addSinks(sinks)
			c.addTroubles(troubles)
			v.addTold(s, keys)
		}
		v.Instances = append(v.Instances, in)
	}
	v.Streams = sorted(streams, func(s Stream) string { return s.Name })
	v.Sinks = sorted(sinks, func(s Sink) string { return s.Name })
	v.Troubles = sorted(troubles, func(t Trouble) string { return t.What })
	v.sortTold(keys)
	return v
}

func sorted[T any](m map[string]T, by func(T) string) []T {
	var all []T
	for _, t := range m {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(by(a), by(b)) })
	return all
}

// name is what is left of a URL that tells instances apart.
func name(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

func (in *Instance) measure(c change, partitions []Partition) {
	in.Up, in.Memory, in.CPU = unknown, unknown, unknown
	if begin, known := c.now.value(started); known {
		in.Up = max(0, float64(c.now.At.UnixMilli())/1000-begin)
	}
	if bytes, known := c.now.value("process_resident_memory_bytes"); known {
		in.Memory = bytes
	}
	if cpu := c.sum("process_cpu_seconds_total"); cpu.Known {
		in.CPU = cpu.Rate
	}
	c.now.Each("gonomaly_build_info", func(l labels, _ float64) { in.Version = l["version"] })
	in.Records, in.Alerts = c.sum("gonomaly_records_received_total"), c.sum("gonomaly_alerts_total")
	in.Alerts.Known = in.Records.Known // before the first of them there is no counter
	in.Partitions = len(partitions)
	if len(partitions) > 0 {
		in.Lag = unknown // of a partition is not told while its broker does not answer
	}
	for _, p := range partitions {
		if !math.IsNaN(p.Lag) {
			in.Lag = max(known(in.Lag), p.Lag)
		}
	}
}

// known is a number, or 0 for none.
func known(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}

// partitions are those of the instance, as it tells of their lag or of what is restored.
func (c change) partitions(instance string) []Partition {
	found := map[string]*Partition{}
	of := func(l labels) *Partition {
		key := l["stream"] + "\x00" + l["topic"] + "\x00" + l["partition"]
		p := found[key]
		if p == nil {
			id, _ := strconv.Atoi(l["partition"])
			p = &Partition{Instance: instance, Stream: l["stream"], Topic: l["topic"], ID: id}
			p.Records, p.Lag, p.Series, p.Learning, p.Watermark, p.Checkpoint = unknown, unknown, unknown, unknown, unknown, unknown
			found[key] = p
		}
		return p
	}
	s := c.now
	s.Each("gonomaly_kafka_lag_records", func(l labels, x float64) { of(l).Records = x })
	s.Each("gonomaly_time_lag_seconds", func(l labels, x float64) { of(l).Lag = x })
	s.Each("gonomaly_series", func(l labels, x float64) { of(l).Series = x })
	s.Each("gonomaly_series_learning", func(l labels, x float64) { of(l).Learning = x })
	s.Each("gonomaly_checkpoint_age_seconds", func(l labels, x float64) { of(l).Checkpoint = x })
	s.Each("gonomaly_partition_status", func(l labels, x float64) {
		if p := of(l); x == 1 {
			p.Status = l["status"]
		}
	})
	s.Each("gonomaly_watermark_timestamp_seconds", func(l labels, x float64) {
		of(l).Watermark = float64(s.At.UnixMilli())/1000 - x
	})
	all := make([]Partition, 0, len(found))
	for _, p := range found {
		all = append(all, *p)
	}
	return all
}

func (c change) addStreams(streams map[string]Stream) {
	add := func(metric string, to func(*Stream) *count) {
		for name, n := range c.counts(metric, label("stream")) {
			s := streams[name]
			s.Name = name
			to(&s).add(n)
			streams[name] = s
		}
	}
	add("gonomaly_records_received_total", func(s *Stream) *count { return &s.Records })
	add("gonomaly_alerts_total", func(s *Stream) *count { return &s.Alerts })
	add("gonomaly_alerts_suppressed_total", func(s *Stream) *count { return &s.Suppressed })
	add("gonomaly_dead_letters_total", func(s *Stream) *count { return &s.Dead })
	add("gonomaly_records_replayed_total", func(s *Stream) *count { return &s.Replayed })
	for name, s := range streams { // a kind of dead letter or of alert is not there before the first of it
		for _, n := range []*count{&s.Records, &s.Alerts, &s.Suppressed, &s.Dead, &s.Replayed} {
			n.Known = n.Known || c.seconds > 0
		}
		streams[name] = s
	}
	set := func(metric string, f func(s *Stream, x float64)) {
		c.now.Each(metric, func(l labels, x float64) {
			s := streams[l["stream"]]
			s.Name = l["stream"]
			f(&s, x)
			streams[s.Name] = s
		})
	}
	set("gonomaly_restore_records_left", func(s *Stream, x float64) { s.Left += x })
	set("gonomaly_partitions_unowned", func(s *Stream, x float64) { s.Unowned = max(s.Unowned, x) }) // each tells the same
}

func (c change) addSinks(sinks map[string]Sink) {
	change := func(name string, f func(*Sink)) {
		s := sinks[name]
		s.Name = name
		f(&s)
		sinks[name] = s
	}
	for both, n := range c.counts("gonomaly_sink_deliveries_total", func(l labels) string { return l["sink"] + "\x00" + l["outcome"] }) {
		sink, outcome, _ := strings.Cut(both, "\x00")
		change(sink, func(s *Sink) {
			if outcome == "delivered" {
				s.Delivered.add(n)
			} else {
				s.Aside.add(n)
			}
		})
	}
	for sink, n := range c.counts("gonomaly_sink_retries_total", label("sink")) {
		change(sink, func(s *Sink) { s.Retries.add(n) })
	}
	c.now.Each("gonomaly_sink_lag_records", func(l labels, x float64) { change(l["sink"], func(s *Sink) { s.Lag += x }) })
	c.now.Each("gonomaly_sink_oldest_undelivered_seconds", func(l labels, x float64) {
		change(l["sink"], func(s *Sink) { s.Oldest = max(s.Oldest, x) })
	})
	c.now.Each("gonomaly_sink_breaker_state", func(l labels, x float64) { change(l["sink"], func(s *Sink) { s.Breaker = max(s.Breaker, x) }) })
}

// addTroubles leaves out what never happened.
func (c change) addTroubles(told map[string]Trouble) {
	for _, t := range troubles {
		for kind, n := range c.counts(t.metric, label(t.label)) {
			if n.Total == 0 || slices.Contains(t.but, kind) {
				continue
			}
			what := strings.TrimSpace(t.what + " " + kind)
			sum := told[what]
			sum.What = what
			sum.Count.add(n)
			told[what] = sum
		}
	}
}
