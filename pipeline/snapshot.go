package pipeline

import (
	"fmt"
	"sync"
)

// Snapshot is the state of a worker as it was at an offset, on its way to a store: all of it, or what has changed since the snapshot
// before. It is encoded piece by piece while the worker goes on: what the worker is about to change is encoded first. So a large state
// costs its partition no pause.
type Snapshot struct {
	Offset int64 // the worker's position when it was cut
	Whole  bool

	generation uint32
	series     []uint32 // that it covers, of a whole one all; those from next on are yet to be looked at
	all, next  int
	gone       []string // keys that were evicted since the snapshot before
	taken      int64    // series encoded
	chunks     [][]byte
	err        error
}

// snapshotChunk is the size of the pieces that a snapshot is gathered in: one that doubled as it grew would be copied, again and again. A
// piece has room for the series that is its last.
const snapshotChunk = 1 << 20

// chunks are pieces of snapshots that are free: each partition fills some at every checkpoint.
var chunks = sync.Pool{New: func() any {
	b := make([]byte, 0, snapshotChunk+snapshotChunk/8)
	return &b
}}

func newChunk() []byte { return *chunks.Get().(*[]byte) }

// Cut begins a snapshot. The one before must be done or undone. A worker that was restored, or has cut a whole one before, can cut what
// has changed.
func (w *Worker) Cut(whole bool) *Snapshot {
	if w.snapshot != nil {
		panic("a snapshot is cut while another is being taken")
	}
	s := &Snapshot{Offset: w.position, Whole: whole, generation: w.generation, series: w.dirty, all: len(w.dirty), gone: w.gone}
	gone := w.gone
	if whole { // it needs no word of what is gone, but the next one will if this one is not stored
		s.series, s.all, gone = nil, w.slots.n, nil
	}
	w.dirty, w.gone = nil, nil
	w.generation++
	head, err := w.appendHead(newChunk(), whole, gone)
	s.chunks, s.err = [][]byte{head}, err
	w.snapshot = s
	return s
}

// Continue encodes some bytes more of the snapshot that was cut last, and says whether that is all.
func (w *Worker) Continue(bytes int) (done bool) {
	s := w.snapshot
	if s == nil {
		return true
	}
	size := s.size()
	for ; s.next < s.all; s.next++ {
		if s.size() >= size+bytes {
			return false
		}
		if one := w.slots.at(s.at(s.next)); s.covers(one) {
			w.take(w.series(one.id))
		}
	}
	w.snapshot = nil
	return true
}

// Undo says that a snapshot was not stored: what it covered is changed still, for the next.
func (w *Worker) Undo(s *Snapshot) {
	if w.snapshot == s {
		w.snapshot = nil
	}
	for i := range s.all {
		if one := w.slots.at(s.at(i)); !one.evicted && one.dirty != w.generation {
			one.dirty = w.generation
			w.dirty = append(w.dirty, one.id)
		}
	}
	w.gone = append(s.gone, w.gone...)
}

// touch is called before a series changes.
func (w *Worker) touch(s series) {
	if s.dirty == w.generation {
		return
	}
	if w.snapshot != nil && w.snapshot.covers(s.slot) {
		w.take(s)
	}
	s.dirty = w.generation
	w.dirty = append(w.dirty, s.id)
}

// at is the number of the series in a place.
func (s *Snapshot) at(i int) uint32 {
	if s.Whole {
		return uint32(i) //nolint:gosec // of a series
	}
	return s.series[i]
}

// covers says whether a series is still to be encoded. One that is evicted has been, if it was to be; another may be in its place.
func (s *Snapshot) covers(one *slot) bool {
	if one.evicted || one.taken == s.generation {
		return false
	}
	if s.Whole {
		return one.born <= s.generation
	}
	return one.dirty == s.generation
}

func (w *Worker) take(one series) {
	s := w.snapshot
	if s.err != nil {
		return
	}
	one.taken = s.generation
	s.taken++
	last := &s.chunks[len(s.chunks)-1]
	if len(*last) >= snapshotChunk {
		s.chunks = append(s.chunks, newChunk())
		last = &s.chunks[len(s.chunks)-1]
	}
	b, err := w.append(*last, one)
	if err != nil {
		s.err = fmt.Errorf("state of series %q: %w", w.key(one.id), err)
		return
	}
	*last = b
}

func (s *Snapshot) size() int {
	return (len(s.chunks)-1)*snapshotChunk + len(s.chunks[len(s.chunks)-1])
}

// Bytes are the snapshot's, once it is done, until it is freed.
func (s *Snapshot) Bytes() ([]byte, error) {
	b := s.chunks[0]
	if len(s.chunks) > 1 {
		size := tailBytes
		for _, c := range s.chunks {
			size += len(c)
		}
		b = make([]byte, 0, size)
		for _, c := range s.chunks {
			b = append(b, c...)
		}
	}
	return appendInt(b, s.taken), s.err
}

// Free says that nobody uses the bytes any more.
func (s *Snapshot) Free() {
	for _, c := range s.chunks {
		if cap(c) >= snapshotChunk {
			c = c[:0]
			chunks.Put(&c)
		}
	}
	s.chunks = nil
}
