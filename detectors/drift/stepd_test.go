package drift

import (
	"math"
	"testing"
)

// A hundred points ±1 by turns, then ten of 5 each: within parts the deviation is that of the turns, which change sign at every step and so have no
// inertia. What is told is the mean of the turns, and the mean of the fives alone.
func TestSTEPDTellsWhereItBegan(t *testing.T) {
	m, err := (&STEPDConfig{Window: 32, Limit: 4}).New()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 104 {
		if c, changed := m.Add(float64(1 - 2*(i%2))); changed {
			t.Fatalf("%+v at point %d", c, i)
		}
	}
	for i := range 16 {
		c, changed := m.Add(5)
		if !changed {
			continue
		}
		if math.Abs(c.Before) > 0.06 || math.Abs(c.After-5) > 1e-12 {
			t.Errorf("%+v after %d points, want 0 to 5", c, i+1)
		}
		if s := m.(*STEPD); len(s.recent.x) != i+1 || s.older != (running{}) {
			t.Errorf("after the change %d points are kept, want the %d of it", len(s.recent.x), i+1)
		}
		return
	}
	t.Error("not found within 16 points")
}

// Two parts of 104 points of deviation 1 differ at a limit of 4 when their means do by more than 4·√(2/104) = 0.555.
func TestSTEPDLimit(t *testing.T) {
	for shift, want := range map[float64]bool{0.54: false, 0.57: true} {
		m, err := (&STEPDConfig{Window: 104, Limit: 4}).New()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for i := range 208 {
			x := float64(1 - 2*(i%2))
			if i >= 104 {
				x += shift
			}
			_, changed := m.Add(x)
			found = found || changed
		}
		if found != want {
			t.Errorf("shift of %v is found: %v, want %v", shift, found, want)
		}
	}
}

func TestSTEPDConfigIsChecked(t *testing.T) {
	_, err := (&STEPDConfig{Window: 15, Limit: math.NaN()}).New()
	want := "window is 15, want between 16 and 10000\nlimit is NaN, want between 1 and 100"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
