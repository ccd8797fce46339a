package pipeline

import (
	"fmt"
	"sync"
)

// Snapshot is the state of a worker as it was at an offset, on its way to a store: all of it, or what has changed since the snapshot
// before. It is encoded piece by piece while the worker goes on: what the worker is about to change is encoded first. So a large state
// costs its partition no pause, and little memory: what a store has taken is free for the next piece.
type Snapshot struct {
	Offset int64 // the worker's position when it was cut
	Whole  bool

	worker     *Worker
	generation uint32
	series     []uint32 // that it covers, of a whole one all; those from next on are yet to be looked at
	all, next  int
	gone       []string // keys that were evicted since the snapshot before
	taken      int64    // series encoded
	bytes      int      // of all pieces so far
	pieces     [][]byte // that nobody has asked for yet; the last is being filled
	err        error
}

const snapshotStep = 256 << 10 // bytes encoded at once, while the partition waits: some 0.3 ms

// spare are pieces that are free: each partition fills some at every checkpoint. One has room for the series that is its last.
var spare = sync.Pool{New: func() any {
	b := make([]byte, 0, pieceSize+pieceSize/8)
	return &b
}}

func newPiece() []byte { return *spare.Get().(*[]byte) }

// Cut begins a snapshot. The one before must be done or undone. A worker that was restored, or has cut a whole one before, can cut what
// has changed.
func (w *Worker) Cut(whole bool) *Snapshot {
	if w.snapshot != nil {
		panic("a snapshot is cut while another is being taken")
	}
	s := &Snapshot{Offset: w.position, Whole: whole, worker: w, generation: w.generation, series: w.dirty, all: len(w.dirty), gone: w.gone}
	gone := w.gone
	if whole { // it needs no word of what is gone, but the next one will if this one is not stored
		s.series, s.all, gone = nil, w.slots.n, nil
	}
	w.dirty, w.gone = nil, nil
	w.generation++
	head, err := w.appendHead(newPiece(), whole, gone)
	s.pieces, s.bytes, s.err = [][]byte{head}, len(head), err
	w.snapshot = s
	return s
}

// Continue encodes some bytes more, and says whether that is all. It is for who has the worker.
func (s *Snapshot) Continue(bytes int) (done bool) {
	if s.worker.snapshot != s {
		return true
	}
	for end := s.bytes + bytes; s.next < s.all; s.next++ {
		if s.bytes >= end {
			return false
		}
		if one := s.worker.slots.at(s.at(s.next)); s.covers(one) {
			s.take(s.worker.series(one.id))
		}
	}
	last := &s.pieces[len(s.pieces)-1]
	*last = appendInt(*last, s.taken)
	s.bytes += tailBytes
	s.end()
	return true
}

// end says that nothing more is to be encoded.
func (s *Snapshot) end() {
	if s.worker.snapshot == s {
		s.worker.snapshot = nil
	}
}

// Pieces encodes what is not encoded yet, and gives it. Turn has it done while nobody else uses the worker, step by step to the last.
func (s *Snapshot) Pieces(turn func(step func() (last bool))) Pieces {
	return func(yield func([]byte, error) bool) {
		for done := false; !done; {
			var full [][]byte
			var err error
			turn(func() bool {
				done = s.Continue(snapshotStep)
				full, err = s.full(done), s.err
				return done
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, piece := range full {
				if !yield(piece, nil) {
					return
				}
				if cap(piece) >= pieceSize {
					piece = piece[:0]
					spare.Put(&piece)
				}
			}
		}
	}
}

// full are the pieces to which nothing is added any more.
func (s *Snapshot) full(done bool) (full [][]byte) {
	n := len(s.pieces)
	if !done {
		n--
	}
	full, s.pieces = s.pieces[:n], s.pieces[n:]
	return full
}

// Undo says that a snapshot was not stored: what it covered is changed still, for the next.
func (w *Worker) Undo(s *Snapshot) {
	s.end()
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
		w.snapshot.take(s)
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

func (s *Snapshot) take(one series) {
	if s.err != nil {
		return
	}
	one.taken = s.generation
	s.taken++
	last := &s.pieces[len(s.pieces)-1]
	if len(*last) >= pieceSize {
		s.pieces = append(s.pieces, newPiece())
		last = &s.pieces[len(s.pieces)-1]
	}
	b, err := s.worker.append(*last, one)
	if err != nil {
		s.err = fmt.Errorf("state of series %q: %w", s.worker.key(one.id), err)
		return
	}
	s.bytes += len(b) - len(*last)
	*last = b
}
