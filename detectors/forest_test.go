package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func newForest(t *testing.T, fields int) *Forest {
	t.Helper()
	return newDetector[*Forest](t, Kinds["forest"](), fields)
}

// gauss returns n points of noise around a level.
func gauss(n, fields int, level float64, r *rand.Rand) []Point {
	ps := make([]Point, n)
	for i := range ps {
		ps[i].X = make([]float64, fields)
		for j := range ps[i].X {
			ps[i].X[j] = level + r.NormFloat64()
		}
	}
	return ps
}

// By the paper a tree over n points is log(n/leaf)/log 4 deep: 2048 points at 32 a leaf are three levels, and 7 cuts at most.
func TestForestLevels(t *testing.T) {
	f := newForest(t, 2)
	for _, c := range []struct {
		n    int
		want float64
	}{{0, 0}, {32, 0}, {128, 1}, {512, 2}, {2048, 3}} {
		if got := f.levels[c.n]; !near(got, c.want, 1e-12) {
			t.Errorf("levels(%d) = %v, want %v", c.n, got, c.want)
		}
	}
	if nodes := len(f.nodes) / len(f.found); nodes != 15 {
		t.Errorf("room for %d nodes, want 15", nodes)
	}
}

// At any time each node counts the window's points that reach it, has them within its bounds, and is cut only if they are enough. A cut node's
// bounds are those of its children, or it is known to be loose. A leaf's points end in the node at the bottom that stands for it.
func TestForestTreesFitTheWindow(t *testing.T) {
	c := &ForestConfig{Trees: 4, Window: 256, LeafPoints: 4, WarmUp: 10, Seed: 3}
	f := newDetector[*Forest](t, c, 3)
	r := rand.New(rand.NewPCG(1, 0))
	for i, p := range gauss(2000, 3, 0, r) {
		p.X[0] += float64(i/500) * 20 // jumps
		p.X[1] = math.Round(p.X[1])   // ties
		p.X[2] = 1                    // constant
		f.Learn(p)
		if i%37 == 0 {
			for tree := range f.found {
				checkNode(t, f, tree, 0, allSlots(f))
			}
		}
	}
}

func allSlots(f *Forest) (slots []int) {
	for i := range f.size() {
		slots = append(slots, i)
	}
	return slots
}

func checkNode(t *testing.T, f *Forest, node, level int, slots []int) {
	t.Helper()
	checkPoints(t, f, node, slots)
	if !f.nodes[node].cut() {
		end := node
		for range f.depth - level {
			end = f.first(end)
		}
		checkPoints(t, f, end, slots)
		if int(f.level[end]) != level {
			t.Fatalf("after %d points node %d stands for a leaf on level %d, want %d", f.n, end, f.level[end], level)
		}
		for _, s := range slots {
			f.find(f.slot(s), f.left)
			if !slices.Contains(f.left, uint32(end)) {
				t.Fatalf("after %d points %v ends in %v, want %d", f.n, f.slot(s), f.left, end)
			}
		}
		return
	}
	if len(slots) < f.config.LeafPoints<<level {
		t.Fatalf("after %d points node %d is cut with %d points", f.n, node, len(slots))
	}
	low, high := f.box(node)
	left := f.first(node)
	lowLeft, highLeft := f.box(left)
	lowRight, highRight := f.box(left + 1)
	for j := range f.point {
		if f.nodes[node].limit != loose && (low[j] != min(lowLeft[j], lowRight[j]) || high[j] != max(highLeft[j], highRight[j])) {
			t.Fatalf("after %d points node %d has bounds %v to %v in field %d, which its children do not reach", f.n, node, low[j], high[j], j)
		}
	}
	var below [2][]int
	for _, s := range slots {
		right := f.child(node, f.slot(s)) - left
		below[right] = append(below[right], s)
	}
	checkNode(t, f, left, level+1, below[0])
	checkNode(t, f, left+1, level+1, below[1])
}

