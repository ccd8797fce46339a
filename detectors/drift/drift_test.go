package drift

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gonomaly/gonomaly/detectors"
)

// each runs a law over every kind, with its defaults.
func each(t *testing.T, law func(t *testing.T, fresh func() Monitor)) {
	for kind := range Kinds {
		t.Run(kind, func(t *testing.T) { law(t, func() Monitor { return newMonitor(t, kind) }) })
	}
}

func newMonitor(t testing.TB, kind string) Monitor {
	t.Helper()
	m, err := Kinds[kind]().New()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func state(t testing.TB, m Monitor) string {
	t.Helper()
	b, err := m.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// noise returns a stream of mean 0 and deviation 1 with the given autocorrelation from one point to the next; the same for the same
// seed.
func noise(seed uint64, autocorrelation float64) func() float64 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := r.NormFloat64()
	return func() float64 {
		x = autocorrelation*x + math.Sqrt(1-autocorrelation*autocorrelation)*r.NormFloat64()
		return x
	}
}

// A state saved after any point continues as if it had never been saved, over changes too.
func TestRestoreContinues(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		m, next := fresh(), noise(1, 0)
		changes := 0
		for i := range 1500 {
			restored := fresh()
			if err := restored.UnmarshalBinary([]byte(state(t, m))); err != nil {
				t.Fatalf("restore after %d points: %v", i, err)
			}
			x := next() + float64(5*(i/500))
			c, changed := m.Add(x)
			c2, changed2 := restored.Add(x)
			if c != c2 || changed != changed2 || state(t, m) != state(t, restored) {
				t.Fatalf("after %d points the restored monitor went its own way", i)
			}
			if changed {
				changes++
			}
		}
		if changes != 2 {
			t.Errorf("%d changes, want 2", changes)
		}
	})
}

// Bytes that are no state are refused, whatever the version byte says.
func TestBadStateIsAnError(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		m, next := fresh(), noise(2, 0)
		for range 300 {
			m.Add(next())
		}
		good := state(t, m)
		bad := map[string]string{
			"cut short":          good[:len(good)-1],
			"empty":              "",
			"longer":             good + "\x00",
			"another version":    "\xff" + good[1:],
			"NaN in the middle":  good[:len(good)-8] + "\xff\xff\xff\xff\xff\xff\xff\xff",
			"far too many bytes": good + string(make([]byte, 1<<20)),
		}
		for what, b := range bad {
			if err := fresh().UnmarshalBinary([]byte(b)); !errors.Is(err, detectors.ErrState) {
				t.Errorf("%s: %v, want ErrState", what, err)
			}
		}
	})
}

func TestAddDoesNotAllocate(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		m, next := fresh(), noise(3, 0)
		for range 5000 {
			m.Add(next())
		}
		if n := testing.AllocsPerRun(1000, func() { m.Add(next()) }); n > 0 {
			t.Errorf("%v allocations a point, want 0", n)
		}
	})
}

// A shift of 3 standard deviations is found within 64 points, either way, in any unit; and both means are told, the new one roughly: it
// is that of a few points, some of which may lie before the shift.
func TestShiftIsFound(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		for _, unit := range []float64{1e-9, 1, 1e12} {
			for _, shift := range []float64{3, -3} {
				m, next := fresh(), noise(4, 0)
				for i := range 1000 {
					if c, changed := m.Add(unit * (100 + next())); changed {
						t.Fatalf("%v at point %d, before the shift", c, i)
					}
				}
				c, changed, delay := Change{}, false, 0
				for delay = 1; !changed && delay <= 64; delay++ {
					c, changed = m.Add(unit * (100 + shift + next()))
				}
				if !changed || math.Abs(c.Before/unit-100) > 0.2 || math.Abs(c.After/unit-100-shift) > 1.5 {
					t.Errorf("shift of %v in units of %v: %+v, %v after %d points", shift, unit, c, changed, delay)
				}
			}
		}
	})
}

// However far off, one point is no change.
func TestOutlierIsNoChange(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		for _, outlier := range []float64{20, -1e6} {
			m, next := fresh(), noise(7, 0)
			for range 5000 {
				m.Add(next())
			}
			if c, changed := m.Add(outlier); changed {
				t.Errorf("%+v at an outlier of %v", c, outlier)
			}
			for i := range 1000 {
				if c, changed := m.Add(next()); changed {
					t.Errorf("%+v %d points after an outlier of %v", c, i, outlier)
				}
			}
		}
	})
}

func TestConstantIsNoChange(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		for _, x := range []float64{0, 0.1, -1e300, math.MaxFloat64} {
			m := fresh()
			for i := range 5000 {
				if c, changed := m.Add(x); changed {
					t.Fatalf("%v at point %d of a constant %v", c, i, x)
				}
			}
		}
	})
}

// A constant that becomes another is the plainest change there is.
func TestStepIsFound(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		m := fresh()
		for range 1000 {
			m.Add(7)
		}
		for range 64 {
			if c, changed := m.Add(8); changed {
				if c.Before < 6.99 || c.Before > 7.01 || c.After <= c.Before || c.After > 8 {
					t.Errorf("%+v, want 7 and 8", c)
				}
				return
			}
		}
		t.Error("not found within 64 points")
	})
}

// At most one false alarm in 10,000 points; measured, over 400,000 points of each: none, but for ADWIN's 0.1 at 0.9, and
// KSWIN's 0.05 at 0.
func TestFalseAlarms(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Monitor) {
		for _, autocorrelation := range []float64{0, 0.5, 0.9} {
			const series, points = 10, 10_000
			alarms := 0
			for seed := range uint64(series) {
				m, next := fresh(), noise(100+seed, autocorrelation)
				for range points {
					if _, changed := m.Add(next()); changed {
						alarms++
					}
				}
			}
			if alarms > series {
				t.Errorf("autocorrelation %v: %d alarms in %d points", autocorrelation, alarms, series*points)
			}
		}
	})
}

// FuzzMonitor gives each kind arbitrary bytes: what is taken for a state is saved as the same bytes, and goes on without a panic.
func FuzzMonitor(f *testing.F) {
	for kind := range Kinds {
		m, next := newMonitor(f, kind), noise(5, 0)
		for range 100 {
			m.Add(next())
		}
		f.Add([]byte(state(f, m)), 1.5)
	}
	f.Fuzz(func(t *testing.T, b []byte, x float64) {
		for kind := range Kinds {
			m := newMonitor(t, kind)
			if m.UnmarshalBinary(b) != nil {
				continue
			}
			if again := state(t, m); again != string(b) {
				t.Fatalf("%s: %x is saved as %x", kind, b, again)
			}
			if math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
			for range 100 {
				m.Add(x)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	for kind := range Kinds {
		b.Run(kind, func(b *testing.B) {
			m, next := newMonitor(b, kind), noise(6, 0)
			xs := make([]float64, 4096)
			for i := range xs {
				xs[i] = next()
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Add(xs[i%len(xs)])
			}
		})
	}
}
