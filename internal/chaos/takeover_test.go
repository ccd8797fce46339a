//go:build chaos && unix

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// times are what a kind of end costs the partitions of a process, in seconds, of several trials in order.
type times struct {
	First    []float64 `json:"first_alert"`  // until one of them tells an alert again
	All      []float64 `json:"every_alerts"` // until each of them has
	Wanted   float64   `json:"wanted"`
	Replayed []float64 `json:"replayed"` // records folded again meanwhile, by whomever
	Load     string    `json:"load"`     // of the machine, on average over 1, 5 and 15 minutes: other work makes all this slower
}

const (
	trials = 5

	sessionTimeout = 6 * time.Second
	grace          = time.Second // over what the protocol takes
)

// A process that is killed is replaced within its session's time and a second, in its own slot within a second; one that is told to end
// hands over within a second, and its successors fold nothing again. The median counts: the machine may have other work.
func TestTakeOver(t *testing.T) {
	s := readSettings(t)
	w := newWorld(t, s.Brokers)
	feeding, stopFeeding := context.WithCancel(t.Context())
	fed := w.feed(feeding, s.Rate, s.Seed)
	defer func() {
		stopFeeding()
		<-fed
	}()
	if err := w.startAll(); err != nil {
		t.Fatal(err)
	}
	w.watch()
	w.eventually("alerts are told", time.Minute, w.alertsTold)
	told := w.follow(w.streams[0].Alert.Topic)
	for _, c := range []struct {
		name   string
		wanted time.Duration
		trial  func(*slot, *tail) (first, all time.Duration, err error)
	}{
		{"killed, others take over", sessionTimeout + grace, w.killed},
		{"killed, restarted at once", grace, w.restarted},
		{"told to end", grace, w.ended},
	} {
		m := times{Wanted: c.wanted.Seconds()}
		for i := range trials {
			w.eventually("every process is at work", time.Minute, w.shared)
			time.Sleep(2 * time.Second) // for the checkpoints of partitions that have just moved
			before := w.replayed()
			first, all, err := c.trial(w.slots[i%len(w.slots)], told)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			m.First, m.All = append(m.First, first.Seconds()), append(m.All, all.Seconds())
			m.Replayed = append(m.Replayed, w.replayedSince(before))
		}
		slices.Sort(m.First)
		slices.Sort(m.All)
		if load, err := os.ReadFile("/proc/loadavg"); err == nil {
			m.Load = strings.Join(strings.Fields(string(load))[:3], " ")
		}
		line, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		w.say("TIMES %d brokers, %s: %s", s.Brokers, c.name, line)
		if m.First[trials/2] > m.Wanted {
			t.Errorf("%s: the first alert comes after %.2f s, want %v s at most", c.name, m.First[trials/2], m.Wanted)
		}
		if c.name == "told to end" && slices.Max(m.Replayed) > 0 {
			t.Errorf("%s: %v records are folded again, want none", c.name, m.Replayed)
		}
	}
}

// killed ends a process by kill -9, and starts it again only when the others have taken over.
func (w *world) killed(s *slot, told *tail) (first, all time.Duration, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	gone, err := w.partitionsOf(s)
	if err != nil {
		return 0, 0, err
	}
	own := told.producers(gone)
	begin := time.Now()
	if err := s.process().kill(); err != nil {
		return 0, 0, err
	}
	first, all, err = told.since(begin, gone, func(a arrival) bool { return !own[a.producer] })
	return first, all, errors.Join(err, s.start())
}

// restarted ends a process by kill -9, and starts it again at once. Its successor writes as the same producer: it is known by telling of
// records from where the group stood.
func (w *world) restarted(s *slot, told *tail) (first, all time.Duration, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	gone, err := w.partitionsOf(s)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := errors.Join(s.process().kill(), s.start()); err != nil {
		return 0, 0, err
	}
	ctx, cancel := w.asked()
	defer cancel()
	committed, err := w.admin.FetchOffsets(ctx, w.streams[0].Group)
	if err != nil {
		return 0, 0, err
	}
	return told.since(begin, gone, func(a arrival) bool {
		c, ok := committed.Lookup(input, a.partition)
		return ok && a.offset >= c.At
	})
}

