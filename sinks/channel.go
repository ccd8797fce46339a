package sinks

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Channel carries alerts to the router in the same process, for runs without Kafka. It keeps the order, and when a sink lags by more
// than channelSize alerts it makes the writer wait.
type Channel struct {
	id string // stands for the topic's id, so that a run's offsets are not taken for the last run's

	mu            sync.Mutex // held by a writer that waits, too: it keeps the order
	next          map[string]int64
	subscriptions map[string][]chan record
	closed        bool
	unread        sync.WaitGroup // subscriptions that are neither at their end nor cut off
}

const channelSize = 1024

// NewChannel returns an open channel.
func NewChannel() *Channel {
	return &Channel{id: rand.Text(), next: map[string]int64{}, subscriptions: map[string][]chan record{}}
}

// Write passes messages on to the sinks of their topics; those of a topic without a sink go nowhere. The router must be Running.
func (c *Channel) Write(ctx context.Context, ms []pipeline.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("write alerts: the channel is closed")
	}
	for _, m := range ms {
		offset := c.next[m.Topic]
		c.next[m.Topic]++
		for _, s := range c.subscriptions[m.Topic] {
			select {
			case s <- record{offset: offset, timestamp: time.Now(), key: m.Key, value: m.Value}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Subscribe implements message.Subscriber.
func (c *Channel) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, out := make(chan record, channelSize), make(chan *message.Message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		close(in)
	}
	c.unread.Add(1)
	c.subscriptions[topic] = append(c.subscriptions[topic], in)
	go func() {
		defer close(out)
		ended := sync.OnceFunc(c.unread.Done)
		defer ended()
		for {
			select {
			case r, ok := <-in:
				if !ok {
					ended()
					<-ctx.Done() // the router takes an earlier end for a failure
					return
				}
				// A channel cannot be read again, so a sink is not asked to be complete (-1).
				b := &batch{partition: pipeline.Partition{Topic: topic, TopicID: c.id}, records: gather(r, in), taken: -1}
				if acknowledged, _ := handOver(ctx, b, out); !acknowledged {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// gather takes what waits behind r, up to a batch.
func gather(r record, in <-chan record) []record {
	all, bytes := []record{r}, len(r.value)
	for len(all) < batchRecords && bytes < batchBytes {
		select {
		case r, ok := <-in:
			if !ok {
				return all
			}
			all, bytes = append(all, r), bytes+len(r.value)
		default:
			return all
		}
	}
	return all
}

// Close says that nothing more is written: when the sinks have taken what is there, the router's Run returns.
func (c *Channel) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		for _, all := range c.subscriptions {
			for _, s := range all {
				close(s)
			}
		}
	}
	return nil
}

// redeliverAfter is the pause after a message was handed back, which happens only when its handler panicked.
const redeliverAfter = 100 * time.Millisecond

// handOver passes b on until its message is acknowledged. After ctx is done it gives an attempt that is under way time to end, and says
// whether that is over: if not, somebody may still be at b.
func handOver(ctx context.Context, b *batch, out chan<- *message.Message) (acknowledged, over bool) {
	for {
		attempt := b.message(ctx)
		select {
		case out <- attempt:
		case <-ctx.Done():
			return false, true
		}
		done := ctx.Done()
		var late <-chan time.Time
	wait:
		for {
			select {
			case <-attempt.Acked():
				return true, true
			case <-attempt.Nacked():
				break wait
			case <-done:
				done, late = nil, time.After(linger+time.Second)
			case <-late:
				return false, false
			}
		}
		select {
		case <-ctx.Done():
			return false, true
		case <-time.After(redeliverAfter):
		}
	}
}
