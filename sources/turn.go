package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/pipeline"
)

// begin begins a turn, with what is left of the one before.
func (s *session) begin(ctx context.Context) error {
	again, err := s.delivery.begin(ctx)
	if err != nil {
		return err
	}
	if again {
		s.mu.Lock()
		for _, o := range s.owned {
			o.written = 0
		}
		s.mu.Unlock()
	}
	return s.write(ctx)
}

// write hands the client what is pending and not yet written in this turn, and moves the turn's end to there. What the client holds is
// bounded: beyond that, write waits for the brokers, but not for ever.
func (s *session) write(ctx context.Context) error {
	s.mu.Lock()
	var messages []pipeline.Message
	for _, o := range s.owned {
		messages = append(messages, o.pending[o.written:]...)
		o.written, o.end, o.endEpoch = len(o.pending), o.position, o.epoch
	}
	s.mu.Unlock()
	for i := range messages {
		if s.client.BufferedProduceRecords() >= unsentRecords || s.client.BufferedProduceBytes() >= unsentBytes {
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
	if err := s.client.Flush(ctx); err != nil {
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

// work says whether the turn has something to end for.
func (s *session) work() bool {
	if s.failures.any() || s.revoked.Load() || s.tainted.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owned {
		if !o.settled.IsZero() && (o.written > 0 || o.due() > o.committed) {
			return true
		}
	}
	return false
}

// maxAborts is how many turns in a row may be given up, other than by rebalances, before the client is made anew. That also creates
// output topics which were deleted, so where one is missing it happens at once.
const maxAborts = 5

// end makes the turn durable, and meanwhile begins with the records of the next.
func (s *session) end(ctx context.Context) error {
	begin := time.Now()
	s.ending = begin
	rebalanced := s.revoked.Swap(false)
	ended := make(chan struct{})
	var ahead errgroup.Group
	// A partition is handed over with a checkpoint only if nothing is processed beyond what is committed.
	if !rebalanced && !s.hurried && !s.pressure.resting() && ctx.Err() == nil {
		if err := s.poll(nil); err != nil { //nolint:staticcheck // without a context it does not wait
			return err
		}
		ahead.Go(func() error { return s.ahead(ctx, ended) })
	}
	err := s.commit(ctx, begin, rebalanced)
	close(ended)
	if err = errors.Join(err, ahead.Wait()); err != nil {
		return err
	}
	_, err = s.complain(ctx)
	return err
}

// commit makes messages and offsets durable.
func (s *session) commit(ctx context.Context, begin time.Time, rebalanced bool) error {
	// Committing forces a heartbeat, which during a rebalance waits for a callback that polling holds back. A revoke while this ends is
	// safe: it makes the turn fail.
	s.client.AllowRebalance()
	ending, cancel := within(ctx, endTimeout)
	defer cancel()

	flushed := s.client.Flush(ending)
	s.writeFailed = s.failures.take()
	unwritten := errors.Join(flushed, s.writeFailed)
	if unwritten == nil && s.tainted.Load() {
		unwritten = errTainted
	}
	defer func() { s.o.Metrics.commits.WithLabelValues(s.o.Stream).Add(time.Since(begin).Seconds()) }()
	sent := map[place]int64{}
	why, err := s.delivery.end(ending, unwritten == nil, sent)
	s.tainted.Store(false)
	if err != nil {
		s.o.Metrics.transactions.WithLabelValues(s.o.Stream, "failed").Inc()
		return fmt.Errorf("commit: %w", errors.Join(err, s.writeFailed))
	}
	if why = cmp.Or(unwritten, why); why != nil {
		rebalanced = rebalanced || s.revoked.Load()
		if rebalanced && errors.Is(why, errNotTaken) {
			why = errRevoked
		}
		return s.aborted(ctx, rebalanced, why)
	}
	s.aborts = 0
	s.o.Metrics.transactions.WithLabelValues(s.o.Stream, "committed").Inc()
	s.o.Metrics.transactionTime.WithLabelValues(s.o.Stream).Observe(time.Since(begin).Seconds())
	return s.committed(ctx, sent)
}

// aborted keeps what the turn held for the next one.
func (s *session) aborted(ctx context.Context, rebalanced bool, why error) error {
	s.o.Metrics.transactions.WithLabelValues(s.o.Stream, "aborted").Inc()
	s.o.Clients.Denied(why)
	if ctx.Err() != nil {
		return fmt.Errorf("the last commit failed: %w", why)
	}
	level := slog.LevelWarn
	if s.writeFailed == nil && passes(why) {
		level = slog.LevelInfo // as groups do
	}
	s.log.Log(ctx, level, "not committed: what the turn held is tried again", "why", why)
	if !rebalanced {
		if s.aborts++; s.aborts >= maxAborts || errors.Is(s.writeFailed, kerr.UnknownTopicOrPartition) {
			return errors.Join(fmt.Errorf("commits failed in a row: %d", s.aborts), s.writeFailed)
		}
	}
	s.forget(ctx, s.strays(s.client.CommittedOffsets()))
	return s.reread(ctx)
}

// committed tells the handler what has become durable.
func (s *session) committed(ctx context.Context, sent map[place]int64) error {
	now := time.Now()
	for at, offset := range sent {
		var told []pipeline.Message
		s.mu.Lock()
		o := s.owned[at]
		if o != nil {
			for i := range o.pending {
				if o.pending[i].Offset >= offset {
					break // the next turn's
				}
				s.o.Metrics.written(s.o.Stream, &o.pending[i], s.o.Outputs[0], now)
				if s.o.Told != nil || s.o.Tracer != nil {
					told = append(told, o.pending[i])
				}
			}
			o.keepFrom(offset)
			if o.position < offset {
				o = nil // where it begins was committed; the state is not there yet
			}
		}
		s.mu.Unlock()
		s.o.Tracer.Committed(s.o.Stream, told, s.ending, now)
		if len(told) > 0 && s.o.Told != nil {
			s.o.Told(told)
		}
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

// keepFrom notes what is committed, and drops the messages of records below it: they are told.
func (o *owned) keepFrom(offset int64) {
	o.committed = max(o.committed, offset)
	kept := o.pending[:0]
	o.bytes = 0
	for _, m := range o.pending {
		if m.Offset >= offset {
			kept = append(kept, m)
			o.bytes += m.Size()
		}
	}
	clear(o.pending[len(kept):])
	o.pending, o.written = kept, 0
}
