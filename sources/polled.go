package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// polled is what a poll has brought and is not processed yet. All that the client holds is taken at once, for it fetches from a broker only
// when it holds nothing of that one; and it is processed in steps, so that a turn can end in between.
type polled struct {
	fetches kgo.Fetches
	shares  []share // those with records left
}

// share is what a poll has brought of a partition.
type share struct {
	at place
	o  *owned // when it was polled
	kgo.FetchTopicPartition
}

const usualStep = 20_000 // records, processed at once: some milliseconds of work

// over is a context. A poll with it returns nothing, but has rebalances wait as any poll does.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// poll takes what the client holds, unless something is left of what it took before. It waits for that until ctx is done, and not at all with
// none.
func (s *session) poll(ctx context.Context) error {
	if len(s.polled.shares) > 0 {
		return nil
	}
	now := time.Now()
	if !s.polledAt.IsZero() {
		s.o.Metrics.polls.WithLabelValues(s.o.Stream).Observe(now.Sub(s.polledAt).Seconds())
	}
	s.polledAt = now
	return s.take(s.client.PollFetches(ctx))
}

// take notes what a poll has brought.
func (s *session) take(fetches kgo.Fetches) error {
	if fetches.IsClientClosed() {
		return errors.New("the client is closed")
	}
	s.polled.fetches = fetches
	more := false
	var err error
	seen := map[place]bool{}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		at := place{f.Topic, f.Partition}
		o := s.get(at)
		switch {
		case o == nil:
			err = fmt.Errorf("records of %s/%d, which is not assigned", at.topic, at.id)
		case seen[at]:
			err = errors.New("one poll brought a partition twice: their order is unknown")
		}
		seen[at] = true
		if f.Records[len(f.Records)-1].Offset+1 < f.LastStableOffset {
			more = true
		}
		s.o.Metrics.batches.WithLabelValues(s.o.Stream).Observe(float64(len(f.Records)))
		s.polled.shares = append(s.polled.shares, share{at, o, f})
	})
	if len(s.polled.shares) > 0 { // that nothing has come tells nothing, least of all before anything has
		s.leisure = !more
	}
	return err
}

// step processes some records of each share, side by side, or of each that may be. It says whether there were any.
func (s *session) step(ctx context.Context, may func(*owned) bool) (some bool, err error) {
	shares := s.polled.shares
	each := max(1, s.o.Step/max(1, len(shares)))
	left := shares[:0]
	var g errgroup.Group
	for _, one := range shares {
		if may(one.o) {
			some = true
			part := one
			part.Records = one.Records[:min(each, len(one.Records))]
			one.Records = one.Records[len(part.Records):]
			g.Go(func() error { return s.fold(ctx, part) })
		}
		if len(one.Records) > 0 {
			left = append(left, one)
		}
	}
	clear(shares[len(left):])
	s.polled.shares = left
	return some, g.Wait()
}

// ahead processes what was polled while a turn ends: what it leads to is of the next turn. Partitions that are about to be checkpointed are
// left out, for that needs the state as it is committed.
func (s *session) ahead(ctx context.Context, ended <-chan struct{}) error {
	for more := true; more && !s.full(); {
		select {
		case <-ended:
			return nil
		default:
		}
		var err error
		if more, err = s.step(ctx, func(o *owned) bool { return !s.h.Due(o.p) }); err != nil {
			return err
		}
	}
	return nil
}

// complain deals with what kept partitions from being fetched, once the records that came with it are processed.
func (s *session) complain(ctx context.Context) (failed bool, err error) {
	if len(s.polled.shares) > 0 {
		return false, nil
	}
	fetches := s.polled.fetches
	s.polled = polled{}
	s.decompressor.Refill()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err == nil || errors.Is(f.Err, context.DeadlineExceeded) || errors.Is(f.Err, context.Canceled) || errors.Is(f.Err, kafka.ErrLater) {
			return
		}
		failed = true
		if e := s.failed(ctx, f); e != nil {
			err = e
		}
	})
	return failed, err
}
