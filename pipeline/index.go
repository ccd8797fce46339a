package pipeline

// index finds series by the hashes of their keys: open addressing with linear probing, at most three quarters full (Knuth 1998, "The Art of Computer
// Programming" 3, section 6.4, algorithms L and R). A look at it is one look at memory, mostly, where the language's map takes two.
type index struct {
	n       int     // series
	entries []entry // a power of two of them
}

// entry is a hash in the upper half, and in the lower the number of the series and one; or 0.
type entry uint64

func newEntry(hash, id uint32) entry { return entry(hash)<<32 | entry(id+1) }

func (e entry) hash() uint32 { return uint32(e >> 32) }

func (e entry) id() uint32 { return uint32(e) - 1 } //nolint:gosec // the lower half

const leastEntries = 16

func newIndex() index { return index{entries: make([]entry, leastEntries)} }

// at is an entry by its place, which goes round. Those of a hash begin at the hash, and end before the next 0.
func (x *index) at(place uint32) entry { return x.entries[int(place)&(len(x.entries)-1)] }

// add takes in a series that is not there.
func (x *index) add(hash, id uint32) {
	if x.n++; 4*x.n > 3*len(x.entries) {
		old := x.entries
		x.entries = make([]entry, 2*len(old))
		for _, e := range old {
			if e != 0 {
				x.put(e)
			}
		}
	}
	x.put(newEntry(hash, id))
}

func (x *index) put(e entry) {
	place := e.hash()
	for x.at(place) != 0 {
		place++
	}
	x.set(place, e)
}

func (x *index) set(place uint32, e entry) { x.entries[int(place)&(len(x.entries)-1)] = e }

// remove takes out a series that is there. Those behind it move up, so that no search ends at the gap.
func (x *index) remove(hash, id uint32) {
	x.n--
	gap := hash
	for x.at(gap) != newEntry(hash, id) {
		gap++
	}
	last := uint32(len(x.entries) - 1) //nolint:gosec // of at most 2^32 entries
	for place := gap + 1; x.at(place) != 0; place++ {
		if e := x.at(place); (place-e.hash())&last >= (place-gap)&last {
			x.set(gap, e)
			gap = place
		}
	}
	x.set(gap, 0)
}
