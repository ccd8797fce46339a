package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The median of 1, 2, 3, 4, 100 is 3, and of their distances 2, 1, 0, 1, 97 it is 1.
func TestMedianByHand(t *testing.T) {
	d := newDetector[*Median](t, &MedianConfig{Window: 5}, 1)
	for _, x := range []float64{9, 4, 100, 2, 1, 3} { // the 9 is forgotten
		d.Learn(value(x))
	}
	if score, ok := d.Score(value(10)); !ok || !near(score, 7/1.482602218505602, 1e-12) {
		t.Errorf("Score(10) = %v, %v, want %v, true", score, ok, 7/1.482602218505602)
	}
	for _, x := range []float64{5, 5, 5, 5, 9} { // more than half are one: mean absolute deviation 4/5
		d.Learn(value(x))
	}
	if score, _ := d.Score(value(6)); !near(score, 1/(0.8*math.Sqrt(math.Pi/2)), 1e-12) {
		t.Errorf("Score(6) = %v, want %v", score, 1/(0.8*math.Sqrt(math.Pi/2)))
	}
}

// centre agrees with sorting, for windows odd and even.
func TestMedianAgreesWithSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for window := 5; window < 20; window++ {
		d := newDetector[*Median](t, &MedianConfig{Window: window}, 1)
		var xs []float64
		for range 200 {
			x := math.Round(5 * r.NormFloat64())
			d.Learn(value(x))
			xs = append(xs, x)
			if len(xs) < window {
				continue
			}
			last := slices.Clone(xs[len(xs)-window:])
			slices.Sort(last)
			median := last[window/2]
			for i := range last {
				last[i] = math.Abs(last[i] - median)
			}
			slices.Sort(last)
			if got, spread := d.fields[0].centre(); got != median || last[window/2] > 0 && !near(spread, ofMedianDeviation*last[window/2], 1e-12) {
				t.Fatalf("centre of the last %d of %v = %v, %v, want %v, %v", window, xs, got, spread, median, ofMedianDeviation*last[window/2])
			}
		}
	}
}

// Anomalies in nearly half of the window do not hide the next one.
func TestMedianIsRobust(t *testing.T) {
	d := newDetector[*Median](t, &MedianConfig{Window: 101}, 1)
	r := rand.New(rand.NewPCG(2, 0))
	for i := range 101 {
		x := r.NormFloat64()
		if i%5 < 2 {
			x += 1000
		}
		d.Learn(value(x))
	}
	if score, _ := d.Score(value(1000)); score < 100 {
		t.Errorf("Score(1000) = %v, want > 100", score)
	}
}

func TestMedianConfigIsChecked(t *testing.T) {
	if _, err := (&MedianConfig{Window: 4}).New(1); err == nil || err.Error() != "window is 4, want 5 to 10001" {
		t.Errorf("%v", err)
	}
}
