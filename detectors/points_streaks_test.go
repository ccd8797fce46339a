package detectors

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// By hand: where one point in ten repeats the one before, a = .5 and b = 4.5, and five repeats in a row have the probability
// B(5.5, 4.5)/B(.5, 4.5) = (.5·1.5·2.5·3.5·4.5)/(5·6·7·8·9) = 1.953e-3.
func TestStreakByHand(t *testing.T) {
	s := streak{value: 7, length: 4, repeats: 0.1}
	if got, want := s.surprise(7), -math.Log10(29.53125/15120); !near(got, want, 1e-9) {
		t.Errorf("five repeats surprise by %v decades, want %v", got, want)
	}
	if got := s.surprise(7.5); got != 0 {
		t.Errorf("another value surprises by %v decades", got)
	}
	s.length = 3
	if got := s.surprise(7); got != 0 {
		t.Errorf("four repeats surprise by %v decades: a record may have been sent again", got)
	}
	for _, repeats := range []float64{0, 1} { // bounds of what can be learned
		s = streak{length: mostStreak - 1, repeats: repeats}
		if got := s.surprise(0); !(got >= 0) || math.IsInf(got, 0) {
			t.Errorf("%d repeats where the share is %v surprise by %v decades", mostStreak, repeats, got)
		}
	}
}

// stuckAt feeds rows of three fields, rounded to steps, of which the last is stuck from the n-th row on, and returns after how many points that is told.
func stuckAt(t *testing.T, n int, step float64, seed uint64) (delay int) {
	d, r := newPoints(t, 3), rand.New(rand.NewPCG(seed, 3))
	points := gauss(n+200, 3, 0, r)
	for i, p := range points {
		for j := range p.X {
			if step > 0 {
				p.X[j] = math.Round(p.X[j]/step) * step
			}
		}
		if i > n {
			p.X[2] = points[n].X[2]
		}
		if score, ok := d.Score(p); i > n && ok && score >= leastClaim {
			shares := make([]float64, 3)
			if d.Shares(p, shares); shares[2] > 0.9 && strings.HasPrefix(d.Reason(p, 2), fmt.Sprintf("its value has not changed for %d points, which", i-n)) {
				return i - n
			}
		}
		d.Learn(p)
	}
	return math.MaxInt
}

// A sensor that is stuck within its range is told of: soon where it never repeats itself, later where it is a coarse one.
func TestPointsStuck(t *testing.T) {
	for name, c := range map[string]struct {
		step   float64
		within int
	}{
		"fine":   {0, leastStreak},
		"coarse": {0.5, 60},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				if delay := stuckAt(t, 2000, c.step, seed); delay > c.within {
					t.Errorf("seed %d: told after %d points, want at most %d", seed, delay, c.within)
				}
			}
		})
	}
}

// A record that is sent again now and then is no stuck sensor; nor is a field that rests for most of the time.
func TestPointsThatRepeat(t *testing.T) {
	d, r := newPoints(t, 2), rand.New(rand.NewPCG(9, 3))
	for i, p := range gauss(20_000, 2, 0, r) {
		if i%400 > 40 {
			p.X[1] = 0
		}
		for range 1 + max(0, i%500-497) {
			for j, x := range p.X {
				if decades := d.shifts.fields[j].streak.surprise(x); i > 2000 && decades >= leastClaim {
					t.Fatalf("point %d: field %d is stuck, by %v decades", i, j, decades)
				}
			}
			d.Learn(p)
		}
	}
}
