package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
)

// subscriber is a Watermill subscriber over kgo for one sink and one topic: a consumer group of its own, committed records only, at
// least once, in the order of each partition. An offset is committed when the message is acknowledged, not before. What a Positioned
// sink has stored counts more than what the group has committed: reading begins there.
//
// It reads in sessions, each a client of its own. A session ends when the sink turns out to have lost writes, and the next one begins at
// what the sink has: to start and to go back are the same.
type subscriber struct {
	member  *member
	group   string
	options []kgo.Opt

	mu      sync.Mutex
	current *session
	wg      sync.WaitGroup
}

const (
	sessionTimeout = 6 * time.Second // the least a default broker allows
	heartbeat      = time.Second

	maxQueued    = 1024    // records of a session that wait, beyond those of one poll
	maxPoll      = 256     // records
	maxPartition = 1 << 20 // bytes fetched of a partition at once; more only for a larger record
	maxFetch     = 4 << 20 // bytes fetched of a broker at once
)

func newSubscriber(m *member, group string, o *Options) *subscriber {
	options := append(slices.Clone(o.Kafka),
		kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they are part of the lag
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(sessionTimeout), kgo.RebalanceTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat),
		kgo.FetchMaxPartitionBytes(maxPartition), kgo.FetchMaxBytes(maxFetch),
	)
	if o.Instance != "" {
		options = append(options, kgo.InstanceID(o.Instance+"."+group))
	}
	return &subscriber{member: m, group: group, options: options}
}

// Subscribe implements message.Subscriber.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	s.member.loops.turn(topic)
	s.wg.Go(func() {
		defer close(out)
		for ctx.Err() == nil {
			s.member.loops.turn(topic)
			err := s.read(ctx, topic, out)
			switch {
			case err == nil || errors.Is(err, errRewind):
				s.member.health.ok("consume " + topic)
			default:
				s.member.health.fail("consume "+topic, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(s.member.pace.session):
			}
		}
	})
	return out, nil
}

// Close implements message.Subscriber: it waits for the end that the context of Subscribe brings.
func (s *subscriber) Close() error {
	s.wg.Wait()
	return nil
}

// errRewind ends a session to begin the next one where the sink stands.
var errRewind = errors.New("the sink lost writes")

// rewind ends the session.
func (s *subscriber) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.cancel(errRewind)
	}
}

// read runs one session.
func (s *subscriber) read(ctx context.Context, topic string, out chan<- *message.Message) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := &session{member: s.member, topic: topic, out: out, ctx: ctx, cancel: cancel, ready: make(chan struct{}), taken: make(chan struct{}, 1), partitions: map[int32]*partition{}}
	if err := n.connect(s.options); err != nil {
		return fmt.Errorf("consume %s as %s: %w", topic, s.group, err)
	}
	s.mu.Lock()
	s.current = n
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.current = nil
		s.mu.Unlock()
	}()
	var wg sync.WaitGroup
	wg.Go(n.poll)
	wg.Go(n.keepHouse)
	wg.Wait()
	n.release(n.owned(), true)
	n.close()
	if cause := context.Cause(ctx); errors.Is(cause, errRewind) {
		return cause
	}
	return nil
}

func (n *session) labels(id int32) []string {
	return []string{n.member.name, n.topic, strconv.Itoa(int(id))}
}
