package detectors

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func newCounterMetric(t *testing.T) *Metric {
	t.Helper()
	return newDetector[*Metric](t, &MetricConfig{Zone: "UTC", Counter: true}, 1)
}

// A counter of 40 a second, seen each half-minute: 100, then 1300; reset to 600 it has grown by 600 in 30 s.
func TestCounterIsARate(t *testing.T) {
	d := newCounterMetric(t)
	at := func(seconds int, x float64) Point {
		return Point{Time: int64(seconds) * int64(time.Second), X: []float64{x}}
	}
	if d.counters.count(at(0, 100)) {
		t.Error("the first point has a rate")
	}
	d.Learn(at(0, 100))
	for _, c := range []struct {
		p    Point
		rate float64
	}{{at(30, 1300), 40}, {at(30, 600), 500. / 30}, {at(30, 60), 2}, {at(60, 1300), 20}, {at(30, 100), 0}} {
		if got := d.counters.value(c.p, 0); !near(got, c.rate, 1e-12) || !d.counters.count(c.p) {
			t.Errorf("%v has the rate %v, want %v", c.p, got, c.rate)
		}
	}
	for _, p := range []Point{at(0, 200), at(-30, 200)} {
		if score, ok := d.Score(p); ok || score != 0 || d.counters.count(p) {
			t.Errorf("%v, no later than the one before, scores %v, %v", p, score, ok)
		}
	}
	d.Learn(at(30, 1300))
	if expected, low, high, ok := d.Expect(at(60, 9999), 0); !ok || !near(expected, 2500, 1e-12) || low > 2500 || high < 2500 {
		t.Errorf("expected %v in [%v, %v], %v, want 1300 + 30·40", expected, low, high, ok)
	}
}

// A counter that grows by 100 ± 10 a point is reset now and then, which is nothing; one that stands still, or leaps, is odd.
func TestCounterBehaviour(t *testing.T) {
	grow := func(at int, by float64) (xs []float64) {
		r := rand.New(rand.NewPCG(3, 0))
		x := 1e12
		for i := range 6000 {
			switch step := 100 + 10*r.NormFloat64(); {
			case i%700 == 699:
				x = step / 2
			case i == at:
				x += by
			default:
				x += step
			}
			xs = append(xs, x)
		}
		return xs
	}
	for _, c := range []struct {
		name string
		by   float64
	}{{"leaps", 1000}, {"stands still", 0}} {
		d := newCounterMetric(t)
		xs := grow(5000, c.by)
		told := alerts(d, play(d, time.Minute, xs))
		found := false
		for _, row := range told {
			found = found || row == 5000
		}
		if !found || len(told) > 12 { // 2 for each 1000 points
			t.Errorf("a counter that %s at 5000: alerts at %v", c.name, told)
		}
		p := Point{Time: int64(6000 * time.Minute), X: []float64{xs[5999] + 5000}}
		if reason := d.Reason(p, 0); !strings.HasPrefix(reason, "of its increase per second, ") {
			t.Errorf("reason %q", reason)
		}
	}
}

func TestCounterStateContinues(t *testing.T) {
	d, restored := newCounterMetric(t), newCounterMetric(t)
	r := rand.New(rand.NewPCG(4, 0))
	p := Point{X: []float64{0}}
	extremes := []float64{math.MaxFloat64, -math.MaxFloat64, 0, 1e-300}
	for i := range 500 {
		if p.Time += r.Int64N(int64(time.Minute)) - int64(time.Second); i%50 == 0 {
			p.Time = int64(r.Uint64())
		}
		if p.X[0] += r.ExpFloat64(); i%20 == 0 {
			p.X[0] = extremes[r.IntN(len(extremes))]
		}
		if err := restored.UnmarshalBinary([]byte(state(t, d))); err != nil {
			t.Fatal(err)
		}
		score, ok := d.Score(p)
		again, okAgain := restored.Score(p)
		if score != again || ok != okAgain || !(score >= 0 && score <= MaxScore) {
			t.Fatalf("point %d scores %v, restored %v", i, score, again)
		}
		d.Learn(p)
		restored.Learn(p)
		if state(t, d) != state(t, restored) {
			t.Fatalf("after point %d the restored detector went its own way", i)
		}
	}
	b := []byte(state(t, d))
	b[len(b)-8-8-1] = 2 // known
	if err := restored.UnmarshalBinary(b); err == nil {
		t.Error("a flag of 2 is restored")
	}
}
