package pipeline

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Whatever series come and go, and however their hashes lie, one on the other, side by side or round the end, an index finds those that are there
// and no other.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, hashes := range []uint32{1, 3, 40, 100_000} {
		x, there := newIndex(), map[uint32]uint32{} // the hash of each
		for range 20_000 {
			id := r.Uint32N(300)
			if hash, ok := there[id]; ok {
				x.remove(hash, id)
				delete(there, id)
			} else {
				hash := math.MaxUint32 - 20 + r.Uint32N(hashes)
				x.add(hash, id)
				there[id] = hash
			}
			id = r.Uint32N(300)
			hash, want := there[id]
			found := false
			for place := hash; x.at(place) != 0 && !found; place++ {
				found = x.at(place) == newEntry(hash, id)
			}
			if found != want || x.n != len(there) {
				t.Fatalf("of %d hashes: %d is there: %v, among %d, want %v, among %d", hashes, id, found, x.n, want, len(there))
			}
		}
		taken := 0
		for _, e := range x.entries {
			if e != 0 {
				taken++
			}
		}
		if taken != x.n || 4*taken > 3*len(x.entries) {
			t.Errorf("of %d hashes: %d of %d entries are taken for %d series", hashes, taken, len(x.entries), x.n)
		}
	}
}
