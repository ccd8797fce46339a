package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Student's t of a field whose departures have variance 1 and are as rough as those of white noise at scale 4: tau is 4, and of 1000
// points nu = 1000/16 - 1 = 61.5 degrees of freedom are left. At t = 5 the surprise is 31.25·log10(1 + 25/61.5) = 4.631.
func TestPointsShift(t *testing.T) {
	s := shifts{n: 5000, fields: make([]shift, 1), raw: make([]float64, 1)}
	f := &s.fields[0]
	f.past = newExcursions(runsEnd)
	f.fast[0] = departure{variance: 1, steps: 0.5}
	f.fast[1] = departure{variance: 1e12, steps: 1e12}
	_, scale := s.surprise(0, 20) // a quarter of which moves the mean over four
	if want := 31.25 * math.Log10(1+25/61.5); !near(s.raw[0], want, 1e-9) || scale != 0 {
		t.Errorf("surprise of 5 deviations is %v at scale %d, want %v at 0", s.raw[0], scale, want)
	}
	// A field that wanders for 100 points before it turns, steps/variance = 2/100, has 1.5 degrees of freedom.
	f.fast[0].steps = 0.02
	s.surprise(0, 20)
	if want := 1.25 * math.Log10(1+25/1.5); !near(s.raw[0], want, 1e-9) {
		t.Errorf("surprise of a wandering field is %v, want %v", s.raw[0], want)
	}
}

// Fields that have become a hundred times as wide are soon taken as they are: departures of white noise over four points have a seventh of its variance.
func TestPointsShiftLearnsANewWidth(t *testing.T) {
	d, random := newPoints(t, 2), rand.New(rand.NewPCG(22, 0))
	learn(d, gauss(1500, 2, 0, random))
	for _, p := range gauss(4000, 2, 0, random) {
		p.X[0], p.X[1] = 100*p.X[0], 100*p.X[1]
		d.Score(p)
		d.Learn(p)
	}
	for j := range d.shifts.fields {
		if got := d.shifts.fields[j].fast[0].variance / (1e4 / 7.); got < 0.5 || got > 1.5 {
			t.Errorf("field %d: the variance is %v of what it should be", j, got)
		}
	}
}

// A mean counts no farther than the newest value bears it out.
func TestNearer(t *testing.T) {
	for _, c := range []struct{ mean, value, want float64 }{
		{2, 5, 2}, {2, 1, 1}, {2, 0, 0}, {2, -3, 0}, {-2, -5, -2}, {-2, -1, -1}, {-2, 3, 0}, {0, 4, 0},
	} {
		if got := nearer(c.mean, c.value); got != c.want {
			t.Errorf("nearer(%v, %v) = %v, want %v", c.mean, c.value, got, c.want)
		}
	}
}

// One value of a hundred deviations is told of, and the ordinary ones after it are no change of level, though their means are still away.
func TestPointsAfterASpike(t *testing.T) {
	d := newPoints(t, 1)
	r := rand.New(rand.NewPCG(4, 0))
	learn(d, gauss(3000, 1, 0, r))
	spike := Point{X: []float64{100}}
	if s := d.look(spike); !s.shifted() {
		t.Errorf("a spike is no change of level: %v decades", s.level)
	}
	d.Learn(spike)
	for i, p := range gauss(20, 1, 0, r) {
		if s := d.look(p); s.shifted() && p.X[0] < 1 {
			t.Errorf("point %d after the spike, %v, is a change of level by %v decades", i+1, p.X[0], s.level)
		}
		d.Learn(p)
	}
}
