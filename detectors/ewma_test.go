package detectors

import (
	"math"
	"testing"
)

// With a half-life of one point the weights are 1/2, so that the moments can be worked out by hand:
// 4 → mean 4, variance 0; 8 → 4 + 4/2 = 6, (0 + 16/2)/2 = 4; 2 → 6 - 4/2 = 4, (4 + 16/2)/2 = 6.
func TestEWMAMoments(t *testing.T) {
	d := newDetector[*EWMA](t, &EWMAConfig{HalfLife: 1, WarmUp: 2}, 1)
	for _, step := range []struct{ x, mean, variance float64 }{{4, 4, 0}, {8, 6, 4}, {2, 4, 6}} {
		d.Learn(value(step.x))
		if m := d.at(0); !near(m.mean, step.mean, 1e-12) || !near(m.variance, step.variance, 1e-12) {
			t.Fatalf("after %v: mean %v, variance %v, want %v, %v", step.x, m.mean, m.variance, step.mean, step.variance)
		}
	}
	if score, ok := d.Score(value(10)); !ok || !near(score, 6/math.Sqrt(6), 1e-12) {
		t.Errorf("Score(10) = %v, %v, want %v, true", score, ok, 6/math.Sqrt(6))
	}
	expected, low, high, ok := d.Expect(value(10), 0)
	if !ok || !near(expected, 4, 1e-12) || !near(low, 4-3*math.Sqrt(6), 1e-12) || !near(high, 4+3*math.Sqrt(6), 1e-12) {
		t.Errorf("Expect = %v in [%v, %v], %v, want 4 ± %v", expected, low, high, ok, 3*math.Sqrt(6))
	}
}

// A constant field is the commonest metric there is: its value is normal, and any other is not.
func TestEWMAConstantField(t *testing.T) {
	d := newDetector[*EWMA](t, &EWMAConfig{HalfLife: 10, WarmUp: 5}, 1)
	for range 100 {
		d.Learn(value(0.1))
	}
	for _, c := range []struct{ x, want float64 }{{0.1, 0}, {0.2, MaxScore}} {
		if score, _ := d.Score(value(c.x)); score != c.want {
			t.Errorf("Score(%v) = %v, want %v", c.x, score, c.want)
		}
	}
}

// Two-sided tails of the normal, from Abramowitz and Stegun, tables 26.1 and 26.2.
func TestEWMALaw(t *testing.T) {
	for _, c := range []struct {
		fields int
		score  float64
		want   float64
	}{
		{1, 0, 0},
		{1, 1, -math.Log10(1 - .682689492)},
		{1, 3, -math.Log10(2 * .001349898)},
		{1, 10, 24 - math.Log10(2*7.61985302)},
		{1, 30, 198 - math.Log10(2*4.90671393)},
		{2, 3, -math.Log10(1 - (1-2*.001349898)*(1-2*.001349898))},
		{10, 10, 23 - math.Log10(2*7.61985302)},
		{1, MaxScore, 1e18 / 2 / math.Ln10}, // exp(-z²/2), all else is small beside it
	} {
		d := newDetector[*EWMA](t, &EWMAConfig{HalfLife: 100, WarmUp: 30}, c.fields)
		if got := d.Decades(c.score); !near(got, c.want, 1e-7) {
			t.Errorf("of %d fields Decades(%v) = %v, want %v", c.fields, c.score, got, c.want)
		}
	}
}

// The inverse holds as far as scores go.
func TestEWMALawFarOut(t *testing.T) {
	d := newDetector[*EWMA](t, &EWMAConfig{HalfLife: 100, WarmUp: 30}, 3)
	for _, z := range []float64{1e-6, 24.9, 25.1, 30, 1e3, 1e6, MaxScore} {
		if got := d.ScoreAt(d.Decades(z)); !near(got, z, 1e-9) {
			t.Errorf("ScoreAt(Decades(%v)) = %v", z, got)
		}
	}
}

// Where nothing is odd all fields have the same share.
func TestEWMASharesOfNothing(t *testing.T) {
	d := newDetector[*EWMA](t, &EWMAConfig{HalfLife: 100, WarmUp: 30}, 4)
	p := Point{X: []float64{1, 2, 3, 4}}
	d.Learn(p)
	shares := make([]float64, 4)
	d.Shares(p, shares)
	for i, s := range shares {
		if s != 0.25 {
			t.Errorf("share %d is %v, want 0.25", i, s)
		}
	}
}

func TestEWMAConfigIsChecked(t *testing.T) {
	for want, c := range map[string]EWMAConfig{
		"half_life is 0, want 1 to 1000000000":                                       {HalfLife: 0, WarmUp: 30},
		"half_life is NaN, want 1 to 1000000000":                                     {HalfLife: math.NaN(), WarmUp: 30},
		"half_life is 0.5, want 1 to 1000000000\nwarm_up is 1, want 2 to 1000000000": {HalfLife: 0.5, WarmUp: 1},
	} {
		if _, err := c.New(1); err == nil || err.Error() != want {
			t.Errorf("New of %+v: %v, want %s", c, err, want)
		}
	}
}

// newDetector makes a detector of a kind the test knows.
func newDetector[D Detector](t *testing.T, c Config, fields int) D {
	t.Helper()
	d, err := c.New(fields)
	if err != nil {
		t.Fatal(err)
	}
	return d.(D)
}

func value(x float64) Point { return Point{X: []float64{x}} }

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance*max(1, math.Abs(b)) }
