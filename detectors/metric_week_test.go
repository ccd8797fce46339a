package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// orders is how many orders a shop expects at a time: few at four at night, most at four in the afternoon, and at weekends a third.
func orders(at time.Time, weekend float64) float64 {
	hour := float64(at.Hour()) + float64(at.Minute())/60
	mean := .1 + .9*math.Pow(math.Sin(math.Pi*(hour-4)/24), 2)
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		mean *= weekend
	}
	return mean
}

// shopNoise are laws of what comes where so much is expected.
var shopNoise = []struct {
	name string
	draw func(r *rand.Rand, mean float64) float64
}{
	{"counts", func(r *rand.Rand, mean float64) float64 {
		return max(0, math.Round(mean+math.Sqrt(mean)*r.NormFloat64()))
	}},
	{"a tenth", func(r *rand.Rand, mean float64) float64 { return mean * (1 + .1*r.NormFloat64()) }},
	{"lognormal", func(r *rand.Rand, mean float64) float64 { return mean * math.Exp(.15*r.NormFloat64()) }},
	{"everywhere alike", func(r *rand.Rand, mean float64) float64 { return mean + 10*r.NormFloat64() }},
}

// A shop's orders fail, halve or double for one, three or six hours of one day between its third and its eighth week. That is told, whatever the
// pace of the points and whichever the day: what the first weekend was, which nobody could know, is no measure of it. The shares are of some 2,000
// such disturbances each; while the first weekend counted, hourly ones were told in .65, .00, .13 and
// .00 of the columns' cases.
func TestMetricAfterTheFirstWeekend(t *testing.T) {
	for _, c := range []struct {
		step  time.Duration
		peak  float64 // orders of a step at four in the afternoon
		seeds uint64
		// told is the least share of three or six hours: none and half on working days, none and half or double at weekends
		none, half, weekendNone, weekend float64
		wrong                            float64 // most false alarms a week from the second week on, of a series
	}{
		{time.Hour, 400, 3, .9, .7, .8, .4, .3},
		{15 * time.Minute, 200, 2, 1, .95, .95, .85, 1},
		{5 * time.Minute, 150, 2, 1, .95, .95, .85, 1.2},
		{time.Minute, 100, 1, 1, .85, .95, .5, 4},
	} {
		t.Run(c.step.String(), func(t *testing.T) {
			var total, told [2][3]float64 // by weekend, and what is left of the orders
			wrong, weeks := 0.0, 0.0
			for law := range shopNoise {
				for seed := range c.seeds {
					s := newShop(t, law, c.step, c.peak, seed)
					s.open(8*7, func(day int) {
						if day < 2*7 || day%3 != int(seed%3) { //nolint:gosec // small
							return
						}
						weekend := 0
						if day%7 >= 5 {
							weekend = 1
						}
						for f, factor := range [...]float64{0, .5, 2} {
							for _, hours := range [...]int{3, 6} {
								total[weekend][f]++
								if s.disturbed(hours, factor) {
									told[weekend][f]++
								}
							}
						}
					})
					wrong += s.wrong
					weeks += 7
				}
			}
			share := func(weekend int, f ...int) float64 {
				n, of := 0.0, 0.0
				for _, f := range f {
					n, of = n+told[weekend][f], of+total[weekend][f]
				}
				return n / of
			}
			for what, s := range map[string]struct{ got, want float64 }{
				"no orders on working days": {share(0, 0), c.none}, "half of them": {share(0, 1), c.half},
				"no orders at weekends": {share(1, 0), c.weekendNone}, "half or twice as many at weekends": {share(1, 1, 2), c.weekend},
			} {
				if s.got < s.want {
					t.Errorf("%s: a share of %.2f is told, want %v", what, s.got, s.want)
				}
			}
			if wrong > c.wrong*weeks {
				t.Errorf("%.2f false alarms a week, want at most %v", wrong/weeks, c.wrong)
			}
		})
	}
}

// shop plays one series.
type shop struct {
	d     *Metric
	r     *rand.Rand
	law   int
	step  time.Duration
	peak  float64
	at    time.Time
	limit float64
	wrong float64 // alerts after the first week
}

