package sources

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// While brokers take their time to write and to commit, the records that have come already are processed. What they lead to is not in that
// commit.
func TestProcessingGoesOnWhileATurnEnds(t *testing.T) {
	const records, step = 20_000, 400
	w := newWorld(t, input)
	w.produce(records)
	var h atomic.Pointer[handler]
	slowly := func() { time.Sleep(DefaultKafka().CommitEvery / 10) } // so that many turns are over before the records are
	w.cluster.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		w.cluster.SleepControl(func() { time.Sleep(DefaultKafka().CommitEvery / 2) })
		return nil, nil, false
	})
	offsets := map[int32]int64{} // as they will be committed
	w.cluster.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		for _, t := range req.(*kmsg.TxnOffsetCommitRequest).Topics {
			for _, p := range t.Partitions {
				offsets[p.Partition] = p.Offset
			}
		}
		return nil, nil, false
	})
	var held, beyond atomic.Int64
	w.cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		committing := int64(0)
		for _, offset := range offsets {
			committing += offset
		}
		if committing > records/2 || held.Load() > 0 {
			return nil, nil, false
		}
		held.Add(1)
		w.cluster.SleepControl(func() {
			for range 300 { // 3 s are less than the deadline of a commit
				if n := h.Load().count() - committing; n > 0 {
					beyond.Store(n)
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		return nil, nil, false
	})
	w.start("a", func(o *KafkaOptions, own *handler) {
		o.Step = step
		own.before.Store(&slowly)
		h.Store(own)
	})
	w.caughtUp()
	w.compare()
	if beyond.Load() == 0 {
		t.Error("nothing was processed beyond the commit that was held up")
	}
}

// What is to be checkpointed once it is committed stays as it is committed; the other partitions go on.
func TestDuePartitionsWait(t *testing.T) {
	s := unconnected(t)
	s.topics[input] = kafka.Topic{Partitions: 2}
	var fetched []kgo.FetchPartition
	for id := range int32(2) {
		if _, err := s.restore(t.Context(), place{input, id}, taken{committed: -1, log: &bounds{0, 3}}); err != nil {
			t.Fatal(err)
		}
		fetched = append(fetched, kgo.FetchPartition{Partition: id, Records: []*kgo.Record{{Topic: input}, {Topic: input, Offset: 1}}})
	}
	for p := range s.h.(*handler).machines {
		if p.ID == 1 {
			s.h.(*handler).commits[p] = 3
		}
	}
	if err := s.take(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: input, Partitions: fetched}}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.ahead(t.Context(), make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	for id, want := range []int64{2, -1} {
		if o := s.get(place{input, int32(id)}); o.position != want { //nolint:gosec // two of them
			t.Errorf("partition %d is at %d, want %d", id, o.position, want)
		}
	}
	if n := len(s.polled.shares); n != 1 {
		t.Errorf("%d partitions are left for after the commit, want 1", n)
	}
}

// A poll leaves leisure for the next if it has brought all that there was, and what it finds where it has brought nothing.
func TestLeisure(t *testing.T) {
	for name, c := range map[string]struct {
		before  bool
		records int
		beyond  int64 // of the log
		want    bool
	}{
		"all":              {records: 3, want: true},
		"some":             {before: true, records: 3, beyond: 1},
		"none":             {before: true, want: true},
		"none in the past": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := unconnected(t)
			if _, err := s.restore(t.Context(), place{input, 0}, taken{committed: -1, log: &bounds{0, 3}}); err != nil {
				t.Fatal(err)
			}
			s.leisure = c.before
			var records []*kgo.Record
			for i := range c.records {
				records = append(records, &kgo.Record{Topic: input, Offset: int64(i)})
			}
			fetched := []kgo.FetchPartition{{Records: records, LastStableOffset: int64(c.records) + c.beyond}}
			if err := s.take(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: input, Partitions: fetched}}}}); err != nil {
				t.Fatal(err)
			}
			if s.leisure != c.want {
				t.Errorf("leisure: %v, want %v", s.leisure, c.want)
			}
		})
	}
}

// At leisure there is a rest before a poll, but none that makes an alert late.
func TestRest(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		left   time.Duration // of the turn
		change func(*session)
		hurry  time.Duration // after which the turn is cut short
		want   time.Duration
	}{
		"at the beginning":    {left: 200 * ms, want: 190 * ms},
		"towards the end":     {left: 60 * ms, want: 50 * ms},
		"some work":           {left: 210 * ms, change: func(s *session) { s.busy = mostBusy }, want: 150 * ms},
		"work":                {left: 200 * ms, change: func(s *session) { s.busy = 0.3 }},
		"at the end":          {left: 10 * ms},
		"hurried":             {left: 200 * ms, hurry: 7 * ms, want: 7 * ms},
		"no leisure":          {left: 200 * ms, change: func(s *session) { s.leisure = false }},
		"records left":        {left: 200 * ms, change: func(s *session) { s.polled.shares = []share{{}} }},
		"at least once":       {left: 200 * ms, change: func(s *session) { s.o.Config.Delivery = AtLeastOnce }},
		"commits that hurry":  {left: 20 * ms, change: func(s *session) { s.o.Config.CommitEvery = 20 * ms }, want: 18 * ms},
		"commits that do not": {left: time.Minute, change: func(s *session) { s.o.Config.CommitEvery = time.Minute }, want: 200 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			s := unconnected(t)
			s.leisure = true
			if c.change != nil {
				c.change(s)
			}
			synctest.Test(t, func(t *testing.T) {
				turn, cancel := context.WithTimeout(t.Context(), c.left)
				defer cancel()
				if c.hurry > 0 {
					time.AfterFunc(c.hurry, cancel)
				}
				begin := time.Now()
				s.rest(turn)
				if took := time.Since(begin); took != c.want {
					t.Errorf("it rests for %v, want %v", took, c.want)
				}
			})
		})
	}
}

// Busy is the share of the time that the work took, from the end of the work before it on.
func TestReckon(t *testing.T) {
	s, at := unconnected(t), func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	s.reckon(at(0), at(1000))
	s.reckon(at(1050), at(1100))
	if s.busy != 0.5 {
		t.Errorf("50 ms of 100 are %v", s.busy)
	}
}