// checkPoints holds a node's count and bounds against the points in it.
func checkPoints(t *testing.T, f *Forest, node int, slots []int) {
	t.Helper()
	if int(f.count[node]) != len(slots) {
		t.Fatalf("after %d points node %d counts %d points, has %d", f.n, node, f.count[node], len(slots))
	}
	for _, s := range slots {
		if x := f.slot(s); !f.holds(uint32(node), x) {
			low, high := f.box(node)
			t.Fatalf("after %d points node %d has %v, outside of [%v, %v]", f.n, node, x, low, high)
		}
	}
}

// A new level is odd when it comes, and normal a window later.
func TestForestForgets(t *testing.T) {
	f := newForest(t, 4)
	r := rand.New(rand.NewPCG(2, 0))
	learn(f, gauss(4000, 4, 0, r))
	shifted := gauss(4100, 4, 30, r)
	before, _ := f.Score(shifted[0])
	learn(f, shifted[:4099])
	after, _ := f.Score(shifted[4099])
	back, _ := f.Score(gauss(1, 4, 0, r)[0])
	if before < 0.8 || after > 0.45 || back < 0.8 {
		t.Errorf("a new level scores %v, later %v, and the old one then %v", before, after, back)
	}
}

// Units do not matter: powers of two are exact in floats, so that scores stay equal bit for bit.
func TestForestIgnoresUnits(t *testing.T) {
	a, b := newForest(t, 2), newForest(t, 2)
	for i, p := range gauss(3000, 2, 0, rand.New(rand.NewPCG(3, 0))) {
		q := Point{X: []float64{p.X[0] * 1024, p.X[1] / 64}}
		scoreA, _ := a.Score(p)
		scoreB, _ := b.Score(q)
		if scoreA != scoreB {
			t.Fatalf("point %d scores %v, in other units %v", i, scoreA, scoreB)
		}
		a.Learn(p)
		b.Learn(q)
	}
}

// On the noise that it was fitted to, the nominal law is right to a third of a decade.
func TestForestLaw(t *testing.T) {
	f := newForest(t, 5)
	var scores []float64
	for i, p := range gauss(14000, 5, 0, rand.New(rand.NewPCG(4, 0))) {
		score, _ := f.Score(p)
		if i >= 2500 {
			scores = append(scores, score)
		}
		f.Learn(p)
	}
	slices.Sort(scores)
	for _, decades := range []float64{0.3, 1, 2, 2.5} {
		at := scores[len(scores)-1-int(float64(len(scores))*math.Pow(10, -decades))]
		if got := f.Decades(at); math.Abs(got-decades) > 0.33 {
			t.Errorf("the score %.3f lies at %v decades, Decades says %.2f", at, decades, got)
		}
	}
}

func TestForestStateIsSmall(t *testing.T) {
	f := newForest(t, 8)
	learn(f, gauss(3000, 8, 0, rand.New(rand.NewPCG(5, 0))))
	if n := len(state(t, f)); n > 110_000 {
		t.Errorf("%d bytes with 8 fields, want ≤ 110,000", n)
	}
}

func TestForestConfigIsChecked(t *testing.T) {
	good := ForestConfig{Trees: 32, Window: 2048, LeafPoints: 32, WarmUp: 256, Seed: 1}
	for want, spoil := range map[string]func(*ForestConfig){
		"trees is 0, want 1 to 256":                                       func(c *ForestConfig) { c.Trees = 0 },
		"window is 40000, want 64 to 32768":                               func(c *ForestConfig) { c.Window = 40000 },
		"leaf_points is 1025, want 1 to 1024, and at most half of window": func(c *ForestConfig) { c.LeafPoints, c.WarmUp = 1025, 2000 },
		"warm_up is 32, want 2 to 1000000000, and more than leaf_points":  func(c *ForestConfig) { c.WarmUp = 32 },
		"trees is 300, want 1 to 256\nwindow is 1, want 64 to 32768\n" + "leaf_points is 32, want 1 to 1024, and at most half of window": func(c *ForestConfig) { c.Trees, c.Window = 300, 1 },
	} {
		c := good
		spoil(&c)
		if _, err := c.New(2); err == nil || err.Error() != want {
			t.Errorf("New of %+v: %v, want %s", c, err, want)
		}
	}
}
