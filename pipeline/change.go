package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// adopt makes the configuration that of a state which was restored from another's. From its offset on, which is that of the committed one
// unless a process was killed, the state is a function of what it is there, this configuration and the log; so it is stored there under
// this configuration before anything is told. A crash before that changes nothing, and one after it finds what is stored.
func (s *Stream) adopt(ctx context.Context, w *Worker, before string, committed int64) (saved, error) {
	if w.since < committed { // else nobody has told anything since the change before
		_, w.before, _ = strings.Cut(before, "-")
		w.since = committed
	}
	snapshot := w.Cut(true)
	c := Checkpoint{Offset: w.position, After: Whole, Config: s.plan.hashes}
	err := s.o.Checkpoints.Save(ctx, Log{s.o.Group, w.partition}, c, snapshot.Pieces(func(step func() bool) { step() }))
	snapshot.end()
	if err != nil {
		return saved{}, fmt.Errorf("a change of the configuration begins with a checkpoint: %w", err)
	}
	kept, cold, gone := s.plan.compare(w.stored)
	attrs := []any{"partition", w.partition.String(), "offset", c.Offset, "kept", kept, "cold", cold, "gone", gone, "config_before", w.before, "config_hash", s.plan.hash}
	if s.changed(before) {
		s.log.Info("the configuration has changed: what is cold learns anew from this offset on, and so in the other partitions", attrs...)
	}
	return saved{offset: c.Offset, whole: snapshot.bytes}, nil
}

// Carried is what becomes of a state when its configuration changes, in words.
type Carried struct {
	Rebuilt          bool // records make other points: all is learned anew, from the log
	Kept, Cold, Gone []string
}

// Carry foretells what a stream that had the configuration before does with its state under the one after; both are checked.
func Carry(before, after Config) (Carried, error) {
	old, err := newPlan("", before)
	if err != nil {
		return Carried{}, err
	}
	p, err := newPlan("", after)
	if err != nil {
		return Carried{}, err
	}
	was, _, _ := strings.Cut(old.hashes, "-")
	is, _, _ := strings.Cut(p.hashes, "-")
	if was != is {
		return Carried{Rebuilt: true}, nil
	}
	parts := slices.Concat(old.parts, old.commonParts)
	stored, words := make([]string, len(parts)), map[string]string{}
	for i, part := range parts {
		stored[i], words[part.name] = part.name, part.words
	}
	var c Carried
	c.Kept, c.Cold, c.Gone = p.compare(stored)
	for i, name := range c.Gone {
		c.Gone[i] = words[name]
	}
	return c, nil
}

// changed notes that the configuration was another, and says whether that is news.
func (s *Stream) changed(before string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.before, before) {
		return false
	}
	s.before = append(s.before, before)
	return true
}
