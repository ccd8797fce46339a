//go:build chaos && unix

package chaos

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/oracle"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sinks"
)

// judge lets the processes catch up, and fills in what a run has come to.
func (w *world) judge(s settings, r *result) {
	w.Helper()
	bound := 2*time.Minute + s.For/4
	w.catchUp(bound, r)
	got, told := w.outputs(r)
	w.inRedis(r, told)
	r.Miscounted = w.miscounted()

	for _, s := range w.slots {
		s.turn.Lock() // and none starts again
		if err := s.end(); err != nil {
			w.Fatal(err)
		}
	}
	r.Exits, r.CutShort, r.Hung = w.exits, w.cutShort, w.hung
	stored, err := w.checkpoints()
	if err != nil {
		w.Fatal(err)
	}
	want, err := w.fold(stored, r)
	if err != nil {
		w.Fatal(err)
	}
	d := got.Against(want)
	r.Lost, r.Wrong, r.Doubled, r.Disordered = r.Lost+d.Lost, d.Wrong, d.Doubled, d.Disordered
	for _, e := range d.Examples {
		w.say("%s", e)
	}
	if r.Undisturbed, err = w.undisturbed(told, r.Records, bound); err != nil {
		w.Fatal(err)
	}
}

// catchUp waits until all that was written is told and committed, and counts what stays behind.
func (w *world) catchUp(bound time.Duration, r *result) {
	w.Helper()
	begin := time.Now()
	if err := w.until(bound, func() error { return w.probesReturn(begin) }); err != nil {
		r.Stuck++
		w.say("probes do not return: %v", err)
	}
	if err := w.stopProbing(); err != nil {
		w.Fatal(err)
	}
	for _, g := range w.groups() {
		if n, err := w.settle(g, bound-time.Since(begin)); err != nil {
			r.Stuck += max(1, n)
			w.say("group %s is stuck: %v", g, err)
		}
	}
	if err := w.until(time.Minute, w.noneOpen); err != nil {
		r.Stuck++
		w.say("a transaction hangs: %v", err)
	}
	r.Drain = math.Round(10*time.Since(begin).Seconds()) / 10
}

// outputs are all that was committed to the topics that the processes write, and what the alerts among it tell.
func (w *world) outputs(r *result) (got oracle.Output, told alerts) {
	w.Helper()
	got, told = oracle.NewOutput(), newAlerts()
	for _, s := range w.streams {
		w.read(r, s.Alert.Topic, func(k *kgo.Record, committed bool) error {
			var err error
			switch {
			case !committed:
			case isAnswer(k):
				_, err = got.AddAnswer(k.Key, k.Value)
			default:
				_, err = got.AddAlert(k.Key, k.Value)
			}
			return errors.Join(err, told.add(k, committed))
		})
	}
	w.read(r, pipeline.DeadLetterTopic(input), func(k *kgo.Record, committed bool) error {
		if committed {
			letter(got, k)
		}
		return nil
	})
	r.Alerts, r.Answers = told.Len(), told.answers.Len()
	r.DeadLetters = got.Len() - r.Alerts - r.Answers
	return got, told
}

// read reads a topic that the processes write, as told does.
func (w *world) read(r *result, topic string, f func(k *kgo.Record, committed bool) error) {
	w.Helper()
	shown, hidden, err := w.told(topic, f)
	if err != nil {
		w.Fatal(err)
	}
	r.Shown, r.Lost = r.Shown+shown, r.Lost+hidden
	if shown+hidden > 0 {
		w.say("%s: %d aborted records are shown to readers of committed ones, %d committed ones are not", topic, shown, hidden)
	}
}

// groups are those of the streams and of their sinks.
func (w *world) groups() []string {
	var all []string
	for _, s := range w.streams {
		all = append(all, s.Group, sinks.Group(s.Group, "redis"))
	}
	return all
}

// settle waits until a group is settled.
func (w *world) settle(group string, bound time.Duration) (stuck int, err error) {
	err = w.until(bound, func() (err error) {
		stuck, err = w.settled(group)
		return err
	})
	return stuck, err
}

// settled is nil when a group is stable, and each of its partitions has an owner and no lag; else it tells how many are stuck.
func (w *world) settled(group string) (stuck int, err error) {
	ctx, cancel := w.asked()
	defer cancel()
	lags, err := w.admin.Lag(ctx, group)
	if err != nil {
		return partitions, err
	}
	g := lags[group]
	if err := g.Error(); err != nil {
		return partitions, err
	}
	seen := 0
	for _, l := range g.Lag.Sorted() {
		seen++
		if l.Member == nil || l.Lag != 0 || l.Err != nil {
			stuck++
			err = errors.Join(err, fmt.Errorf("%s/%d is at %d of %d, has an owner: %v, %w", l.Topic, l.Partition, l.Commit.At, l.End.Offset, l.Member != nil, l.Err))
		}
	}
	stuck += max(0, partitions-seen)
	if g.State != "Stable" || stuck > 0 {
		return stuck, errors.Join(fmt.Errorf("it is %s with %d members, %d partitions are stuck", g.State, len(g.Members), stuck), err)
	}
	return 0, nil
}

// noneOpen is nil when no transaction keeps a reader of committed records from the end of a topic.
func (w *world) noneOpen() error {
	ctx, cancel := w.asked()
	defer cancel()
	topics := []string{pipeline.DeadLetterTopic(input)}
	for _, s := range w.streams {
		topics = append(topics, s.Alert.Topic)
	}
	ends, err := w.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	committed, err := w.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) {
		if c, _ := committed.Lookup(o.Topic, o.Partition); c.Offset < o.Offset {
			err = errors.Join(err, fmt.Errorf("%s/%d is committed to %d of %d", o.Topic, o.Partition, c.Offset, o.Offset))
		}
	})
	return errors.Join(err, ends.Error(), committed.Error())
}