// ended ends a process in order.
func (w *world) ended(s *slot, told *tail) (first, all time.Duration, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	gone, err := w.partitionsOf(s)
	if err != nil {
		return 0, 0, err
	}
	own := told.producers(gone)
	begin := time.Now()
	ending := make(chan error, 1)
	go func() { ending <- s.end() }()
	first, all, err = told.since(begin, gone, func(a arrival) bool { return !own[a.producer] })
	return first, all, errors.Join(err, <-ending, s.start())
}

// partitionsOf are those that the first stream has in a slot.
func (w *world) partitionsOf(s *slot) ([]int32, error) {
	ctx, cancel := w.asked()
	defer cancel()
	group := w.streams[0].Group
	groups, err := w.admin.DescribeGroups(ctx, group)
	if err = errors.Join(err, groups.Error()); err != nil {
		return nil, err
	}
	for _, m := range groups[group].Members {
		assigned, ok := m.Assigned.AsConsumer()
		if m.InstanceID == nil || *m.InstanceID != s.name || !ok {
			continue
		}
		for _, t := range assigned.Topics {
			if t.Topic == input && len(t.Partitions) > 0 {
				return t.Partitions, nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no partitions", s.name)
}

// shared is nil when every process is ready, has partitions and processes records.
func (w *world) shared() error {
	for _, s := range w.slots {
		if _, err := w.partitionsOf(s); err != nil {
			return err
		}
		ctx, cancel := w.asked()
		_, err := s.process().get(ctx, "/-/ready")
		cancel()
		if err != nil {
			return err
		}
	}
	return w.allBusy()
}

// replayed is how many records each process has folded again.
func (w *world) replayed() map[*process]float64 {
	n := map[*process]float64{}
	for _, s := range w.slots {
		p := s.process()
		m, err := p.metrics(w.Context())
		if err != nil {
			w.say("metrics of %s: %v", s.name, err)
		}
		n[p] = m.sum("gonomaly_records_replayed_total")
	}
	return n
}

func (w *world) replayedSince(before map[*process]float64) (n float64) {
	for p, now := range w.replayed() {
		n += now - before[p]
	}
	return n
}

// tail follows a topic of alerts.
type tail struct {
	mu   sync.Mutex
	seen []arrival
}

// arrival is an alert as a reader of committed records gets it.
type arrival struct {
	at        time.Time
	partition int32 // of the record that triggered it
	offset    int64
	producer  int64
}

func (w *world) follow(topic string) *tail {
	w.Helper()
	client, err := kgo.NewClient(append(slices.Clone(w.direct), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))...)
	if err != nil {
		w.Fatal(err)
	}
	t := &tail{}
	var following sync.WaitGroup
	w.Cleanup(func() {
		following.Wait()
		client.Close()
	})
	following.Go(func() {
		for w.Context().Err() == nil {
			fetches := client.PollFetches(w.Context())
			now := time.Now()
			for r := range fetches.RecordsAll() {
				if a, err := pipeline.ParseAlert(r.Value); err == nil {
					t.mu.Lock()
					t.seen = append(t.seen, arrival{now, a.Origin.Partition, a.Origin.Offset, r.ProducerID})
					t.mu.Unlock()
				}
			}
		}
	})
	return t
}

// producers are those that told of partitions last.
func (t *tail) producers(partitions []int32) map[int64]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := map[int32]int64{}
	for _, a := range t.seen {
		last[a.partition] = a.producer
	}
	own := map[int64]bool{}
	for _, p := range partitions {
		own[last[p]] = true
	}
	return own
}

// since returns how long after begin the first of the partitions had an alert that counts, and each of them.
func (t *tail) since(begin time.Time, partitions []int32, counts func(arrival) bool) (first, all time.Duration, err error) {
	for time.Since(begin) < time.Minute {
		time.Sleep(20 * time.Millisecond)
		at := map[int32]time.Duration{}
		t.mu.Lock()
		for _, a := range t.seen {
			if _, ok := at[a.partition]; !ok && a.at.After(begin) && slices.Contains(partitions, a.partition) && counts(a) {
				at[a.partition] = a.at.Sub(begin)
			}
		}
		t.mu.Unlock()
		if len(at) == len(partitions) {
			took := slices.Collect(maps.Values(at))
			return slices.Min(took), slices.Max(took), nil
		}
	}
	return 0, 0, fmt.Errorf("partitions %v have no alerts for a minute", partitions)
}