func newShop(t *testing.T, law int, step time.Duration, peak float64, seed uint64) *shop {
	t.Helper()
	d := newMetric(t)
	return &shop{d: d, r: rand.New(rand.NewPCG(seed, uint64(law))), law: law, step: step, peak: peak, //nolint:gosec // small
		at: time.Date(2026, 8, 31, 0, 0, 0, 0, time.UTC), limit: d.ScoreAt(-math.Log10(asked))} // a Monday
}

func (s *shop) point(r *rand.Rand, at time.Time, factor float64) Point {
	return Point{Time: at.UnixNano(), X: []float64{shopNoise[s.law].draw(r, factor*s.peak*orders(at, 1./3))}}
}

// open plays so many days, and calls noon at eleven o'clock of each.
func (s *shop) open(days int, noon func(day int)) {
	start, last := s.at, time.Time{}
	for ; s.at.Before(start.AddDate(0, 0, days)); s.at = s.at.Add(s.step) {
		if s.at.Hour() == 11 && s.at.Minute() == 0 {
			noon(int(s.at.Sub(start) / (24 * time.Hour)))
		}
		p := s.point(s.r, s.at, 1)
		if score, _ := s.d.Score(p); score >= s.limit {
			if s.at.Sub(last) > 75*s.step && s.at.Sub(start) > 7*24*time.Hour {
				s.wrong++
			}
			last = s.at
		}
		s.d.Learn(p)
	}
}

// disturbed says whether a copy of the series, whose orders are multiplied by factor for so many hours, is told of.
func (s *shop) disturbed(hours int, factor float64) bool {
	d := *s.d
	d.fields = slices.Clone(s.d.fields)
	r := rand.New(rand.NewPCG(s.r.Uint64(), 0)) //nolint:gosec // reproducible on purpose
	for at := s.at; at.Before(s.at.Add(time.Duration(hours) * time.Hour)); at = at.Add(s.step) {
		p := s.point(r, at, factor)
		if score, _ := d.Score(p); score >= s.limit {
			return true
		}
		d.Learn(p)
	}
	return false
}

// Where nobody comes at night, five at three o'clock are odd, though at noon they are not.
func TestMetricQuietNight(t *testing.T) {
	for _, peak := range []float64{2, 4, 8} {
		for seed := range uint64(3) {
			d := newMetric(t)
			r := rand.New(rand.NewPCG(seed, 1))
			start := time.Date(2026, 8, 31, 0, 0, 0, 0, time.UTC)
			at := start
			for ; at.Before(start.AddDate(0, 0, 10*7)) || at.Hour() != 3; at = at.Add(time.Hour) {
				x := 0.0
				if hour := float64(at.Hour()); hour >= 7 {
					x = poisson(r, peak*math.Pow(math.Sin(math.Pi*(hour-4)/24), 2))
				}
				p := Point{Time: at.UnixNano(), X: []float64{x}}
				d.Score(p)
				d.Learn(p)
			}
			if score, _ := d.Score(Point{Time: at.UnixNano(), X: []float64{5}}); score < d.ScoreAt(-math.Log10(asked)) {
				t.Errorf("seed %d: where up to %v come an hour, five at night score %v", seed, peak, score)
			}
		}
	}
}

// Of orders none is expected to be fewer than none, and of what may be below zero that is.
func TestMetricBandOfCounts(t *testing.T) {
	for _, c := range []struct{ origin, least float64 }{{0, 0}, {1000, 996}, {-2, -10}} {
		d := newMetric(t)
		r := rand.New(rand.NewPCG(1, 1))
		xs := make([]float64, 2000)
		for i := range xs {
			xs[i] = c.origin + poisson(r, .7)
		}
		play(d, time.Hour, xs)
		_, low, high, ok := d.Expect(Point{Time: int64(2000 * time.Hour), X: []float64{c.origin}}, 0)
		if !ok || low < c.least || c.origin != 0 && low > c.origin || c.origin == 0 && low != 0 || high < c.origin {
			t.Errorf("from %v on the band is %v to %v, want it to begin at %v or above", c.origin, low, high, c.least)
		}
	}
}
