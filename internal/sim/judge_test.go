//go:build sim

package sim

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/internal/oracle"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// verdict is what a run has come to.
type verdict struct {
	records, alerts, letters int
	answers                  int // to probes
	hits                     int // faults that met a request or a process
	took                     time.Duration
	trace                    *trace
	longest, unfair          time.Duration // that something waited, in a gentle run
	bad                      []string
}

func (v verdict) String() string {
	waits := ""
	if v.longest > 0 {
		waits = fmt.Sprintf("; waits of %v and %v", v.longest.Round(time.Millisecond), v.unfair.Round(time.Millisecond))
	}
	return fmt.Sprintf("%d records, %d alerts, %d dead letters, %d faults hit, %v simulated, trace %016x; %d answers to probes", v.records, v.alerts, v.letters, v.hits,
		v.took.Round(time.Millisecond), v.trace.digest(), v.answers) + waits
}

func (v *verdict) wrong(format string, args ...any) {
	v.bad = append(v.bad, fmt.Sprintf(format, args...))
}

// patience is how long the processes may take to catch up when nothing disturbs them any more: what Kafka's time-outs of sessions and
// transactions, the source's watchdogs and the longest pause between two attempts add up to, and as much again.
const patience = 3 * time.Minute

// inFlight is longer than anything that began in the storm takes to fail.
const inFlight = 6 * time.Second

