package pipeline

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// workerVersion changes with the layout of the state; a worker reads its own only, and rebuilds from the log otherwise.
const workerVersion = 1

// A state is whole, or says what has changed since another.
const (
	whole   = 0
	changed = 1
)

// AppendBinary appends the whole state: its head, and each series in order of its key.
func (w *Worker) AppendBinary(b []byte) ([]byte, error) {
	b = w.appendHead(b, true, nil)
	var err error
	for _, key := range slices.Sorted(maps.Keys(w.byKey)) {
		if b, err = w.byKey[key].append(b); err != nil {
			return nil, fmt.Errorf("state of series %q: %w", key, err)
		}
	}
	return appendInt(b, int64(len(w.byKey))), nil
}

// tailBytes is the size of what follows the series: their number.
const tailBytes = 8

// appendHead appends what a state has besides series: version, whether it is whole, position, watermark, what the table counts, and
// the keys that are gone since the state that it changes.
func (w *Worker) appendHead(b []byte, isWhole bool, gone []string) []byte {
	kind := byte(changed)
	if isWhole {
		kind = whole
	}
	b = append(b, workerVersion, kind)
	b = appendInt(b, w.position)
	b = appendInt(b, w.watermark)
	b = appendInt(b, int64(len(w.misses.counters)))
	b = append(b, w.misses.counters...)
	b = appendInt(b, int64(w.misses.added)) //nolint:gosec // a count
	b = appendInt(b, int64(w.misses.age))   //nolint:gosec // a count
	b = appendInt(b, int64(len(gone)))
	for _, key := range gone {
		b = appendText(b, key)
	}
	return b
}

// UnmarshalBinary restores a whole state of a worker of the same configuration. After an error the worker is not to be used.
func (w *Worker) UnmarshalBinary(b []byte) error { return w.Restore([][]byte{b}) }

// Restore restores the states of a worker of the same configuration: a whole one first, then what changed since, in order. After an error
// the worker is not to be used.
func (w *Worker) Restore(states [][]byte) error {
	w.table = newTable(w.plan)
	w.generation, w.dirty, w.gone, w.snapshot = 2, nil, nil, nil // what a snapshot has was taken in generation 1
	for i, b := range states {
		r := &stateReader{b: b}
		if err := w.restore(r, i == 0); err != nil {
			return err
		}
	}
	w.derive()
	return nil
}

func (w *Worker) restore(r *stateReader, first bool) error {
	head := r.take(2)
	switch {
	case r.err != nil:
		return r.err
	case head[0] != workerVersion:
		return fmt.Errorf("%w: version %d, want %d", errState, head[0], workerVersion)
	case (head[1] == whole) != first || head[1] > changed:
		return fmt.Errorf("%w: a state of kind %d where another is wanted", errState, head[1])
	}
	position := r.int()
	if r.err == nil && (position < -1 || !first && position < w.position) {
		r.fail("position %d after %d", position, w.position)
	}
	w.position, w.watermark = position, r.int()
	counters := r.take(r.count(1))
	if want := sketchBytes(w.capacity); len(counters) > 0 && len(counters) != want {
		r.fail("counters in %d bytes, want %d", len(counters), want)
	}
	w.misses = sketch{counters: append([]byte(nil), counters...), added: uint64(max(0, r.int())), age: uint64(max(0, r.int()))}
	for range r.count(1) {
		if s := w.byKey[r.text()]; s != nil {
			w.remove(s)
		}
	}
	seen := map[string]bool{}
	for r.err == nil && len(r.b) > tailBytes {
		s := readSeries(r, w.plan)
		if r.err == nil && seen[s.key] {
			r.fail("series %q twice", s.key)
		}
		seen[s.key] = true
		if old := w.byKey[s.key]; old != nil {
			w.remove(old)
		}
		s.taken = 1
		w.add(s)
		if len(w.all) > w.config.MaxSeries {
			r.fail("%d series, want at most %d", len(w.all), w.config.MaxSeries)
		}
	}
	if n := r.int(); r.err == nil && n != int64(len(seen)) {
		r.fail("%d series, want %d", len(seen), n)
	}
	return r.err
}

// derive works out what follows from the state: when windows close and incidents become quiet.
func (w *Worker) derive() {
	w.closing, w.ghosts, w.disturbed, w.nextQuiet = nil, 0, nil, math.MaxInt64
	coolDown := w.config.Alert.CoolDown
	for _, key := range slices.Sorted(maps.Keys(w.byKey)) {
		s := w.byKey[key]
		for _, in := range s.windows {
			w.closeAt(in.start+int64(w.config.Window.Every), s)
		}
		if coolDown.Time == 0 || !s.anomaly.open() && !s.drift.open() {
			continue
		}
		w.disturbed = append(w.disturbed, s)
		for _, i := range [...]*incident{&s.anomaly, &s.drift} {
			if i.open() {
				w.nextQuiet = min(w.nextQuiet, i.quietFrom(coolDown))
			}
		}
	}
}
