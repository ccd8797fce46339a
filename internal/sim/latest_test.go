//go:build sim

package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/oracle"
	"github.com/gonomaly/gonomaly/pipeline"
)

// latest chooses whether a group begins at the end of a log that is there already, and how much of it is learned before. It has a chance
// of its own: the rest of a seed's plan is as without it. An operator who sets an offset back, and retention that overtakes a partition,
// take away what that is held against.
func (p *plan) latest() {
	r := rand.New(rand.NewPCG(p.seed, 2))
	if r.IntN(4) > 0 || slices.ContainsFunc(p.faults, func(f fault) bool { return f.What == rewind || f.What == eat }) {
		return
	}
	p.stream.Start = config.StartLatest
	p.history = time.Duration(2+r.IntN(6)) * time.Second
	p.stream.WarmUp = pick(r, []time.Duration{0, p.history / 2, time.Hour})
}

// beginning is where a group begins in a partition.
type beginning struct {
	committed int64 // at first
	since     int64 // the first offset that is learned
}

// begins notes the beginnings of all partitions, until it has them or the end is closed. It looks a good deal more often than offsets are
// committed.
func (w *world) begins(end <-chan struct{}) {
	defer close(w.begun)
	if w.history == 0 {
		return
	}
	for tick := time.NewTicker(10 * time.Millisecond); len(w.beginnings) < int(w.partitions); {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		g := w.cluster.GroupInfo(w.stream.Group)
		if g == nil {
			continue
		}
		for id := range w.partitions {
			c, found := g.Commits[input][id]
			if _, known := w.beginnings[id]; found && !known {
				w.beginnings[id] = beginning{c.Offset, since(c.Metadata)}
				w.trace.add("world", fmt.Sprintf("partition %d begins at %d, %s", id, c.Offset, c.Metadata), 0)
			}
		}
	}
}

// hush holds records back until it is known where a group with a history begins: its first commit may hold what it has told since.
func (w *world) hush() {
	if w.stream.WarmUp == 0 {
		return
	}
	select {
	case <-w.begun:
	case <-time.After(patience): // which is told in the end
	}
}

// since is the first offset that a state knows, by what is written beside a commit.
func since(metadata string) (offset int64) {
	var id string
	var partitions int32
	_, _ = fmt.Sscanf(metadata, "gonomaly topic=%s partitions=%d since=%d", &id, &partitions, &offset)
	return offset
}

// begin leaves of a partition's log what the group has to know, mutes its replay until where the group begins to tell, and checks that this
// was the end of the log, and so long after what is learned as was asked for.
func (w *world) begin(v *verdict, id int32, replay *oracle.Replay) {
	if w.history == 0 {
		return
	}
	<-w.begun
	b, found := w.beginnings[id]
	if !found {
		v.wrong("nobody has committed where partition %d begins", id)
	}
	log, first := w.log[id], b.committed
	if w.stream.WarmUp == 0 { // the first commit holds what was told since
		first = b.since
	}
	at, _ := slices.BinarySearchFunc(log, b.since, func(r pipeline.Record, offset int64) int { return cmp.Compare(r.Offset, offset) })
	since := b.since
	if w.stream.WarmUp > 0 && 0 < first && first <= int64(len(log)) { // the time of the last record before counts
		from := log[first-1].Timestamp - w.stream.WarmUp.Nanoseconds()
		since = log[slices.IndexFunc(log, func(r pipeline.Record) bool { return r.Timestamp >= from })].Offset
	}
	switch {
	case first < w.early[id] || w.stream.WarmUp > 0 && first > w.early[id]:
		v.wrong("partition %d begins at %d, and had %d records before any process", id, first, w.early[id])
	case b.since != since:
		v.wrong("partition %d begins at %d, and learns %v before it from %d on, not from %d", id, first, w.stream.WarmUp, b.since, since)
	}
	w.log[id] = log[at:]
	replay.Mute(first)
}
