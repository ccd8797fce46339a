package drift

import (
	"math"
	"testing"
)

// δ = e^-8 makes the bound 4 standard errors. 32 points ±1 by turns have a mean of 0 and a deviation of 1 without inertia, and as the bound of
// the mean falls with every pair, the cut is behind them. What is higher by s is a change when s > 4·√(1/32 + 1/n), looked for at n = 8, 16, …:
// 1.08 at 24, 1 at 32, 0.949 at 40.
func TestHDDMALimit(t *testing.T) {
	for shift, want := range map[float64]int{1.09: 24, 1.05: 32, 0.96: 40} {
		m, err := (&HDDMAConfig{Delta: math.Exp(-8)}).New()
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for n := 1; n <= 32+48 && at == 0; n++ {
			x := float64(1 - 2*((n-1)%2))
			if n > 32 {
				x += shift
			}
			if c, changed := m.Add(x); changed {
				at = n - 32
				if math.Abs(c.Before) > 0.1 || math.Abs(c.After-shift) > 0.1 {
					t.Errorf("%+v, want 0 to %v", c, shift)
				}
			}
		}
		if at != want {
			t.Errorf("a shift of %v is found after %d points, want %d", shift, at, want)
		}
	}
}

// Weights of a half are 1/4, 1/4 and 1/2 for three points: of 0, 0 and 4 the mean is 2, the variance 1/2·4 + 1/2·4 = 4, and the squares of the weights
// add up to 1/16 + 1/16 + 1/4 = 3/8.
func TestHDDMWAverage(t *testing.T) {
	var a average
	for _, x := range []float64{0, 0, 4} {
		a.add(x, 0.5)
	}
	if a != (average{mean: 2, variance: 4, v: 0.375}) {
		t.Errorf("%+v, want 2, 4 and 3/8", a)
	}
}

// The newer points' error is 1·√(1/4 + 1/4) by the deviation of both, and 2·√(1/4) = 1 by their spread.
func TestHDDMError(t *testing.T) {
	part := bucket{n: 4, square: 4, steps: 8} // variance 1, autocorrelation 1 - 8/(2·4) = 0
	s := since{older: part, newer: part}
	if got := s.error(0.25, 0.25, 0); !near(got, math.Sqrt(0.5)) {
		t.Errorf("error = %v, want √½", got)
	}
	if got := s.error(0.25, 0.25, 2); !near(got, 1) {
		t.Errorf("error = %v, want 1", got)
	}
}

func TestHDDMConfigsAreChecked(t *testing.T) {
	_, err := (&HDDMAConfig{Delta: math.NaN()}).New()
	if want := "delta is NaN, want between 0 and 1, both excluded"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = (&HDDMWConfig{Delta: 1, Weight: 0}).New()
	if want := "delta is 1, want between 0 and 1, both excluded\nweight is 0, want between 0 and 1, both excluded"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
