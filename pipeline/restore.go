package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// waiting is a partition to be assigned whose checkpoints cannot be read.
type waiting struct{ since, last time.Time } // attempts

// over says whether nobody asks any more: a rebalance has given the partition to another process, which a handler is not told.
func (w waiting) over() bool { return time.Since(w.last) > attemptsPause }

// checkpointWait is how long an assignment waits for checkpoints that cannot be read before it rebuilds the state from the log:
// an unreachable store is not an empty one.
const checkpointWait = 2 * time.Minute

// attemptsPause is longer than any pause between two attempts to assign a partition.
const attemptsPause = 30 * time.Second

// restore makes a partition's worker, from what is stored or without a state, and says where it is to read from.
func (s *Stream) restore(ctx context.Context, p Partition, committed int64) (*Worker, saved, int64, error) {
	begin := time.Now()
	w, kept, err := s.stored(ctx, p, committed)
	if err == nil {
		if committed < 0 {
			s.log.Warn("the group has no committed offset: going on from the checkpoint, alerts since then may repeat",
				"partition", p.String(), "offset", kept.offset)
		}
		s.log.Info("restored", "partition", p.String(), "checkpoint", kept.offset, "committed", committed, "series", w.index.n,
			"bytes", kept.whole+kept.changes, "seconds", time.Since(begin).Seconds())
		s.o.Metrics.restores.WithLabelValues(s.name, "checkpoint").Inc()
		return w, kept, kept.offset, nil
	}
	if !errors.Is(err, ErrNoCheckpoint) && !s.waited(p) {
		return nil, saved{}, 0, err
	}
	w, none := newWorker(s.plan, p), saved{offset: -1}
	switch before := s.get(p); {
	case committed > 0 && before != nil && before.latest:
		s.o.Metrics.restores.WithLabelValues(s.name, "history").Inc()
		return w, none, FromStart, nil
	case committed > 0:
		s.log.Warn("no usable checkpoint: rebuilding the state from the log", "partition", p.String(), "committed", committed, "why", err)
		s.o.Metrics.restores.WithLabelValues(s.name, "log").Inc()
		return w, none, FromStart, nil
	case committed < 0 && s.o.Latest:
		s.o.Metrics.restores.WithLabelValues(s.name, "none").Inc()
		return w, none, FromLatest, nil
	}
	s.o.Metrics.restores.WithLabelValues(s.name, "none").Inc()
	return w, none, FromStart, nil
}

// stored restores the newest state that is stored and can be used, or wraps ErrNoCheckpoint. Bytes that are sound and yet no state of this
// program, such as those of a newer one, leave the piece before them, and then the chain before.
func (s *Stream) stored(ctx context.Context, p Partition, committed int64) (*Worker, saved, error) {
	atMost := committed
	if committed < 0 {
		atMost = math.MaxInt64 // the group's offset may have expired; the state has not
	}
	for {
		states, err := s.o.Checkpoints.Load(ctx, Log{s.o.Group, p}, atMost, s.plan.hashes)
		if err != nil {
			return nil, saved{}, err
		}
		for n := len(states); n > 0; n-- {
			last := states[n-1]
			w, kept, err := s.unpack(p, states[:n])
			if err != nil {
				s.log.Warn("checkpoint cannot be restored: going back to the one before", "partition", p.String(), "offset", last.Offset, "error", err)
				continue
			}
			if last.Config != s.plan.hashes {
				kept, err = s.adopt(ctx, w, last.Config, committed)
			}
			return w, kept, err
		}
		atMost = states[0].Offset - 1
	}
}

// unpack restores a worker.
func (s *Stream) unpack(p Partition, states []Stored) (*Worker, saved, error) {
	w := newWorker(s.plan, p)
	parts := make([][]byte, len(states))
	for i, c := range states {
		parts[i] = c.State
	}
	if err := w.Restore(parts); err != nil {
		return nil, saved{}, err
	}
	last := states[len(states)-1].Offset
	if w.position != last {
		return nil, saved{}, fmt.Errorf("%w: its position is %d, the checkpoint's %d", errState, w.position, last)
	}
	kept := saved{offset: last, whole: len(parts[0]), pieces: len(parts) - 1}
	for _, b := range parts[1:] {
		kept.changes += len(b)
	}
	return w, kept, nil
}

// waited says whether the checkpoints of p have been out of reach for checkpointWait.
func (s *Stream) waited(p Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[p]
	if w.over() {
		w.since = time.Now()
	}
	w.last = time.Now()
	s.waiting[p] = w
	return time.Since(w.since) >= checkpointWait
}