// settle waits until the world is settled.
func (w *world) settle() (err error) {
	defer w.trace.add("world", "settled", 0)
	begin := time.Now()
	for err = w.settled(); err != nil && time.Since(begin) < patience; err = w.settled() {
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// judge holds what there is against a replay of the log.
func (w *world) judge() (v verdict) {
	v.trace = w.trace
	defer func() { v.took = time.Since(w.trace.begin) }()
	if err := w.settle(); err != nil {
		v.wrong("stuck: %v", err)
		return v
	}
	time.Sleep(inFlight)
	w.sums(&v)
	// The last records are committed, and no checkpoint has them before the end.
	if err := w.produce(20); err != nil {
		v.wrong("%v", err)
	}
	if err := w.settle(); err != nil {
		v.wrong("stuck at the end: %v", err)
		return v
	}
	v.hits = w.hits
	gaps := 0.0
	for _, s := range w.slots {
		for _, p := range s.all {
			v.hits += p.hits
			gaps += p.count("gonomaly_kafka_gaps_total")
		}
		s.quit()
	}
	if (gaps > 0) != (len(w.eaten) > 0) || gaps < float64(len(w.eaten)) { // an owner that ends too soon leaves it to the next to say
		v.wrong("%v gaps were said, and retention overtook %d partitions", gaps, len(w.eaten))
	}
	if err := w.compare(&v); err != nil {
		v.wrong("%v", err)
	}
	return v
}

// compare reads what was told and what was stored, and what should have been.
func (w *world) compare(v *verdict) error {
	stored, err := w.stored()
	if err != nil {
		return err
	}
	want := oracle.NewOutput()
	for id := range w.partitions {
		replay, err := oracle.NewReplay(w.stream.Name, w.stream.Config, pipeline.Partition{Topic: input, ID: id}, want)
		if err != nil {
			return err
		}
		slices.SortFunc(w.log[id], func(a, b pipeline.Record) int { return cmp.Compare(a.Offset, b.Offset) })
		w.begin(v, id, replay)
		v.records += len(w.log[id])
		if err := w.replay(v, id, replay, stored[id]); err != nil {
			return err
		}
		if err := w.unflooded(v, id); err != nil {
			return err
		}
		if found := stored[id]; !w.loses() && !w.eaten[id] && replay.Position() > 0 && (found == nil || found.Position() != replay.Position()) {
			v.wrong("no state of partition %d is stored at %d, where its last owner ended", id, replay.Position())
		}
	}
	return w.outputs(v, want)
}

// replay folds the log of a partition, and holds the state that is stored against that of the log.
func (w *world) replay(v *verdict, id int32, replay *oracle.Replay, found *pipeline.Worker) error {
	if w.eaten[id] {
		return nil
	}
	for _, r := range w.log[id] {
		if err := replay.Take(r); err != nil {
			return err
		}
		if found == nil || found.Position() != replay.Position() {
			continue
		}
		if err := replay.Matches(found); err != nil {
			v.wrong("partition %d: %v", id, err)
		}
	}
	return nil
}

// unflooded holds that keys that come once and never again hardly change anything for the others, where these have room and have taken it
// before the first of them came. Hardly, because a key that comes once is now and then taken for one that came again.
func (w *world) unflooded(v *verdict, id int32) error {
	keys, first := map[string]bool{}, true
	for _, r := range w.log[id] {
		switch key := string(r.Key); {
		case key == pipeline.ProbeKey:
		case strings.HasPrefix(key, "once-"):
			first = false
		case !keys[key] && !first:
			return nil
		default:
			keys[key] = true
		}
	}
	if len(keys) > w.stream.MaxSeries {
		return nil
	}
	var opened [2]map[string]bool
	for i := range opened {
		opened[i] = map[string]bool{}
		worker, err := pipeline.NewWorker(w.stream.Name, w.stream.Config, pipeline.Partition{Topic: input, ID: id})
		if err != nil {
			return err
		}
		for _, r := range w.log[id] {
			if i == 1 && bytes.Contains(r.Value, []byte(`"once-`)) {
				continue
			}
			for _, m := range worker.Process([]pipeline.Record{r}, 0) {
				a, err := pipeline.ParseAlert(m.Value)
				if m.Topic != alerts || err != nil {
					continue
				}
				if a.Status == pipeline.Open && !strings.HasPrefix(a.Key, "once-") {
					opened[i][fmt.Sprint(a.Key, " ", a.Kind, " at ", a.Time.UnixMilli())] = true
				}
			}
		}
	}
	changed := 0
	for name := range opened[1] {
		if !opened[0][name] {
			changed++
		}
	}
	if float64(changed) > 2+0.2*float64(len(opened[1])) {
		v.wrong("a flood of keys changes %d of %d alerts of others in partition %d", changed, len(opened[1]), id)
	}
	return nil
}

// loses says whether Redis loses what it has promised to keep.
func (w *world) loses() bool {
	return slices.ContainsFunc(w.faults, func(f fault) bool { return slices.Contains(losses, f.What) })
}

// outputs holds alerts and dead letters against those that should be.
func (w *world) outputs(v *verdict, want oracle.Output) error {
	records, err := w.read(alerts)
	if err != nil {
		return err
	}
	got := oracle.NewOutput()
	var told []pipeline.Alert
	for _, r := range records {
		if r.Headers[pipeline.ProbeHeader] != "" {
			v.answers++
			if a, err := pipeline.ParseAnswer(r.Value); err != nil {
				return err
			} else if w.eaten[a.Origin.Partition] {
				continue
			}
			if _, err := got.AddAnswer(r.Key, r.Value); err != nil {
				return err
			}
			continue
		}
		v.alerts++
		a, err := pipeline.ParseAlert(r.Value)
		if err != nil {
			return err
		}
		if w.eaten[a.Origin.Partition] {
			continue
		}
		told = append(told, a)
		if _, err := got.AddAlert(r.Key, r.Value); err != nil {
			return err
		}
	}
	letters, err := w.read(pipeline.DeadLetterTopic(input))
	if err != nil {
		return err
	}
	v.letters = len(letters)
	for _, r := range letters {
		if id, _ := strconv.Atoi(r.Headers["gonomaly.partition"]); !w.eaten[int32(id)] { //nolint:gosec // a few
			got.AddLetter(r.Key, r.Value, r.Headers)
		}
	}
	w.again(v, told)
	d := got.Against(want)
	if w.stream.Delivery == sources.AtLeastOnce || len(w.rewound) > 0 {
		d.Doubled, d.Disordered = 0, 0
	}
	if d.Sum() > 0 {
		v.wrong("lost %d, wrong %d, doubled %d, disordered %d: %v", d.Lost, d.Wrong, d.Doubled, d.Disordered, d.Examples)
	}
	return nil
}

// stored are the newest checkpoints of the partitions, as workers restored from them.
func (w *world) stored() (map[int32]*pipeline.Worker, error) {
	client, err := redisClient(w.redis.dial)
	if err != nil {
		return nil, err
	}
	defer client.Close() //nolint:errcheck // only read
	topics, err := w.admin.ListTopics(context.Background(), input)
	if err = errors.Join(err, topics.Error()); err != nil {
		return nil, err
	}
	return oracle.Stored(context.Background(), checkpoint.NewRedis(client, "sim", nil, slog.New(slog.DiscardHandler)), w.stream, topics[input].ID, w.partitions)
}

// sums checks of each process that the outcomes of records add up to what was received.
func (w *world) sums(v *verdict) {
	for _, s := range w.slots {
		p := s.process()
		if p == nil {
			continue
		}
		if received, outcomes := p.count("gonomaly_records_received_total"), p.count("gonomaly_records_total"); received != outcomes {
			v.wrong("%s received %v records, and has outcomes of %v", p.name, received, outcomes)
		}
	}
}

// read returns the committed records of a topic.
func (w *world) read(topic string) ([]kafka.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return kafka.ReadAll(ctx, w.opts, topic)
}
