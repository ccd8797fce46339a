package threshold

import (
	"math"
	"testing"
)

func TestCombine(t *testing.T) {
	for _, c := range []struct {
		ps   []float64
		want float64 // decades
	}{
		{nil, 0},
		{[]float64{1, 1, 1}, 0},
		{[]float64{0.001}, 3},
		{[]float64{0.01, 0.01}, 2},                 // agreement of dependent detectors is no further evidence
		{[]float64{0.1, 0.025}, -math.Log10(0.04)}, // 2/(10 + 40)
		{[]float64{1e-300, 1}, 300 - math.Log10(2)},
		{[]float64{0, 1}, 300 - math.Log10(2)}, // finite whatever comes
	} {
		if got := Combine(c.ps); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Combine(%v) = %v, want %v", c.ps, got, c.want)
		}
	}
}
