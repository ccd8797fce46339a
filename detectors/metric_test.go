package detectors

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// metricLimit is the score from which on a point is worth an alert; the tests ask for it, not for a score out of a computer.
const metricLimit = 4.5

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

// A constant metric stays below the limit: its run is longer each time than ever before, but that channel alone gives at most 6.5
// decades times its share of the weights, 0.5/8.5, times 6. The first other value is far above.
func TestMetricConstant(t *testing.T) {
	d := newMetric(t)
	xs := make([]float64, 1000)
	for i := range xs {
		xs[i] = 7
	}
	for i, score := range play(d, time.Minute, xs) {
		if score > 6.5*6*0.5/8.5 {
			t.Fatalf("point %d scores %v", i, score)
		}
	}
	score, _ := d.Score(Point{Time: int64(1000 * time.Minute), X: []float64{8}})
	if score < 3*metricLimit {
		t.Errorf("the first other value scores %v", score)
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

func TestMetricFindsAStuckSensor(t *testing.T) {
	d := newMetric(t)
	xs := daily(48*20, 2)
	for i := range 20 {
		xs[48*19+12+i] = xs[48*19+12] // at the top of the curve, where it changes least
	}
	play(d, 30*time.Minute, xs[:48*19+12+20])
	if run := d.fields[0].run; run != 19 {
		t.Fatalf("a run of %d, want 19", run)
	}
	l := d.fields[0].look(0, 0, xs[48*19+12])
	const runs = channels - 1
	if l.number[0][runs] != 20 || l.held[0][runs] < 2 {
		t.Errorf("a run of %v surprises by %v decades, want 20, ≥ 2", l.number[0][runs], l.held[0][runs])
	}
}

// The reason names the channel that says most, and what it knows that is nearest.
func TestMetricReason(t *testing.T) {
	d := newMetric(t)
	var xs []float64
	for i := range 500 {
		xs = append(xs, float64(100+i%100)) // up to 199
	}
	play(d, time.Minute, xs)
	p := Point{Time: int64(500 * time.Minute), X: []float64{250}}
	if got, want := d.Reason(p, 0), "no such value is known, the nearest is 199"; got != want {
		t.Errorf("Reason = %q, want %q", got, want)
	}

	f := &d.fields[0]
	for c, want := range [channels]string{
		"no such value is known, the nearest is 199",
		"the mean of the last 4 points is new, the nearest known is ",
		"the mean of the last 16 points is new, the nearest known is ",
		"it departs from the usual for this hour by 250, the nearest known departure is ",
		"the last 4 points depart from the usual for their hours by 250 on average, the nearest known is ",
		"the last 16 points depart from the usual for their hours by 250 on average, the nearest known is ",
		"it is 250 away from the usual for this hour, farther than ever before",
		"the last 16 points are 250 away from the usual for their hours, farther than ever before",
		"it has not changed for 8 points",
	} {
		l := look{next: trend{run: 7}}
		l.feature[c] = 250
		for m := range members {
			l.held[m][c] = 3
			if c < memories {
				l.place[m][c] = f.opinions[m].memories[c].place(250)
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
}

// On noise of several laws scores exceed what the nominal law says, within half a decade.
func TestMetricLaw(t *testing.T) {
	state := 0.0
	for name, next := range map[string]func(r *rand.Rand) float64{
		"autoregressive": func(r *rand.Rand) float64 { state = .95*state + r.NormFloat64(); return state },
		"log-normal":     func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) },
		"Student t2":     func(r *rand.Rand) float64 { return r.NormFloat64() / math.Sqrt(r.ExpFloat64()) },
	} {
		r := rand.New(rand.NewPCG(4, 0))
		d := newMetric(t)
		xs := make([]float64, 22000)
		for i := range xs {
			xs[i] = next(r)
		}
		scores := play(d, 5*time.Minute, xs)[2000:]
		for _, limit := range []float64{0.5, 1, 2, 4.5} {
			over := 0
			for _, s := range scores {
				if s >= limit {
					over++
				}
			}
			got := math.Log10(float64(len(scores)) / float64(over))
			if want := d.Decades(limit); math.Abs(got-want) > 0.5 {
				t.Errorf("%s: a score of %v is exceeded at %.2f decades, Decades says %.2f", name, limit, got, want)
			}
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
	if n := len(state(t, d)); n > 12<<10 {
		t.Errorf("%d bytes a key, want ≤ 12 KiB", n)
	}
}

func TestMetricConfigIsChecked(t *testing.T) {
	for _, zone := range []string{"", "Local", "Mars/Olympus", "../etc"} {
		if _, err := (&MetricConfig{Zone: zone}).New(1); err == nil || !strings.HasPrefix(err.Error(), "zone is ") {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
}
