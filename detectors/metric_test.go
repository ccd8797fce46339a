package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/internal/figure"
)

// metricLimit is the score from which on a point is worth an alert; the tests ask for it, not for a score out of a computer.
const metricLimit = 5

// play scores and learns values that come every step, and returns the scores.
func play(d Detector, step time.Duration, xs []float64) []float64 {
	scores := make([]float64, len(xs))
	for i, x := range xs {
		p := Point{Time: int64(i) * int64(step), X: []float64{x}}
		scores[i], _ = d.Score(p)
		d.Learn(p)
	}
	return scores
}

func newMetric(t *testing.T) *Metric {
	t.Helper()
	return newDetector[*Metric](t, Kinds["metric"](), 1)
}

// daily is a day's curve of half-hours with a little noise, for n half-hours.
func daily(n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 0))
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = 1000 + 500*math.Sin(2*math.Pi*float64(i)/48) + 10*r.NormFloat64()
	}
	return xs
}

// A constant metric never scores, as its run is not over and there is nothing to hold it against. The first other value is far above the
// limit.
func TestMetricConstant(t *testing.T) {
	d := newMetric(t)
	xs := make([]float64, 1000)
	for i := range xs {
		xs[i] = 7
	}
	for i, score := range play(d, time.Minute, xs) {
		if score > 0 {
			t.Fatalf("point %d scores %v", i, score)
		}
	}
	score, _ := d.Score(Point{Time: int64(1000 * time.Minute), X: []float64{8}})
	if score < 2*metricLimit {
		t.Errorf("the first other value scores %v", score)
	}
}

// One of eight sensors that is stuck is told by that alone, though it asks more of a score where one of eight may have it by chance: within some
// hundred points where one point in ten thousand may be wrong.
func TestMetricStuckAmongOthers(t *testing.T) {
	const fields, begins, decades = 8, 4000, 4
	d := newDetector[*Metric](t, Kinds["metric"](), fields)
	r := rand.New(rand.NewPCG(5, 0))
	x, mean := make([]float64, fields), make([]float64, fields)
	early, told := 0, 0
	for i := range begins + 115 {
		for j := range x {
			mean[j] = .95*mean[j] + r.NormFloat64()
			if j != 3 || i < begins {
				x[j] = math.Round(100*mean[j]) / 100
			}
		}
		p := Point{Time: int64(i) * int64(10*time.Second), X: x}
		if score, ok := d.Score(p); ok && d.Decades(score) >= decades {
			if i < begins {
				early++
			} else if told == 0 {
				told = i - begins
			}
		}
		d.Learn(p)
	}
	if early > 2 || told == 0 {
		t.Errorf("told after %d points, and %d times before, want some, and 2 at most", told, early)
	}
}

// A first value that is garbage is no origin: of those after it the digits are kept. One that is like the others stays it.
func TestMetricOrigin(t *testing.T) {
	for _, first := range []float64{1e12, -math.MaxUint32, 9} {
		d := newMetric(t)
		play(d, time.Minute, []float64{first, 8, 9, 10, 11, 12, 13, 14, 15, 16, 12.125})
		f := &d.fields[0]
		if got := f.origin + float64(f.values[10]); !near(f.origin, 12, 0.5) || !near(got, 12.125, 1e-4) {
			t.Errorf("after %v the origin is %v, and 12.125 has become %v", first, f.origin, got)
		}
		if m := &f.opinions[1].memories[0]; !slices.IsSorted(m.value[:m.n]) {
			t.Errorf("after %v these are remembered: %v", first, m.value[:m.n])
		}
	}
}

// A run scores alone: each point by which it is longer than any of 100 others, all of length 0, adds one nat to the ln 101 of the rank.
// At 20 it is half of (ln 101 + 20) / ln 10 decades, times 6/8.5.
func TestMetricRun(t *testing.T) {
	d := newMetric(t)
	f := &d.fields[0]
	for row := range uint64(100) {
		f.runs.learn(0, row, horizon)
	}
	f.trend = trend{row: 100, run: 19}
	if got, want := f.look(0, 0, 0).score, 0.5*(math.Log(101)+20)/math.Ln10*6/8.5; !near(got, want, 1e-6) {
		t.Errorf("a run of 20 scores %v, want %v", got, want)
	}
}

