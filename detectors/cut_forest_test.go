package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func newCutForest(t *testing.T, fields int) *CutForest {
	t.Helper()
	return newDetector[*CutForest](t, &CutForestConfig{Trees: 50, Sample: 256, Memory: 2560, Seed: 1}, fields)
}

// One tree of the points 0 and 4, by hand: the root reaches from 0 to 4. A point at 8 lies 4 outside of a length of 4, so that it is
// set apart there with the probability 1/2, at depth 1; or else below, at depth 2: 1/2·1 + 1/2·1/2 = 3/4. A point at 0 is at its leaf, at
// depth 1, of one of two points: 1 - 1/4 of 1/(1 + log2 2).
func TestCutForestScore(t *testing.T) {
	f := newDetector[*CutForest](t, &CutForestConfig{Trees: 1, Sample: 16, Memory: 16, Seed: 1}, 1)
	f.Learn(value(0))
	f.Learn(value(4))
	for _, c := range []struct{ x, want float64 }{{8, 0.75}, {0, 0.375}, {4, 0.375}} {
		if got := f.trees[0].score([]float32{float32(c.x)}, nil); !near(got, c.want, 1e-9) {
			t.Errorf("score of %v is %v, want %v", c.x, got, c.want)
		}
	}
	// Twice the same point is one leaf: at depth 1 with two of three points, (1 - 2/6)/(1 + log2 3).
	f.Learn(value(4))
	if got, want := f.trees[0].score([]float32{4}, nil), 2./3/(1+math.Log2(3)); !near(got, want, 1e-9) {
		t.Errorf("score of a point that is there twice is %v, want %v", got, want)
	}
}

// A robust random cut cuts a field with the probability of its share of the ranges (definition 1): of two points, 3 apart in one field and 1 in
// the other, three quarters of the trees cut the first.
func TestCutForestCutsLongFields(t *testing.T) {
	first, of := 0, 4000
	for seed := range of {
		f := newDetector[*CutForest](t, &CutForestConfig{Trees: 1, Sample: 16, Memory: 16, Seed: uint64(seed)}, 2)
		f.Learn(Point{X: []float64{0, 0}})
		f.Learn(Point{X: []float64{3, 1}})
		if f.trees[0].nodes[f.trees[0].root].field == 0 {
			first++
		}
	}
	if share := float64(first) / float64(of); math.Abs(share-.75) > 0.03 { // four standard errors
		t.Errorf("%v of the trees cut the longer field, want 3/4", share)
	}
}

// At any time each tree's nodes count the slots below them and have exact bounds, each cut parts its children, and no node is lost.
func TestCutForestTreesFitTheirSamples(t *testing.T) {
	f := newDetector[*CutForest](t, &CutForestConfig{Trees: 3, Sample: 32, Memory: 32, Seed: 3}, 3)
	for i, p := range gauss(2000, 3, 0, rand.New(rand.NewPCG(1, 0))) {
		p.X[0] = math.Round(p.X[0] + float64(i/500)*20) // jumps, and ties
		p.X[1] = math.Round(p.X[1])
		p.X[2] = 1
		f.Learn(p)
		for k := range f.trees {
			tree := &f.trees[k]
			nodes := 0
			if slots := checkCutNode(t, tree, tree.root, none, &nodes, f.size()); slots != f.size() {
				t.Fatalf("after %d points a tree has %d slots of %d", i+1, slots, f.size())
			}
			if nodes+len(tree.free) != len(tree.nodes) {
				t.Fatalf("after %d points %d nodes are in use and %d free of %d", i+1, nodes, len(tree.free), len(tree.nodes))
			}
		}
	}
}

func checkCutNode(t *testing.T, tree *cutTree, node, parent int16, nodes *int, size int) (slots int) {
	t.Helper()
	*nodes++
	n := &tree.nodes[node]
	low, high := tree.box(node)
	switch {
	case n.parent != parent:
		t.Fatalf("node %d has the parent %d, want %d", node, n.parent, parent)
	case n.isLeaf():
		for slot := range size {
			if tree.leaf[slot] == uint16(node) {
				slots++
			}
		}
	default:
		slots = checkCutNode(t, tree, n.left, node, nodes, size) + checkCutNode(t, tree, n.right, node, nodes, size)
		lowLeft, highLeft := tree.box(n.left)
		lowRight, highRight := tree.box(n.right)
		if !(highLeft[n.field] < n.at && lowRight[n.field] >= n.at) {
			t.Fatalf("node %d is cut at %v between %v and %v", node, n.at, highLeft[n.field], lowRight[n.field])
		}
		for j := range low {
			if low[j] != min(lowLeft[j], lowRight[j]) || high[j] != max(highLeft[j], highRight[j]) {
				t.Fatalf("node %d has bounds %v to %v", node, low, high)
			}
		}
	}
	if int(n.count) != slots {
		t.Fatalf("node %d counts %d points, has %d", node, n.count, slots)
	}
	return slots
}

// A point that is odd only as a combination of fields scores above 99 % of noise.
func TestCutForestFindsCombinations(t *testing.T) {
	f := newCutForest(t, 2)
	r := rand.New(rand.NewPCG(2, 0))
	var scores []float64
	for range 2000 {
		a := r.NormFloat64()
		p := Point{X: []float64{a, a + r.NormFloat64()/20}}
		score, _ := f.Score(p)
		scores = append(scores, score)
		f.Learn(p)
	}
	slices.Sort(scores)
	if odd, _ := f.Score(Point{X: []float64{2, -2}}); odd < scores[len(scores)*99/100] {
		t.Errorf("2 with -2 scores %v, of noise 1 in 100 %v", odd, scores[len(scores)*99/100])
	}
}

func TestCutForestConfigIsChecked(t *testing.T) {
	c := CutForestConfig{Trees: 0, Sample: 5000, Memory: 1}
	want := "trees is 0, want 1 to 256\nsample is 5000, want 16 to 4096\nmemory is 1, want sample to 1000000000"
	if _, err := c.New(2); err == nil || err.Error() != want {
		t.Errorf("New of %+v: %v, want %s", c, err, want)
	}
}
