package detectors

import (
	"math"
	"testing"
)

// With weight 1/2 the averages of 1, 1 and -2 are 1/2, 3/4 and -5/8, and their standard deviation is √((1/2)/(3/2)) = 1/√3.
func TestEWMAChartByHand(t *testing.T) {
	d := newDetector[*EWMAChart](t, &EWMAChartConfig{Weight: 0.5, Target: 10, Spread: 2, HalfLife: 1000, WarmUp: 100}, 1)
	for _, step := range []struct{ x, want float64 }{{12, 0.5}, {12, 0.75}, {6, 0.625}} {
		if score, ok := d.Score(value(step.x)); !ok || !near(score, step.want*math.Sqrt(3), 1e-12) {
			t.Errorf("Score(%v) = %v, %v, want %v, true", step.x, score, ok, step.want*math.Sqrt(3))
		}
		d.Learn(value(step.x))
	}
}

// What is learned of 100 points is their mean and standard deviation, whose own weights are alike: 0 and 2 by turns have 1 and 1.
// A lone outlier then counts as 20 deviations: it moves the mean by 20·alpha.
func TestBaselineIsLearned(t *testing.T) {
	d := newDetector[*EWMAChart](t, &EWMAChartConfig{Weight: 0.1, HalfLife: 1000, WarmUp: 100}, 1)
	for i := range 100 {
		if _, ok := d.Score(value(0)); ok {
			t.Fatalf("a score after %d points", i)
		}
		d.Learn(value(float64(2 * (i % 2))))
	}
	if m := d.fields[0]; !near(m.mean, 1, 1e-12) || !near(m.variance, 1, 1e-12) {
		t.Fatalf("baseline is %+v, want mean 1 and variance 1", m)
	}
	d.Learn(value(1e9))
	if m := d.fields[0]; !near(m.mean, 1+20./101, 1e-9) {
		t.Errorf("an outlier moves the mean to %v, want %v", m.mean, 1+20./101)
	}
}

// A shift of one spread, which no point shows, grows in the average as 1 - .9^n.
func TestEWMAChartFindsASmallShift(t *testing.T) {
	d := newDetector[*EWMAChart](t, &EWMAChartConfig{Weight: 0.1, Spread: 1, HalfLife: 1000, WarmUp: 100}, 1)
	score := 0.0
	for range 40 {
		score, _ = d.Score(value(1))
		d.Learn(value(1))
	}
	if want := (1 - math.Pow(.9, 40)) * math.Sqrt(19); !near(score, want, 1e-12) {
		t.Errorf("Score = %v, want %v", score, want)
	}
}

func TestEWMAChartConfigIsChecked(t *testing.T) {
	for want, c := range map[string]EWMAChartConfig{
		"weight is 0, want > 0 and at most 1\nhalf_life is 0, want 1 to 1000000000": {HalfLife: 0, WarmUp: 100},
		"spread is 0, want > 0 where a target is set":                               {Weight: 0.1, Target: 3, HalfLife: 100, WarmUp: 100},
		"spread is -1, want 0, or a standard deviation up to 1e150":                 {Weight: 0.1, Spread: -1, HalfLife: 100, WarmUp: 100},
		"target is NaN, want a number up to 1e150\nwarm_up is 1, want 2 to 1000000000": {
			Weight: 1, Target: math.NaN(), Spread: 1, HalfLife: 100, WarmUp: 1},
	} {
		if _, err := c.New(1); err == nil || err.Error() != want {
			t.Errorf("New of %+v: %v, want %s", c, err, want)
		}
	}
}
