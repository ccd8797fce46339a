package detectors

import (
	"math/rand/v2"
	"testing"
)

// A tree of two halvings of one field with the range 0 to 1, whose work space reaches from -1 to 1: cuts at 0, -1/2 and 1/2. Of 20 points,
// where 2 are enough, one lies below -1/2, 15 from 0 to 1/2 and 4 above. A point of the 15 has the mass 15·4 = 60, one of the 4 has
// 4·4 = 16, and one below 0, where there are too few to look further, 1·2, on either side of -1/2.
func TestHalfSpaceTreesMass(t *testing.T) {
	d := newDetector[*HalfSpaceTrees](t, &HalfSpaceTreesConfig{Trees: 1, Depth: 2, Window: 20, Seed: 1}, 1)
	d.halve(0, 0, []float64{-1}, []float64{1}, rand.NewPCG(1, 0))
	for leaf, points := range []uint16{1, 0, 15, 4} {
		d.leaves[leaf].latest = points
	}
	d.turn()
	for _, c := range []struct {
		x          float32
		leaf, mass uint32
	}{{.2, 2, 60}, {.5, 3, 16}, {.9, 3, 16}, {-.2, 1, 2}, {-3, 0, 2}} {
		d.find([]float32{c.x}, d.found)
		if got := d.leaves[d.found[0]].mass; d.found[0] != c.leaf || got != c.mass {
			t.Errorf("%v is in leaf %d with mass %d, want %d and %d", c.x, d.found[0], got, c.leaf, c.mass)
		}
	}
}

// Scores are those of the last full window: a new level is odd for the rest of the window in which it came, and normal from the next but one on.
func TestHalfSpaceTreesForgetByWindows(t *testing.T) {
	d := newDetector[*HalfSpaceTrees](t, Kinds["half_space_trees"](), 4)
	r := rand.New(rand.NewPCG(2, 0))
	learn(d, gauss(1000, 4, 0, r))
	usual, _ := d.Score(gauss(1, 4, 0, r)[0])
	shifted := gauss(501, 4, 30, r)
	before, _ := d.Score(shifted[0])
	learn(d, shifted[:249])
	still, _ := d.Score(shifted[0])
	learn(d, shifted[249:500])
	after, _ := d.Score(shifted[500])
	if before < usual+2 || still < usual+1 || after > usual+2 {
		t.Errorf("noise scores %v, a new level %v, within the window %v, later %v", usual, before, still, after)
	}
}

// Ten trees of depth eight: what others quote their times for.
func BenchmarkHalfSpaceTreesTenByEight(b *testing.B) {
	d, err := (&HalfSpaceTreesConfig{Trees: 10, Depth: 8, Window: 250, Seed: 1}).New(10)
	if err != nil {
		b.Fatal(err)
	}
	ps := gauss(4096, 10, 0, rand.New(rand.NewPCG(1, 0)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Score(ps[i%len(ps)])
		d.Learn(ps[i%len(ps)])
	}
}

func TestHalfSpaceTreesConfigIsChecked(t *testing.T) {
	c := HalfSpaceTreesConfig{Trees: 0, Depth: 16, Window: 1}
	want := "trees is 0, want 1 to 256\ndepth is 16, want 1 to 15\nwindow is 1, want 16 to 65535"
	if _, err := c.New(2); err == nil || err.Error() != want {
		t.Errorf("New of %+v: %v, want %s", c, err, want)
	}
}
