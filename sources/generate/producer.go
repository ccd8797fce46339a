package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes events to a topic, each key's in order. The Kafka timestamp is the time of writing, whatever time an event tells: let a
// simulation end before now, or its last events lie too far ahead to be believed.
//
// With a rate and a time it writes rate × time events, however long that takes, so that two runs write the same.
type Producer struct {
	Topic      string
	Rate       float64       // events a second; 0 for as fast as possible
	For        time.Duration // how long to write; 0 for no limit
	Events     int64         // how many to write at most; 0 for no limit
	Injections io.Writer     // where not nil, gets each injection as a line of JSON once its first event is written
}

// Produced is what came of it.
type Produced struct {
	Events     int64         `json:"events"` // acknowledged
	Bytes      int64         `json:"bytes"`  // of their keys and values
	Injections int64         `json:"injections"`
	Elapsed    time.Duration `json:"elapsed"`
}

// limit is how many events Run writes at most: math.MaxInt64 where nothing but time or the end of the sequence stops it.
func (p *Producer) limit() int64 {
	limit := int64(math.MaxInt64)
	if p.Events > 0 {
		limit = p.Events
	}
	if p.Rate > 0 && p.For > 0 {
		limit = min(limit, int64(math.Round(p.Rate*p.For.Seconds())))
	}
	return limit
}

// Run writes until a limit, the end of the events, or ctx is done, and returns what is acknowledged. A record that cannot be written
// ends it with an error. The client is made from opts and writes idempotently unless they say otherwise.
func (p *Producer) Run(ctx context.Context, opts []kgo.Opt, events iter.Seq[Event]) (Produced, error) {
	own := []kgo.Opt{kgo.DefaultProduceTopic(p.Topic), kgo.RecordPartitioner(inOrder{kgo.StickyKeyPartitioner(nil)})}
	client, err := kgo.NewClient(append(append([]kgo.Opt{kgo.MaxBufferedRecords(50_000)}, opts...), own...)...)
	if err != nil {
		return Produced{}, fmt.Errorf("produce to %s: %w", p.Topic, err)
	}
	defer client.Close()

	writing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	start := time.Now()
	t := tally{injections: p.Injections, fail: fail}
	plain := t.promise(nil)
	p.feed(writing, start, events, func(e Event) {
		promise := plain
		if e.Injection != nil {
			promise = t.promise(e.Injection)
		}
		client.Produce(writing, record(e), promise)
	})
	if err := client.Flush(writing); err != nil && writing.Err() == nil {
		fail(err)
	}
	done := t.done()
	done.Elapsed = time.Since(start)
	if ctx.Err() == nil && writing.Err() != nil {
		return done, fmt.Errorf("produce to %s: %w", p.Topic, context.Cause(writing))
	}
	return done, nil
}

// feed calls write for each event when it is due.
func (p *Producer) feed(ctx context.Context, start time.Time, events iter.Seq[Event], write func(Event)) {
	n, limit, bounded := int64(0), p.limit(), p.For > 0 && p.Rate == 0
	for e := range events {
		if n >= limit || ctx.Err() != nil || bounded && time.Since(start) >= p.For {
			return
		}
		if p.Rate > 0 && !sleep(ctx, time.Until(start.Add(time.Duration(float64(n)/p.Rate*float64(time.Second))))) {
			return
		}
		write(e)
		n++
	}
}

// sleep returns false where ctx is done first. What is due within a millisecond is due now: timers are no finer.
func sleep(ctx context.Context, d time.Duration) bool {
	if d < time.Millisecond {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// record copies an event: the client keeps it after the event's slices have moved on.
func record(e Event) *kgo.Record {
	both := make([]byte, 0, len(e.Key)+len(e.Value))
	both = append(append(both, e.Key...), e.Value...)
	r := &kgo.Record{Value: both[len(e.Key):]}
	if e.Key != nil {
		r.Key = both[:len(e.Key):len(e.Key)]
	}
	return r
}

// tally counts what the broker has acknowledged.
type tally struct {
	injections io.Writer
	fail       context.CancelCauseFunc

	mu sync.Mutex
	n  Produced
}

// promise returns what is to be called when a record is written, or is not.
func (t *tally) promise(began *Injection) func(*kgo.Record, error) {
	return func(r *kgo.Record, err error) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if err == nil {
			t.n.Events++
			t.n.Bytes += int64(len(r.Key) + len(r.Value))
			if began != nil {
				t.n.Injections++
				err = t.tell(began)
			}
		}
		if err != nil {
			t.fail(err)
		}
	}
}

func (t *tally) tell(began *Injection) error {
	if t.injections == nil {
		return nil
	}
	if err := json.NewEncoder(t.injections).Encode(began); err != nil {
		return fmt.Errorf("write injection: %w", err)
	}
	return nil
}

func (t *tally) done() Produced {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// inOrder sends a key to the partition that every Kafka client sends it to. Records without a key are rows of one file and go to partition
// 0, where they stay in order.
type inOrder struct{ kgo.Partitioner }

func (p inOrder) ForTopic(topic string) kgo.TopicPartitioner {
	return inOrderTopic{p.Partitioner.ForTopic(topic)}
}

type inOrderTopic struct{ byKey kgo.TopicPartitioner }

func (inOrderTopic) RequiresConsistency(*kgo.Record) bool { return true }

func (p inOrderTopic) Partition(r *kgo.Record, n int) int {
	if r.Key == nil {
		return 0
	}
	return p.byKey.Partition(r, n)
}
