package pipeline

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"slices"
)

// workerVersion changes with the layout of the state.
const (
	workerVersion = 5
	rows          = 5 // the first in which small windows have their samples
	oldestWorker  = 4
)

// A state is whole, or says what has changed since another. Where silence is told, it has besides when the partition had records again.
const (
	whole   = 0
	changed = 1
	gaps    = 2 // added to one of these
)

// AppendBinary appends the whole state: its head, and each series in order of its key.
func (w *Worker) AppendBinary(b []byte) ([]byte, error) {
	b, err := w.appendHead(b, true, nil)
	if err != nil {
		return nil, err
	}
	for _, id := range w.sorted(w.all) {
		if b, err = w.append(b, w.series(id)); err != nil {
			return nil, fmt.Errorf("state of series %q: %w", w.key(id), err)
		}
	}
	return appendInt(b, int64(w.index.n)), nil
}

// sorted are series in order of their keys.
func (w *Worker) sorted(some iter.Seq[uint32]) []uint32 {
	return slices.SortedFunc(some, func(a, b uint32) int { return bytes.Compare(w.key(a), w.key(b)) })
}

// tailBytes is the size of what follows the series: their number.
const tailBytes = 8

// appendHead appends what a state has besides series: version, whether it is whole, position, watermark and when it last went on after a gap, since when
// its configuration tells and which one told before, what the table counts, the keys that are gone since the state that it changes, what the
// series have in common, and, where it is whole, the names of a series' parts.
func (w *Worker) appendHead(b []byte, isWhole bool, gone []string) ([]byte, error) {
	kind := byte(changed)
	if isWhole {
		kind = whole
	}
	if w.config.Alert.Silence > 0 {
		kind += gaps
	}
	b = append(b, workerVersion, kind)
	b = appendInt(b, w.position)
	b = appendInt(b, w.watermark)
	if kind >= gaps {
		b = appendInt(b, w.resumed)
	}
	b = appendInt(b, w.since)
	b = appendText(b, w.before)
	b = appendInt(b, int64(len(w.misses.counters)))
	b = append(b, w.misses.counters...)
	b = appendInt(b, int64(w.misses.added)) //nolint:gosec // a count
	b = appendInt(b, int64(w.misses.age))   //nolint:gosec // a count
	b = appendInt(b, int64(len(gone)))
	for _, key := range gone {
		b = appendText(b, key)
	}
	b, err := w.pool.append(b, w.plan)
	if err != nil {
		return nil, fmt.Errorf("what series have in common: %w", err)
	}
	if isWhole {
		b = appendInt(b, int64(len(w.parts)))
		for _, p := range w.parts {
			b = appendText(b, p.name)
		}
	}
	return b, nil
}

// UnmarshalBinary restores a whole state, as Restore does.
func (w *Worker) UnmarshalBinary(b []byte) error { return w.Restore([][]byte{b}) }

// Restore restores the states of a worker: a whole one first, then what changed since, in order. They may be of another configuration that
// makes the same points: then parts that both have go on, and others begin anew. After an error the worker is not to be used.
func (w *Worker) Restore(states [][]byte) error {
	w.table = newTable(w.plan)
	w.pool = newPool(w.plan, w.common)
	w.generation, w.dirty, w.gone, w.snapshot = 2, nil, nil, nil // what a snapshot has was taken in generation 1
	for i, b := range states {
		r := &stateReader{b: b}
		if err := w.restore(r, i == 0); err != nil {
			return err
		}
	}
	if w.unsettled(w.stored) {
		for id := range w.all {
			w.slots.at(id).law.Unsettle()
		}
		w.pool.combined.Unsettle()
	}
	w.sitAnew()
	w.derive()
	return nil
}

// restore reads a state over what is there: the first, which is whole, or what has changed since.
func (w *Worker) restore(r *stateReader, first bool) error {
	head := r.take(2)
	switch {
	case r.err != nil:
		return r.err
	case head[0] < oldestWorker || head[0] > workerVersion:
		return fmt.Errorf("%w: version %d, want %d or %d", errState, head[0], oldestWorker, workerVersion)
	case (head[1]%gaps == whole) != first || head[1] > changed+gaps:
		return fmt.Errorf("%w: a state of kind %d where another is wanted", errState, head[1])
	}
	r.version = head[0]
	position := r.int()
	if r.err == nil && (position < -1 || !first && position < w.position) {
		r.fail("position %d after %d", position, w.position)
	}
	w.position, w.watermark = position, r.int()
	if w.resumed = w.watermark; head[1] >= gaps {
		w.resumed = r.int()
	}
	w.since, w.before = r.int(), r.text()
	counters := r.take(r.count(1))
	if len(counters) != sketchBytes(w.capacity) {
		counters = nil // there are none, or they are for room of another size
	}
	w.misses = sketch{counters: append([]byte(nil), counters...), added: uint64(max(0, r.int())), age: uint64(max(0, r.int()))}
	for range r.count(1) {
		if s, ok := w.find(r.bytes()); ok {
			w.remove(s)
		}
	}
	common := w.pool.read(r, w.plan)
	if first {
		w.stored = make([]string, r.count(1))
		for i := range w.stored {
			w.stored[i] = r.text()
		}
		w.layout = w.plan.layout(w.stored)
		w.stored = append(w.stored, common...)
	}
	return w.readSeries(r, first)
}

// readSeries reads the series of a state, and their number behind them.
func (w *Worker) readSeries(r *stateReader, first bool) error {
	n, seen := int64(0), map[string]bool{} // of a whole state all that is held was seen
	for ; r.err == nil && len(r.b) > tailBytes; n++ {
		key := r.bytes()
		if len(key) > maxKey {
			r.fail("a key of %d bytes, want at most %d", len(key), maxKey)
			break
		}
		if old, ok := w.find(key); ok {
			if first || seen[string(key)] {
				r.fail("series %q twice", key)
				break
			}
			w.remove(old)
		}
		if !first {
			seen[string(key)] = true
		}
		s := w.add(key)
		w.read(r, s, w.layout)
		s.taken = 1
		w.young.add(s)
	}
	if want := r.int(); r.err == nil && n != want {
		r.fail("%d series, want %d", n, want)
	}
	return r.err
}

// derive works out what follows from the state: when windows close and incidents become quiet.
func (w *Worker) derive() {
	w.closing, w.ghosts, w.nextQuiet = nil, 0, math.MaxInt64
	if w.config.Window != nil {
		for _, id := range w.sorted(w.all) {
			s := w.series(id)
			for _, in := range s.windows {
				w.closeAt(in.start+int64(w.config.Window.Every), s.body)
			}
		}
	}
	if len(w.incidents) > 0 {
		w.nextQuiet = math.MinInt64 // quiet finds out
	}
}
