package drift

import (
	"math"
	"testing"
)

// Of 9 degrees of freedom χ² exceeds 16.919 with probability 0.05; parts of 100 points make 2/100 of that.
func TestPSILimit(t *testing.T) {
	made, err := (&PSIConfig{Window: 100, Delta: 0.05}).New()
	if err != nil {
		t.Fatal(err)
	}
	m := made.(*PSI)
	m.older.n = 100
	if got := m.limit(10, 100); math.Abs(got-0.33838) > 1e-4 {
		t.Errorf("limit = %v, want 0.3384", got)
	}
	// An autocorrelation of 1/2 makes the variance of a mean (1+1/2)/(1-1/2) = 3 times as large.
	m.bins.bucket = bucket{n: 100, square: 100, steps: 100}
	if got := m.limit(10, 100); math.Abs(got-3*0.33838) > 1e-3 {
		t.Errorf("limit with inertia = %v, want 1.015", got)
	}
}

// The deciles of 1 to 100 are 10, 20, … 90, and each bin takes its upper edge in.
func TestPSIBins(t *testing.T) {
	m := newMonitor(t, "psi").(*PSI)
	for x := 100; x > 0; x-- {
		m.Add(float64(x))
	}
	for x, want := range map[float64]int{-5: 0, 10: 0, 10.5: 1, 20: 1, 90: 8, 91: 9, 1e9: 9} {
		if got := m.bin(x); got != want {
			t.Errorf("bin of %v = %d, want %d", x, got, want)
		}
	}
}

// Noise that becomes three times as large has the mean it had: what is told are its deviations.
func TestPSITellsAChangeOfSpread(t *testing.T) {
	m, next := newMonitor(t, "psi"), noise(8, 0)
	for range 1000 {
		m.Add(next())
	}
	for range 150 {
		if c, changed := m.Add(3 * next()); changed {
			if !c.Spread || math.Abs(c.Before-1) > 0.2 || c.After < 1.5 || c.After > 3.5 {
				t.Errorf("%+v, want a spread of 1 that became 3", c)
			}
			return
		}
	}
	t.Error("not found within 150 points")
}

func TestPSIConfigIsChecked(t *testing.T) {
	_, err := (&PSIConfig{Window: 49, Delta: math.NaN()}).New()
	want := "window is 49, want between 50 and 10000\ndelta is NaN, want between 0 and 1, both excluded"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
