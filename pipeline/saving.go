package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// A checkpoint is whole again when what has changed since the last whole one comes to a share of it, or to so many pieces: what a
	// restore reads, and what is written on average, both stay in bounds.
	changesShare = 0.5
	mostPieces   = 64

	snapshotPause = time.Millisecond // between two steps of a snapshot
	saveTimeout   = 30 * time.Second // that a store may take at least, and longer for a large state:
	saveRate      = 4 << 20          // bytes a second, before compression, that it must take

	// A checkpoint is under way for a tenth of the time at most: what is asked for may be more often than a large state bears. But a store
	// that is slow for a while makes no restart fold minutes of records.
	rest     = 9 // times what the last one took
	mostRest = time.Minute
)

// timeToSave is how long a store may take to save a state of so many bytes.
func timeToSave(bytes int64) time.Duration {
	return saveTimeout + time.Duration(float64(bytes)/saveRate*float64(time.Second))
}

// saved is what is stored of a partition.
type saved struct {
	offset  int64 // of the newest checkpoint
	whole   int   // bytes of the whole one at the start of its chain; 0 where there is none to continue
	changes int   // bytes of those that continue it
	pieces  int   // their number
	next    time.Time
}

// checkpoint begins one beside the path, if it is due and none is under way. The worker's turn is held.
func (s *Stream) checkpoint(part *partition) {
	if time.Now().Before(part.saved.next) {
		s.later(part)
		return
	}
	select {
	case part.saving <- struct{}{}:
	default:
		return // the one before is still under way
	}
	snapshot := s.cut(part)
	if snapshot == nil {
		<-part.saving
		return
	}
	s.saves.Go(func() {
		err := s.save(context.Background(), part, snapshot) // a revoked partition's checkpoint is still good
		<-part.saving
		if err != nil {
			part.turn.Lock()
			defer part.turn.Unlock()
			s.later(part)
		}
	})
}

// later has a checkpoint made when one is due, for the next commit may be long in coming. The worker's turn is held.
func (s *Stream) later(part *partition) {
	if part.later {
		return
	}
	part.later = true
	due := time.After(time.Until(part.saved.next))
	s.saves.Go(func() {
		select {
		case <-due:
		case <-part.revoked:
			return
		}
		part.turn.Lock()
		defer part.turn.Unlock()
		part.later = false
		if s.get(part.p) == part { // else it was assigned anew, or revoked, in the same moment
			s.checkpoint(part)
		}
	})
}

// cut begins a checkpoint of what is committed, or returns nil where there is nothing new. The worker's turn is held. A history is not
// stored before the group has committed where it ends, and with that where it begins: whoever finds a state and no offset would not know
// from where to learn it again.
func (s *Stream) cut(part *partition) *Snapshot {
	w := part.worker
	s.mu.Lock()
	committed := part.committed
	s.mu.Unlock()
	if part.history || w.position < 0 || w.position != committed || w.position <= part.saved.offset {
		return nil
	}
	k := &part.saved
	begin := time.Now()
	snapshot := w.Cut(k.whole == 0 || k.pieces >= mostPieces || float64(k.changes) >= changesShare*float64(k.whole))
	s.o.Metrics.checkpointPause.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	k.next = time.Now().Add(s.o.CheckpointEvery)
	return snapshot
}

// save has a snapshot stored, piece by piece as it is taken. A failure costs replay, nothing else: it is counted and said once, and the next
// checkpoint has what this one had.
func (s *Stream) save(ctx context.Context, part *partition, snapshot *Snapshot) error {
	begin := time.Now()
	c := Checkpoint{Offset: snapshot.Offset, After: Whole, Config: s.plan.hashes}
	part.turn.Lock()
	if !snapshot.Whole {
		c.After = part.saved.offset
	}
	ctx, cancel := context.WithTimeout(ctx, timeToSave(part.worker.bytes))
	part.turn.Unlock()
	defer cancel()
	err := s.o.Checkpoints.Save(ctx, Log{s.o.Group, part.p}, c, snapshot.Pieces(func(step func() bool) {
		part.turn.Lock()
		began := time.Now()
		last := step()
		s.o.Metrics.checkpointPause.WithLabelValues(s.name).Observe(time.Since(began).Seconds())
		part.turn.Unlock()
		if !last {
			time.Sleep(snapshotPause)
		}
	}))

	part.turn.Lock()
	k := &part.saved
	switch {
	case err != nil:
		part.worker.Undo(snapshot)
		if errors.Is(err, ErrBroken) {
			k.whole, k.next = 0, time.Time{}
		}
	case snapshot.Whole:
		*k = saved{offset: c.Offset, whole: snapshot.bytes, next: k.next}
	default:
		k.offset, k.changes, k.pieces = c.Offset, k.changes+snapshot.bytes, k.pieces+1
	}
	snapshot.end() // where the store had no need of it
	size := snapshot.bytes
	if rested := time.Now().Add(min(rest*time.Since(begin), mostRest)); err == nil && rested.After(k.next) {
		k.next = rested
	}
	part.turn.Unlock()
	s.tell(part, c, size, begin, err)
	return err
}

// tell counts a checkpoint, and says when they begin to fail and when they are stored again. That a whole one is wanted is no failure.
func (s *Stream) tell(part *partition, c Checkpoint, size int, begin time.Time, err error) {
	s.mu.Lock()
	before := s.unsaved[part.p]
	current := s.partitions[part.p] == part
	broken := errors.Is(err, ErrBroken)
	switch {
	case err == nil || !current:
		delete(s.unsaved, part.p)
	case !broken:
		s.unsaved[part.p] = err
	}
	s.mu.Unlock()
	switch {
	case broken:
		s.o.Metrics.checkpoints.WithLabelValues(s.name, "broken").Inc()
		return
	case err != nil:
		s.o.Metrics.checkpoints.WithLabelValues(s.name, "failed").Inc()
		if before == nil {
			s.log.Error("checkpoint", "partition", part.p.String(), "offset", c.Offset, "error", err)
		}
		return
	case before != nil:
		s.log.Info("checkpoints are stored again", "partition", part.p.String(), "offset", c.Offset)
	}
	kind := "changes"
	if c.After == Whole {
		kind = "whole"
		if current {
			s.o.Metrics.checkpointBytes.WithLabelValues(part.labels...).Set(float64(size))
		}
	}
	s.o.Metrics.checkpoints.WithLabelValues(s.name, "stored").Inc()
	s.o.Metrics.checkpointBytesTotal.WithLabelValues(s.name, kind).Add(float64(size))
	s.o.Metrics.checkpointDuration.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	if current {
		s.o.Metrics.checkpointAge.set(part.labels, begin)
	}
}

// Wait returns when no checkpoint is under way.
func (s *Stream) Wait() { s.saves.Wait() }

// Stored is nil while checkpoints can be read and stored, as far as is known. A change of the configuration wants that: it begins with one.
func (s *Stream) Stored() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lacks(s.unstored())
}

// unstored says which checkpoints cannot be read or stored. The lock is held.
func (s *Stream) unstored() (missing []string) {
	for p, w := range s.waiting {
		if !w.over() {
			missing = append(missing, fmt.Sprintf("%v: its checkpoints cannot be read since %s", p, w.since.UTC().Format(time.RFC3339)))
		}
	}
	for p, err := range s.unsaved {
		missing = append(missing, fmt.Sprintf("%v: %v", p, err))
	}
	return missing
}

func (s *Stream) lacks(missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("stream %s: %s", s.name, strings.Join(missing, "; "))
}
