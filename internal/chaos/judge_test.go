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

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sinks"
)

// judge lets the processes catch up, and fills in what a run has come to.
func (w *world) judge(s settings, r *result) {
	w.Helper()
	bound := 2*time.Minute + s.For/4
	begin := time.Now()
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

	alerts, letters, incidents := output{}, output{}, map[string]bool{}
	for _, s := range w.streams {
		n, err := w.alerts(s.Alert.Topic, alerts, incidents)
		if err != nil {
			w.Fatal(err)
		}
		r.Disordered += n
	}
	if err := w.letters(letters); err != nil {
		w.Fatal(err)
	}
	r.RedisWrong = w.inRedis(alerts, incidents)
	r.Miscounted = w.miscounted()

	for _, s := range w.slots {
		s.turn.Lock() // and none starts again
		if err := s.end(); err != nil {
			w.Fatal(err)
		}
	}
	r.Exits, r.Hung = w.exits, w.hung
	stored, err := w.checkpoints()
	if err != nil {
		w.Fatal(err)
	}
	o, err := w.fold(stored)
	if err != nil {
		w.Fatal(err)
	}
	r.Records, r.Alerts, r.DeadLetters = o.records, len(o.alerts), len(o.letters)
	r.States, r.StatesWrong = o.states, o.statesWrong+partitions*len(w.streams)-o.states
	for _, c := range []struct{ got, want output }{{alerts, o.alerts}, {letters, o.letters}} {
		lost, wrong, doubled, examples := c.got.against(c.want)
		r.Lost, r.Wrong, r.Doubled = r.Lost+lost, r.Wrong+wrong, r.Doubled+doubled
		for _, e := range examples {
			w.say("%s", e)
		}
	}
	if r.Undisturbed, err = w.undisturbed(o.alerts, bound); err != nil {
		w.Fatal(err)
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

// inRedis counts the alerts that do not stand in the Redis stream exactly once, and the incidents that are there and over, or the
// reverse.
func (w *world) inRedis(alerts output, incidents map[string]bool) (wrong int) {
	w.Helper()
	client := redis.NewClient(&redis.Options{Addr: w.redis.main.Address()})
	defer client.Close() //nolint:errcheck // only read
	err := w.until(time.Minute, func() error {
		n, err := client.XLen(w.Context(), prefix+":alerts").Result()
		if err == nil && n < int64(len(alerts)) {
			err = fmt.Errorf("%d of %d alerts", n, len(alerts))
		}
		return err
	})
	if err != nil {
		w.say("Redis has %v", err)
	}
	times := map[string]int{}
	for from := "-"; ; {
		entries, err := client.XRangeN(w.Context(), prefix+":alerts", from, "+", 1000).Result()
		if err != nil {
			w.Fatal(err)
		}
		for _, e := range entries {
			times[fmt.Sprint(e.Values["id"])]++
			from = "(" + e.ID
		}
		if len(entries) == 0 {
			break
		}
	}
	for id := range alerts {
		if times[id] != 1 {
			wrong++
			w.say("alert %s stands in Redis %d times", id, times[id])
		}
		delete(times, id)
	}
	held, err := client.HKeys(w.Context(), prefix+":incidents").Result()
	if err != nil {
		w.Fatal(err)
	}
	open := 0
	for _, id := range held {
		if incidents[id] {
			open++
		}
	}
	if n := len(held) + len(incidents) - 2*open; n > 0 {
		w.say("Redis has %d incidents, %d are open, %d are both", len(held), len(incidents), open)
		wrong += n
	}
	return wrong + len(times)
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

// undisturbed counts the alerts in which a process that nobody disturbs differs from the oracle.
func (w *world) undisturbed(want output, bound time.Duration) (int, error) {
	const run = ".undisturbed"
	p, err := w.launch("undisturbed", "RUN="+run, "INSTANCE=undisturbed",
		"KAFKA_BROKERS="+strings.Join(w.cluster.Addresses(), ","), "REDIS_ADDR="+w.redis.main.Address())
	if err != nil {
		return 0, err
	}
	defer p.kill() //nolint:errcheck // nothing is lost
	got := output{}
	for _, s := range w.streams {
		if _, err := w.settle(s.Group+run, bound); err != nil {
			return 0, fmt.Errorf("the undisturbed run is stuck: %w", err)
		}
		if _, err := w.alerts(undisturbedTopic(s, run), got, map[string]bool{}); err != nil {
			return 0, err
		}
	}
	lost, wrong, doubled, examples := got.against(want)
	for _, e := range examples {
		w.say("undisturbed: %s", e)
	}
	return lost + wrong + doubled, p.terminate()
}

// undisturbedTopic is where the alerts of a stream go in another run.
func undisturbedTopic(s config.Stream, run string) string { return s.Name + run + ".alerts" }