// A value that is ordinary at noon is none at midnight.
func TestMetricKnowsTheHour(t *testing.T) {
	xs := daily(48*21, 1)
	d := newMetric(t)
	play(d, 30*time.Minute, xs[:48*20])
	const sixAM = 48*20 + 12 // the curve's highest point
	p := Point{Time: int64(sixAM) * int64(30*time.Minute), X: []float64{xs[sixAM]}}
	usual, _ := d.Score(p)
	expected, low, high, ok := d.Expect(p, 0)
	if !ok || !near(expected, 1500, 0.03) || low < 1300 || high > 1700 {
		t.Errorf("expected %v in [%v, %v], want about 1500", expected, low, high)
	}
	p.X[0] = 500 // the curve's lowest
	unusual, _ := d.Score(p)
	if usual >= metricLimit || unusual < metricLimit {
		t.Errorf("at its hour the value scores %v, the one of twelve hours later %v", usual, unusual)
	}
	if reason := d.Reason(p, 0); !strings.Contains(reason, "usual for this hour") {
		t.Errorf("reason %q names no hour", reason)
	}
}

// The reason names the channel that says most, and what it knows that is nearest.
func TestMetricReason(t *testing.T) {
	d := newMetric(t)
	var xs []float64
	for i := range 500 {
		xs = append(xs, 100.02+float64(i%100)) // up to 199.02
	}
	play(d, time.Minute, xs)
	p := Point{Time: int64(500 * time.Minute), X: []float64{250}}
	if got, want := d.Reason(p, 0), "no such value is known, the nearest is 199"; got != want {
		t.Errorf("Reason = %q, want %q", got, want)
	}

	f := &d.fields[0]
	for c, want := range [channels]string{
		"no such value is known, the nearest is 199",
		"the mean of the last 4 points, " + figure.Short(250+f.origin) + ", is new, the nearest known is ",
		"the mean of the last 16 points, " + figure.Short(250+f.origin) + ", is new, the nearest known is ",
		"it departs from the usual for this hour by 250, the nearest known departure is ",
		"the last 4 points depart from the usual for their hours by 250 on average, the nearest known is ",
		"the last 16 points depart from the usual for their hours by 250 on average, the nearest known is ",
		"it is 250 below the usual for this hour, farther than ever before",
		"the last 16 points are 250 above the usual for their hours on average, farther than ever before",
		"it has not changed for 8 points",
	} {
		l := look{next: trend{run: 7}}
		l.feature[3], l.feature[5] = -250, 250
		if c < memories {
			l.feature[c] = 250
		}
		for m := range members {
			l.held[m][c] = 3
			if c < memories {
				l.place[m][c] = uint8(f.opinions[m].memories[c].place(250))
			}
		}
		if got := f.reason(&l); !strings.HasPrefix(got, want) {
			t.Errorf("channel %d: %q, want %q", c, got, want)
		}
	}
	if got, want := f.reason(&look{score: 1}), "it comes right after odd points"; got != want {
		t.Errorf("of what earlier points have left: %q, want %q", got, want)
	}
	if got, want := f.reason(&look{}), "nothing about it is surprising"; got != want {
		t.Errorf("of nothing: %q, want %q", got, want)
	}

	near := look{}
	near.feature[0], near.held[1][0] = 199.03-f.origin, 3
	near.place[1][0] = uint8(f.opinions[1].memories[0].place(near.feature[0]))
	if got, want := f.reason(&near), "no such value is known, the nearest is 199.02"; got != want {
		t.Errorf("reason for 199.03 = %q, want %q", got, want)
	}
}

// The highest of three scores that one in ten reach each is reached by 1 - .9³ = .271 of the points, and of three that one in 10^20 do by three
// times as many.
func TestMetricOfSeveralFields(t *testing.T) {
	one, three := newMetric(t), newDetector[*Metric](t, Kinds["metric"](), 3)
	for decades, want := range map[float64]float64{1: -math.Log10(.271), 20: 20 - math.Log10(3), 0: 0} {
		if got := three.Decades(one.ScoreAt(decades)); !near(got, want, 1e-9) {
			t.Errorf("%v decades of one field are %v of three, want %v", decades, got, want)
		}
	}
}

func TestMetricStateIsSmall(t *testing.T) {
	d := newMetric(t)
	r := rand.New(rand.NewPCG(5, 0))
	xs := make([]float64, 5000)
	for i := range xs {
		xs[i] = r.NormFloat64()
	}
	play(d, time.Hour, xs)
	if n := max(len(state(t, d)), d.Bytes()); n > 8<<10 {
		t.Errorf("%d bytes a key, want ≤ 8 KiB", n)
	}
}

func TestMetricConfigIsChecked(t *testing.T) {
	for _, zone := range []string{"", "Local", "Mars/Olympus", "../etc"} {
		if _, err := (&MetricConfig{Zone: zone}).New(1); err == nil || !strings.HasPrefix(err.Error(), "zone is ") {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
	for _, date := range []string{"", "25.12.2026", "2026-02-30", "christmas"} {
		c := MetricConfig{Zone: "UTC", Holidays: []string{"2026-12-25", date}}
		if _, err := c.New(1); err == nil || !strings.HasPrefix(err.Error(), "holidays[1] is ") {
			t.Errorf("holiday %q: %v", date, err)
		}
	}
}
