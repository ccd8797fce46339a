package quality

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A tree finds that a class is a matter of one attribute of two, which neither a majority nor one Gaussian a class can tell: it is 1 between -1 and 1.
func TestHoeffdingTreeLearns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	tree, wrong := newHoeffdingTree(2), 0
	for i := range 10_000 {
		x := []float64{random.NormFloat64(), 4 * (random.Float64() - 0.5)}
		y := 0
		if math.Abs(x[1]) < 1 {
			y = 1
		}
		if i >= 5000 && tree.predict(x) != y {
			wrong++
		}
		tree.learn(x, y)
	}
	if tree.left == nil || tree.attribute != 1 || wrong > 250 {
		t.Errorf("splits by attribute %d, %d of 5,000 wrong, want attribute 1 and less than 250", tree.attribute, wrong)
	}
	clone := tree.clone()
	clone.learn([]float64{0, 0}, 0)
	if clone.leaf([]float64{0, 0}).n == tree.leaf([]float64{0, 0}).n {
		t.Error("what a clone learns, the tree learns as well")
	}
}

// Alarms at 900, 1000 and 3500 of a drift at 1000: one is too early, two are right, the last in the last row. A run without a right one is missed:
// 2·2/(2·2 + 2 wrong + 1 missed).
func TestDriftScore(t *testing.T) {
	var f found
	f.add([]int{900, 1000, 3500}, 1000, 1000)
	f.add([]int{3501}, 1000, 1000)
	if f != (found{right: 2, wrong: 2, missed: 1}) || math.Abs(f.f1()-4./7) > 1e-12 {
		t.Errorf("%+v, F1 %v, want 2 right, 2 wrong, 1 missed, 4/7", f, f.f1())
	}
}
