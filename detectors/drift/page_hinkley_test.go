package drift

import (
	"math"
	"testing"
)

// 0 and 2 have mean 1, squared deviations 2, squared step 4: by 1 - 4/(2·2) no autocorrelation, and so a deviation of √(2/2) = 1.
// 5 stands 4 of it above the mean: less delta 1 that is 3, not yet more than lambda. Then the mean is 7/3, squared deviations
// 2 + 4·8/3 = 38/3, squared steps 13; autocorrelation 1 - 13·3/76 = 37/76; deviation √(38/9 · 113/39) ≈ 3.498. 7 stands 1.334 of it above
// the mean, and the sum is 3.334: a change, from the mean of 0 and 2 to that of 5 and 7.
func TestPageHinkleyByHand(t *testing.T) {
	m, err := (&PageHinkleyConfig{Delta: 1, Lambda: 3, WarmUp: 2}).New()
	if err != nil {
		t.Fatal(err)
	}
	ph := m.(*PageHinkley)
	for _, x := range []float64{0, 2, 5} {
		if c, changed := m.Add(x); changed {
			t.Fatalf("%+v at %v", c, x)
		}
	}
	if !near(ph.up.sum, 3) || ph.up.n != 1 || ph.down.sum != 0 {
		t.Errorf("after 5: up %+v, down %+v, want sums 3 and 0", ph.up, ph.down)
	}
	if d := deviation(ph.n, ph.square, ph.steps); !near(d, math.Sqrt(38./9*113/39)) {
		t.Errorf("deviation %v, want %v", d, math.Sqrt(38./9*113/39))
	}
	c, changed := m.Add(7)
	if !changed || !near(c.Before, 1) || !near(c.After, 6) {
		t.Errorf("Add(7) = %+v, %v, want 1 to 6", c, changed)
	}
	if ph.n != 0 || ph.up != (run{}) || ph.down != (run{}) {
		t.Errorf("after a change: %+v, want nothing left", ph)
	}
}

func TestPageHinkleyConfigIsChecked(t *testing.T) {
	_, err := (&PageHinkleyConfig{Delta: math.NaN(), Lambda: 0, WarmUp: 1}).New()
	want := "delta is NaN, want between 0 and 5\nlambda is 0, want ≥ 1\nwarm_up is 1, want ≥ 2"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(b)) }
