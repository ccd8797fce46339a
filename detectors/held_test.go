package detectors

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A spike that came a few times before is held back, and it is said that it recurs; of ordinary points hardly any is.
func TestMetricHoldsBackWhatRecurs(t *testing.T) {
	d := newMetric(t)
	r := rand.New(rand.NewPCG(1, 1))
	limit := d.ScoreAt(3)
	spikes, ordinary := 0, 0
	for i := range 10_000 {
		x := r.NormFloat64()
		if i%500 == 499 {
			x += 20
		}
		p := Point{Time: int64(i) * int64(5*time.Minute), X: []float64{x}}
		score, ok := d.Score(p)
		if held, by := d.Held(); ok && score < limit && held >= limit {
			if by != Recurring {
				t.Fatalf("point %d is held back by %q", i, by)
			}
			if i%500 == 499 {
				spikes++
			} else if i%500 > 16 { // the mean of 16 points is another, too, for so long
				ordinary++
			}
		}
		d.Learn(p)
	}
	if spikes < 5 || ordinary > 10 {
		t.Errorf("%d of 20 spikes recur, want 5 or more, and %d of 10000 ordinary points, want at most 10", spikes, ordinary)
	}
}

// A row far out is unproven in a young stream, and a habit where its like come often; a field that has left its level alone among many is told apart
// from one that often does.
func TestPointsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	far := gauss(1, 3, 5, r)[0]
	d := newPoints(t, 3)
	learn(d, gauss(300, 3, 0, r))
	score, _ := d.Score(far)
	if held, by := d.Held(); held <= score || by != Unproven {
		t.Errorf("the first odd row scores %v, and %v but for %q; want %q", score, held, by, Unproven)
	}
	for range 30 {
		learn(d, gauss(50, 3, 0, r))
		learn(d, gauss(1, 3, 6, r))
	}
	score, _ = d.Score(far)
	if held, by := d.Held(); held <= score || by != Habit {
		t.Errorf("an odd row after 30 alike scores %v, and %v but for %q; want %q", score, held, by, Habit)
	}
	for _, c := range []struct {
		raw, own, all, level float64
		want                 Hold
	}{
		{4, 4, 0, 0, Lone},  // of 100 fields, 2 decades are lost
		{6, 3, 0, 0, Habit}, // by the field's own past
		{9, 9, 7, 3, Habit}, // by the stream's
	} {
		d := newPoints(t, 100)
		d.memo.holds, d.rows.n = true, untotalled
		d.shifts.raw[7], d.shifts.decades[7], d.shifts.level, d.seen.level = c.raw, c.own, c.all, c.level
		if held, by := d.Held(); held != c.raw || by != c.want {
			t.Errorf("Held of %+v = %v, %q", c, held, by)
		}
	}
}
