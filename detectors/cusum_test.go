package detectors

import (
	"math"
	"testing"
)

// With slack 1/2, deviations of 1, 2, -1, -3 pile up to 0.5, 2, 0.5, 0 above the target and to 0, 0, 0.5, 3 below it.
func TestCUSUMByHand(t *testing.T) {
	d := newDetector[*CUSUM](t, &CUSUMConfig{Slack: 0.5, Target: 10, Spread: 2, HalfLife: 1000, WarmUp: 100}, 1)
	for _, step := range []struct{ x, want, up, down float64 }{{12, 0.5, 0.5, 0}, {14, 2, 2, 0}, {8, 0.5, 0.5, 0.5}, {4, 3, 0, 3}} {
		if score, ok := d.Score(value(step.x)); !ok || !near(score, step.want, 1e-12) {
			t.Errorf("Score(%v) = %v, %v, want %v, true", step.x, score, ok, step.want)
		}
		d.Learn(value(step.x))
		if s := d.sums[0]; !near(s.up, step.up, 1e-12) || !near(s.down, step.down, 1e-12) {
			t.Errorf("after %v: %+v, want %v above and %v below", step.x, s, step.up, step.down)
		}
	}
}

// One side at slack 1/2 is at least s with probability exp(-s), one of six with 1 - (1 - exp(-s))^6.
func TestCUSUMLaw(t *testing.T) {
	d := newDetector[*CUSUM](t, &CUSUMConfig{Slack: 0.5, HalfLife: 1000, WarmUp: 100}, 3)
	for _, s := range []float64{0.1, 1, 5, 20} {
		if got, want := d.Decades(s), -math.Log10(-math.Expm1(6*math.Log1p(-math.Exp(-s)))); !near(got, want, 1e-9) {
			t.Errorf("Decades(%v) = %v, want %v", s, got, want)
		}
	}
}

// After the longest shift the chart comes to rest within 100 points.
func TestCUSUMComesToRest(t *testing.T) {
	d := newDetector[*CUSUM](t, &CUSUMConfig{Slack: 0.5, Spread: 1, HalfLife: 1000, WarmUp: 100}, 1)
	for range 10_000 {
		d.Learn(value(9))
	}
	for range 100 {
		d.Learn(value(0))
	}
	if s := d.sums[0]; s != (sides{}) {
		t.Errorf("after 100 points at the target %+v, want nothing", s)
	}
}

func TestCUSUMConfigIsChecked(t *testing.T) {
	_, err := (&CUSUMConfig{Slack: 6, Target: 1, HalfLife: 100, WarmUp: 100}).New(1)
	want := "slack is 6, want > 0 and at most 5\nspread is 0, want > 0 where a target is set"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