// inRedis counts what Redis tells otherwise than the topics, in its stream of alerts and in its open incidents.
func (w *world) inRedis(r *result, told alerts) {
	w.Helper()
	client := redis.NewClient(&redis.Options{Addr: w.redis.main.Address()})
	defer client.Close() //nolint:errcheck // only read
	err := w.until(time.Minute, func() error {
		n, err := client.XLen(w.Context(), prefix+":alerts").Result()
		if err == nil && n < int64(told.Len()) {
			err = fmt.Errorf("%d of %d alerts", n, told.Len())
		}
		return err
	})
	if err != nil {
		w.say("Redis has %v", err)
	}
	d := w.streamed(client, r, told).Against(told.Output)
	for _, e := range d.Examples {
		w.say("in Redis: %s", e)
	}
	r.RedisWrong = d.Sum() + w.misheld(client, told)
}

// streamed is what the Redis stream tells. An alert may stand in it again for each time that a transaction with it was aborted: then the
// broker has shown it to the sink.
func (w *world) streamed(client *redis.Client, r *result, told alerts) oracle.Output {
	w.Helper()
	got, times := oracle.NewOutput(), map[string]int{}
	for from := "-"; ; {
		entries, err := client.XRangeN(w.Context(), prefix+":alerts", from, "+", 1000).Result()
		if err != nil {
			w.Fatal(err)
		}
		if len(entries) == 0 {
			return got
		}
		for _, e := range entries {
			from = "(" + e.ID
			id, data := fmt.Sprint(e.Values["id"]), []byte(fmt.Sprint(e.Values["data"]))
			if times[id]++; times[id] > 1 && times[id] <= 1+told.aborted[id] {
				r.Shown++
				continue
			}
			a, err := pipeline.ParseAlert(data)
			if err == nil && a.ID != id {
				err = fmt.Errorf("it has id %s, and tells of %s", id, a.ID)
			}
			if err == nil {
				_, err = got.AddAlert([]byte(a.Key), data)
			}
			if err != nil {
				w.Fatalf("entry %s of the Redis stream: %v", e.ID, err)
			}
		}
	}
}

// misheld counts the incidents that Redis holds and that are over, and those that are open and it does not hold.
func (w *world) misheld(client *redis.Client, told alerts) int {
	w.Helper()
	held, err := client.HKeys(w.Context(), prefix+":incidents").Result()
	if err != nil {
		w.Fatal(err)
	}
	both := 0
	for _, id := range held {
		if told.open[id] {
			both++
		}
	}
	n := len(held) + len(told.open) - 2*both
	if n > 0 {
		w.say("Redis has %d incidents, %d are open, %d are both", len(held), len(told.open), both)
	}
	return n
}

// miscounted counts the streams of processes whose records do not add up, and the processes that are not ready.
func (w *world) miscounted() (n int) {
	for _, s := range w.slots {
		p := s.process()
		if err := w.until(20*time.Second, func() error {
			ctx, cancel := w.asked()
			defer cancel()
			_, err := p.get(ctx, "/-/ready")
			return err
		}); err != nil {
			n++
			w.say("%s is not ready: %v", s.name, err)
		}
		m, err := p.metrics(w.Context())
		if err != nil {
			n++
			w.say("metrics of %s: %v", s.name, err)
			continue
		}
		for _, stream := range w.streams {
			received, sum := m.sum("gonomaly_records_received_total", "stream", stream.Name), m.sum("gonomaly_records_total", "stream", stream.Name)
			if received != sum {
				n++
				w.say("stream %s of %s received %v records, and has outcomes of %v", stream.Name, s.name, received, sum)
			}
		}
	}
	return n
}

// undisturbed counts the alerts and answers in which a process that nobody disturbs differs from those that were, and the records that it lacks.
func (w *world) undisturbed(want alerts, records int64, bound time.Duration) (n int, err error) {
	const run = ".undisturbed"
	p, err := w.launch("undisturbed", "RUN="+run, "INSTANCE=undisturbed",
		"KAFKA_BROKERS="+strings.Join(w.cluster.Addresses(), ","), "REDIS_ADDR="+w.redis.main.Address())
	if err != nil {
		return 0, err
	}
	defer p.kill() //nolint:errcheck // nothing is lost
	got := newAlerts()
	for _, s := range w.streams {
		if _, err := w.settle(s.Group+run, bound); err != nil {
			return 0, fmt.Errorf("the undisturbed run is stuck: %w", err)
		}
		if err := w.decided(undisturbedTopic(s, run), got.add); err != nil {
			return 0, err
		}
	}
	for _, d := range []oracle.Difference{got.Against(want.Output), got.answers.Against(want.answers)} {
		n += d.Sum()
		for _, e := range d.Examples {
			w.say("undisturbed: %s", e)
		}
	}
	m, err := p.metrics(w.Context())
	if err != nil {
		return 0, err
	}
	for _, s := range w.streams {
		for _, name := range []string{"gonomaly_records_received_total", "gonomaly_records_total"} {
			if got := m.sum(name, "stream", s.Name); got != float64(records) {
				n++
				w.say("undisturbed: %s of stream %s is %v, want %d", name, s.Name, got, records)
			}
		}
	}
	return n, p.terminate()
}

// undisturbedTopic is where the alerts of a stream go in another run.
func undisturbedTopic(s config.Stream, run string) string { return s.Name + run + ".alerts" }
