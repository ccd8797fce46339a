package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/gonomaly/gonomaly/pipeline"
)

// rebuildFrom is where a partition whose state is lost is read from: the first record that the state knew, or the first of the time before
// the committed offset that rebuild gives, or the start of the log, whichever comes last. What rebuild cuts off is said: the series in it
// warm up again.
func (s *session) rebuildFrom(ctx context.Context, p pipeline.Partition, at place, t taken) (int64, error) {
	from, log := t.since, t.log
	if bound := s.o.Config.Rebuild; bound > 0 {
		first, err := s.firstWithin(ctx, p, at, t.committed, bound, &log)
		if err != nil {
			return 0, err
		}
		if first > max(from, log.start) {
			s.o.Metrics.cutRebuilds.WithLabelValues(s.o.Stream).Inc()
			s.log.Warn("the state is rebuilt from a part of the log, as rebuild has it: series warm up again", "partition", p.String(),
				"rebuild", bound.String(), "from", first, "log", log.start, "committed", t.committed)
			return first, nil
		}
	}
	if from == 0 || log != nil && from < log.start {
		return pipeline.FromStart, nil
	}
	return from, nil
}

// warmUp has a partition that the group begins at its end fold so much of the log before that as warm_up gives, without output, and says
// where that starts. From then on it is one whose end was committed and whose state is lost: a crash on the way changes nothing.
func (s *session) warmUp(ctx context.Context, at place, o *owned, t *taken) (int64, error) {
	bound := s.o.Config.WarmUp
	first, err := s.firstWithin(ctx, o.p, at, atEnd, bound, &t.log)
	if err != nil {
		return 0, err
	}
	end := t.log.end
	if first == end {
		return pipeline.FromLatest, nil // there is no history
	}
	if from, err := s.hand(ctx, o.p, end, t.log); err != nil || from != pipeline.FromStart { // a state has come up, out of a store that was away
		return from, err
	}
	s.log.Info("warming up: the history before where the group begins is learned without alerts", "partition", o.p.String(),
		"warm_up", bound.String(), "from", first, "log", t.log.start, "begins", end)
	o.begins, o.since, o.lag.committed = end, first, end
	return first, nil
}

// atEnd stands for the end of the log.
const atEnd = -1

// firstWithin is the offset of the first record of the time before an offset, by the times of the records, or the start of the log where
// that comes later. It finds out where the log begins and ends, unless that is known.
func (s *session) firstWithin(ctx context.Context, p pipeline.Partition, at place, before int64, age time.Duration, log **bounds) (int64, error) {
	return backoff.RetryNotifyWithData(func() (int64, error) {
		if *log == nil {
			logs, err := s.listLogs(ctx, []string{at.topic})
			if *log = logs[at]; *log == nil {
				return 0, errors.Join(fmt.Errorf("the leader of %v does not say where its log begins", p), err)
			}
		}
		before, start := before, (*log).start
		if before == atEnd {
			before = (*log).end
		}
		if before <= start {
			return start, nil
		}
		first, err := s.firstSince(ctx, at, before-1, age)
		if err != nil {
			return 0, fmt.Errorf("look for the first record of %v within %v before offset %d: %w", p, age, before, err)
		}
		return max(start, min(first, before)), nil
	}, backoff.WithContext(retries(), ctx), s.unassigned("look back in "+p.String()))
}

// firstSince is the offset of the first record that is at most so much older than the one at an offset, by the brokers' index of times. It is
// 0 where that record's time cannot be told.
func (s *session) firstSince(ctx context.Context, at place, offset int64, age time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	got, err := s.peek(ctx, at, offset)
	if err != nil && !tooLarge(err) {
		return 0, err
	}
	var b batch
	if err == nil {
		b, _ = first(got.RecordBatches)
	}
	if b.time <= 0 {
		return 0, nil
	}
	listed, err := kadm.NewClient(s.client).ListOffsetsAfterMilli(ctx, max(0, b.time-age.Milliseconds()), at.topic)
	if err != nil {
		return 0, err
	}
	found, ok := listed.Lookup(at.topic, at.id)
	if !ok {
		return 0, errors.New("the brokers do not list it")
	}
	return found.Offset, found.Err
}
