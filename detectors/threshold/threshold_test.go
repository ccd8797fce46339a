package threshold

import (
	"math"
	"testing"
)

func TestCombine(t *testing.T) {
	for _, c := range []struct {
		ps, weights []float64
		want        float64 // decades
	}{
		{nil, nil, 0},
		{[]float64{1, 1, 1}, []float64{1, 1, 1}, 0},
		{[]float64{0.001}, []float64{7}, 3},
		{[]float64{0.01, 0.01}, []float64{1, 1}, 2},                 // agreement of dependent detectors is no further evidence,
		{[]float64{0.01, 0.01}, []float64{1, 5}, 2},                 // whatever it weighs
		{[]float64{0.1, 0.025}, []float64{1, 1}, -math.Log10(0.04)}, // 2/(10 + 40)
		{[]float64{0.1, 0.025}, []float64{2, 2}, -math.Log10(0.04)},
		{[]float64{0.1, 0.025}, []float64{3, 1}, -math.Log10(4.0 / 70)}, // 4/(3·10 + 40)
		{[]float64{0.1, 0.025}, []float64{1, 3}, -math.Log10(4.0 / 130)},
		{[]float64{1e-300, 1}, []float64{1, 1}, 300 - math.Log10(2)},
		{[]float64{0, 1}, []float64{1, 1}, 300 - math.Log10(2)}, // finite whatever comes
	} {
		if got := Combine(c.ps, c.weights); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Combine(%v, %v) = %v, want %v", c.ps, c.weights, got, c.want)
		}
	}
}

// Where it matters the mean is the Cauchy combination test, with the same weights: 1/2 - arctan(Σ w·tan(π(1/2 - p)))/π of weights that add
// up to 1, which is arctan(1/T)/π where T is above 0.
func TestCombineIsTheCauchyCombination(t *testing.T) {
	weights := []float64{0.5, 0.2, 0.3}
	for _, ps := range [][]float64{{1e-6, 0.3, 0.5}, {1e-4, 1e-5, 0.8}, {1e-12, 1e-3, 0.01}, {1e-4, 1e-4, 1e-4}} {
		sum := 0.0
		for i, p := range ps {
			sum += weights[i] / math.Tan(math.Pi*p)
		}
		if got, want := Combine(ps, weights), -math.Log10(math.Atan(1/sum)/math.Pi); math.Abs(got-want) > 1e-3 {
			t.Errorf("Combine(%v) = %v, Cauchy %v", ps, got, want)
		}
	}
}
