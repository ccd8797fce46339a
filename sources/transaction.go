package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/pipeline"
)

// begin opens a transaction and writes again what an aborted one held. The client's Begin takes no context, and without a coordinator
// it blocks for minutes: giving up on it means giving up the client.
func (s *session) begin(ctx context.Context) error {
	began := make(chan error, 1)
	go func() { began <- s.client.Begin() }()
	wait := time.NewTimer(beginTimeout)
	defer wait.Stop()
	select {
	case err := <-began:
		if err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
	case <-wait.C:
		return fmt.Errorf("begin transaction: no answer within %v", beginTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	for _, o := range s.owned {
		o.written = 0
	}
	s.mu.Unlock()
	return s.write(ctx)
}

// write hands the client what is pending and not yet in the transaction. What the client holds is bounded: beyond that, write waits for
// the brokers, but not for ever.
func (s *session) write(ctx context.Context) error {
	s.mu.Lock()
	var messages []pipeline.Message
	for _, o := range s.owned {
		messages = append(messages, o.pending[o.written:]...)
		o.written = len(o.pending)
	}
	s.mu.Unlock()
	client := s.client.Client()
	for i := range messages {
		if client.BufferedProduceRecords() >= unsentRecords || client.BufferedProduceBytes() >= unsentBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
		s.client.Produce(context.Background(), record(&messages[i]), s.failures.note)
	}
	return nil
}

func (s *session) flush(ctx context.Context) error {
	ctx, cancel := within(ctx, endTimeout)
	defer cancel()
	if err := s.client.Client().Flush(ctx); err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	return nil
}

// within is the time that something under way may still take: d, and less once ctx is done.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lastEndTimeout, cancel) })
	return bounded, func() {
		stop()
		cancel()
	}
}

// work says whether the open transaction has something to end for.
func (s *session) work() bool {
	if s.failures.any() || s.revoked.Load() || s.tainted.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owned {
		if !o.settled.IsZero() && (len(o.pending) > 0 || o.position > o.committed) {
			return true
		}
	}
	return false
}

// maxAborts is how many transactions in a row may be aborted, other than by rebalances, before the client is made anew. That also creates
// output topics which were deleted, so where one is missing it happens at once.
const maxAborts = 5

// end commits the transaction: messages and offsets together, or neither.
func (s *session) end(ctx context.Context) error {
	begin := time.Now()
	rebalanced := s.revoked.Swap(false)
	// Ending forces a heartbeat, which during a rebalance waits for a callback that polling holds back. A revoke while this ends is
	// safe: it makes the transaction abort.
	s.client.AllowRebalance()
	ending, cancel := within(ctx, endTimeout)
	defer cancel()

	flushed := s.client.Client().Flush(ending)
	s.writeFailed = s.failures.take()
	try := kgo.TransactionEndTry(flushed == nil && s.writeFailed == nil && !s.tainted.Load())
	sent := map[place]int64{}
	committed, err := s.client.End(kgo.PreTxnCommitFnContext(ending, s.offsets(sent)), try)
	if err == nil && !committed && ending.Err() != nil {
		err = fmt.Errorf("no answer in time: %w", ending.Err())
	}
	s.tainted.Store(false)
	if err != nil {
		s.o.Metrics.transactions.WithLabelValues(s.o.Stream, "failed").Inc()
		return fmt.Errorf("end transaction: %w", errors.Join(err, s.writeFailed))
	}
	if !committed {
		return s.aborted(ctx, rebalanced || s.revoked.Load())
	}
	s.aborts = 0
	s.o.Metrics.transactions.WithLabelValues(s.o.Stream, "committed").Inc()
	s.o.Metrics.transactionTime.WithLabelValues(s.o.Stream).Observe(time.Since(begin).Seconds())
	return s.committed(ctx, sent)
}

// aborted keeps what the transaction held for the next one.
func (s *session) aborted(ctx context.Context, rebalanced bool) error {
	s.o.Metrics.transactions.WithLabelValues(s.o.Stream, "aborted").Inc()
	if ctx.Err() != nil {
		return errors.New("the last transaction was aborted")
	}
	if !rebalanced {
		s.log.Warn("transaction aborted: what it held goes into the next", "error", s.writeFailed)
		if s.aborts++; s.aborts >= maxAborts || errors.Is(s.writeFailed, kerr.UnknownTopicOrPartition) {
			return errors.Join(fmt.Errorf("transactions aborted in a row: %d", s.aborts), s.writeFailed)
		}
	}
	s.forget(ctx, s.strays(s.client.Client().CommittedOffsets()))
	return s.reread(ctx)
}

// committed tells the handler what has become durable.
func (s *session) committed(ctx context.Context, sent map[place]int64) error {
	now := time.Now()
	for at, offset := range sent {
		s.mu.Lock()
		o := s.owned[at]
		if o != nil {
			for i := range o.pending {
				s.o.Metrics.written(s.o.Stream, &o.pending[i], s.o.Outputs[0], now)
			}
			o.keepFrom(offset)
		}
		s.mu.Unlock()
		if err := s.tell(ctx, at, o, offset); err != nil {
			return err
		}
	}
	return nil
}

// tell has the handler know that everything up to offset is durable, unless the partition is gone.
func (s *session) tell(ctx context.Context, at place, o *owned, offset int64) error {
	if o == nil {
		return nil
	}
	o.turn.Lock()
	defer o.turn.Unlock()
	if s.get(at) != o {
		return nil
	}
	if err := s.h.Committed(ctx, o.p, offset); err != nil {
		return fmt.Errorf("committed %v: %w", o.p, err)
	}
	return nil
}

// errAbort is an error that makes the client abort a transaction without giving itself up.
var errAbort = kerr.RebalanceInProgress

// offsets puts the positions into the commit, in place of the client's own list: after an abort that lacks the partitions that were not
// polled since, although their alerts are in the transaction. What was sent is noted.
func (s *session) offsets(sent map[place]int64) func(*kmsg.TxnOffsetCommitRequest) error {
	return func(req *kmsg.TxnOffsetCommitRequest) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(sent)
		due, err := s.due(s.client.Client().CommittedOffsets())
		if err != nil {
			return err
		}
		byTopic := map[string][]kmsg.TxnOffsetCommitRequestTopicPartition{}
		for _, at := range due {
			o := s.owned[at]
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = at.id, o.position, o.epoch, &req.MemberID
			byTopic[at.topic] = append(byTopic[at.topic], p)
			sent[at] = o.position
		}
		req.Topics = req.Topics[:0]
		for topic, partitions := range byTopic {
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic, t.TopicID, t.Partitions = topic, s.topics[topic].ID, partitions
			req.Topics = append(req.Topics, t)
		}
		return nil
	}
}

