package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// A tree of two halvings of one field with the range 0 to 1, whose work space reaches from -1 to 1: cuts at 0, -1/2 and 1/2. Of 20 points,
// where 2 are enough, one lies below -1/2, 15 from 0 to 1/2 and 4 above. A point of the 15 has the mass 15·4 = 60, one of the 4 has
// 4·4 = 16, and one below 0, where there are too few to look further, 1·2, on either side of -1/2.
func TestHalfSpaceTreesMass(t *testing.T) {
	d := newDetector[*HalfSpaceTrees](t, &HalfSpaceTreesConfig{Trees: 1, Depth: 2, Window: 20, Seed: 1}, 1)
	d.halve(0, []float64{-1}, []float64{1}, rand.NewPCG(1, 0))
	copy(d.small, []uint32{1, 0, 15, 4})
	turn(d.small, d.halvings)
	for _, c := range []struct {
		x    float32
		leaf uint32
		mass int
	}{{.2, 2, 60}, {.5, 3, 16}, {.9, 3, 16}, {-.2, 1, 2}, {-3, 0, 2}} {
		d.find([]halving{below(c.x)}, d.found)
		if got := masses(d.small, d.found); d.found[0] != c.leaf || got != c.mass {
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

// Scores are to the last bit those of algorithms 1 to 3 as the paper has them: a node is looked at after the other, each counts its points, and
// what is less than a cut goes left. So it is in both sizes of leaves, for values that lie on cuts, and whatever the groups of trees that go down side by side.
func TestHalfSpaceTreesAreThoseOfThePaper(t *testing.T) {
	values := map[string]func(*rand.Rand) float64{
		"noise": func(r *rand.Rand) float64 { return r.NormFloat64() },
		"steps": func(r *rand.Rand) float64 { return float64(r.IntN(3)) },
		"spikes": func(r *rand.Rand) float64 {
			return r.NormFloat64() * math.Pow(10, 20*float64(r.IntN(100)/99))
		},
	}
	for _, c := range []HalfSpaceTreesConfig{{25, 8, 250, 1}, {5, 8, 255, 2}, {7, 8, 256, 3}, {4, 3, 300, 4}, {6, 15, 16, 5}} {
		for name, value := range values {
			t.Run(fmt.Sprintf("%+v/%s", c, name), func(t *testing.T) {
				const fields = 3
				d := newDetector[*HalfSpaceTrees](t, &c, fields)
				want := newPaperTrees(d)
				r := rand.New(rand.NewPCG(c.Seed, 0))
				for i := range 1500 {
					p := Point{X: []float64{value(r), value(r), value(r)}}
					if score, ok := d.Score(p); ok && score != want.score(p.X) {
						t.Fatalf("point %d: Score(%v) = %v, want %v", i, p.X, score, want.score(p.X))
					}
					d.Learn(p)
					want.learn(p.X)
				}
			})
		}
	}
}

// paperTrees are the trees with their counts in the nodes.
type paperTrees struct {
	config    HalfSpaceTreesConfig
	n         int
	low, high []float64
	roots     []*paperNode
}

type paperNode struct {
	at           float32
	field        int
	last, latest int
	below        [2]*paperNode
}

// newPaperTrees has the trees of a detector that has learned nothing.
func newPaperTrees(d *HalfSpaceTrees) *paperTrees {
	h := &paperTrees{config: d.config, low: make([]float64, d.fields), high: make([]float64, d.fields)}
	random := rand.NewPCG(d.config.Seed, 0)
	for range d.config.Trees {
		low, high := make([]float64, d.fields), make([]float64, d.fields)
		for j := range low {
			place := uniform(random)
			reach := 2 * max(place, 1-place)
			low[j], high[j] = place-reach, place+reach
		}
		var grow func(level int) *paperNode
		grow = func(level int) *paperNode {
			n := &paperNode{}
			if level == d.config.Depth {
				return n
			}
			n.field = int(random.Uint64() % uint64(d.fields))
			l, r := low[n.field], high[n.field]
			middle := (l + r) / 2
			n.at = float32(middle)
			high[n.field] = middle
			n.below[0] = grow(level + 1)
			low[n.field], high[n.field] = middle, r
			n.below[1] = grow(level + 1)
			low[n.field] = l
			return n
		}
		h.roots = append(h.roots, grow(0))
	}
	return h
}

// turn is the child that a point lies in.
func (h *paperTrees) turn(n *paperNode, x []float64) *paperNode {
	low, high := h.low[n.field], h.high[n.field]
	unit := 0.0
	if low < high {
		unit = min(max((min(max(x[n.field], -huge), huge)-low)/(high-low), -wide), wide)
	}
	if float32(unit) >= n.at {
		return n.below[1]
	}
	return n.below[0]
}

func (h *paperTrees) score(x []float64) float64 {
	sum := 0
	for _, n := range h.roots {
		level := 0
		for ; n.last >= h.config.Window/10 && level < h.config.Depth; level++ {
			n = h.turn(n, x)
		}
		sum += n.last << level
	}
	most := h.config.Trees * h.config.Window << h.config.Depth
	return math.Log2((float64(most) + 0.5) / (float64(sum) + 0.5))
}

func (h *paperTrees) learn(x []float64) {
	for j, v := range x {
		v = min(max(v, -huge), huge)
		if h.n == 0 {
			h.low[j], h.high[j] = v, v
		}
		h.low[j], h.high[j] = min(h.low[j], v), max(h.high[j], v)
	}
	h.n++
	for _, n := range h.roots {
		for n.latest++; n.below[0] != nil; n.latest++ {
			n = h.turn(n, x)
		}
	}
	if h.n%h.config.Window == 0 {
		for _, n := range h.roots {
			n.end()
		}
	}
}

func (n *paperNode) end() {
	n.last, n.latest = n.latest, 0
	if n.below[0] != nil {
		n.below[0].end()
		n.below[1].end()
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

// Points of five fields, of one series, and of many in random order, whose states no cache of a processor holds: then what is touched
// costs as much as what is computed.
func BenchmarkSeries(b *testing.B) {
	for _, kind := range []string{"half_space_trees", "forest"} {
		for _, n := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) { benchmarkSeries(b, kind, n) })
		}
	}
}

func benchmarkSeries(b *testing.B, kind string, n int) {
	const fields = 5
	one, err := Kinds[kind]().New(fields)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 0))
	ps := gauss(4096, fields, 0, random)
	learn(one, ps[:1000])
	if n > 1 && n*one.Bytes() > 1<<29 {
		b.Skip("more than half a GB")
	}
	state, err := one.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]Detector, n)
	for i := range all {
		all[i] = one.(Sharer).Another()
		if err := all[i].UnmarshalBinary(state); err != nil {
			b.Fatal(err)
		}
		learn(all[i], ps[:random.IntN(250)]) // windows do not end for all at once
	}
	order := make([]uint16, 1<<16)
	for i := range order {
		order[i] = uint16(random.IntN(n))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d, p := all[order[i%len(order)]], ps[i%len(ps)]
		d.Score(p)
		d.Learn(p)
	}
}