// due are the partitions whose position the open transaction commits: those that the client still holds, for the broker checks the member
// and not the partition; and never a position below what is committed. It is called with mu held.
func (s *session) due(held map[string]map[int32]kgo.EpochOffset) ([]place, error) {
	if s.tainted.Load() {
		return nil, fmt.Errorf("a partition with alerts in the transaction was assigned again: %w", errAbort)
	}
	var due []place
	for at, o := range s.owned {
		if o.settled.IsZero() || o.position < o.committed || o.position == o.committed && len(o.pending) == 0 {
			continue // not taken over yet, folding what is committed already, or nothing new
		}
		if _, ours := held[at.topic][at.id]; ours {
			due = append(due, at)
		} else if len(o.pending) > 0 {
			return nil, fmt.Errorf("the transaction holds alerts of %v, which is no longer ours: %w", o.p, errAbort)
		}
	}
	return due, nil
}

// keepFrom notes what is committed, and drops the messages of records below it: they are told.
func (o *owned) keepFrom(offset int64) {
	o.committed = max(o.committed, offset)
	kept := o.pending[:0]
	o.bytes = 0
	for _, m := range o.pending {
		if m.Offset >= offset {
			kept = append(kept, m)
			o.bytes += size(m)
		}
	}
	clear(o.pending[len(kept):])
	o.pending, o.written = kept, 0
}
