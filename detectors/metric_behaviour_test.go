package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// asked is the rate of false alarms that `create metrics` asks for.
const asked = 1e-3

// alerts are the rows at which alerts would be raised: a score at the limit of that rate, unless one was within the 75 rows before.
func alerts(d Detector, scores []float64) (rows []int) {
	last := -76
	for i, s := range scores {
		if s < d.ScoreAt(-math.Log10(asked)) {
			continue
		}
		if i-last > 75 {
			rows = append(rows, i)
		}
		last = i
	}
	return rows
}

// told is where a person wants an alert, and how many at most.
type told struct{ from, to, most int }

// sine is a day's curve of points that come each five minutes.
func sine(i int) float64 { return math.Sin(2 * math.Pi * float64(i) / 288) }

// poisson draws a count.
func poisson(r *rand.Rand, mean float64) float64 {
	n := 0.0
	for p := r.Float64(); p > math.Exp(-mean); n++ {
		p *= r.Float64()
	}
	return n
}

// What a metric does is told once where a person wants to know, and elsewhere not more often than twice the rate asked for.
func TestMetricBehaviour(t *testing.T) {
	for _, c := range []struct {
		name string
		rows int
		want []told
		x    func(r *rand.Rand, i int, before float64) float64
	}{
		{"constant, then a small change", 6000, []told{{3000, 3000, 1}}, func(_ *rand.Rand, i int, _ float64) float64 {
			return 7 + map[bool]float64{true: 0.007}[i >= 3000]
		}},
		{"flat line", 20000, nil, func(*rand.Rand, int, float64) float64 { return 7 }},
		{"stuck sensor", 8000, []told{{5000, 5030, 1}}, func(r *rand.Rand, i int, before float64) float64 {
			if i >= 5000 && i < 5300 {
				return before
			}
			return r.NormFloat64()
		}},
		{"stuck sensor of whole numbers with a daily curve", 8000, []told{{5000, 5060, 1}}, func(r *rand.Rand, i int, before float64) float64 {
			if i >= 5000 && i < 5300 {
				return before
			}
			return math.Round(50 + 20*sine(i) + 5*r.NormFloat64())
		}},
		{"missing day", 9000, []told{{20 * 288, 20*288 + 12, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			if i/288 == 20 {
				return r.NormFloat64()
			}
			return 20 + 10*sine(i) + r.NormFloat64()
		}},
		{"level shift up and back", 10000, []told{{4000, 4005, 1}, {6000, 6060, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			return r.NormFloat64() + map[bool]float64{true: 10}[i >= 4000 && i < 6000]
		}},
		{"level shift of a daily curve, for good", 10000, []told{{4000, 4005, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			return 10*sine(i) + r.NormFloat64() + map[bool]float64{true: 20}[i >= 4000]
		}},
		{"slow drift", 20000, nil, func(r *rand.Rand, i int, _ float64) float64 { return r.NormFloat64() + 0.01*float64(i) }},
		{"slower drift", 20000, nil, func(r *rand.Rand, i int, _ float64) float64 { return r.NormFloat64() + 0.001*float64(i) }},
		{"spike after spike", 20000, []told{{499, 499, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			return r.NormFloat64() + map[bool]float64{true: 10 + r.NormFloat64()}[i%500 == 499]
		}},
		{"noise four times as loud", 8000, []told{{5000, 5100, 2}}, func(r *rand.Rand, i int, _ float64) float64 {
			return r.NormFloat64() * (1 + map[bool]float64{true: 3}[i >= 5000])
		}},
		{"noise twice as loud", 8000, []told{{5000, 5200, 2}}, func(r *rand.Rand, i int, _ float64) float64 {
			return r.NormFloat64() * (1 + map[bool]float64{true: 1}[i >= 5000])
		}},
		{"sparse counts, and a burst", 10000, []told{{8000, 8000, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			if i == 8000 {
				return 6
			}
			return poisson(r, 0.05)
		}},
		{"sparse counts that end", 10000, []told{{8000, 8300, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			if i >= 8000 {
				return 0
			}
			return poisson(r, 0.2)
		}},
		{"far from zero", 10000, []told{{5000, 5000, 1}}, func(r *rand.Rand, i int, _ float64) float64 {
			return 1e9 + r.NormFloat64() + map[bool]float64{true: 12}[i == 5000]
		}},
		{"square wave", 20000, nil, func(_ *rand.Rand, i int, _ float64) float64 { return float64(i / 144 % 2) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			const seeds = 2
			others := 0
			for seed := range uint64(seeds) {
				r := rand.New(rand.NewPCG(seed, 1))
				xs := make([]float64, c.rows)
				before := 0.0
				for i := range xs {
					xs[i] = c.x(r, i, before)
					before = xs[i]
				}
				d := newMetric(t)
				rows := alerts(d, play(d, 5*time.Minute, xs))
				others += len(rows)
				for _, w := range c.want {
					n := 0
					for _, row := range rows {
						if row >= w.from && row <= w.to {
							n++
						}
					}
					if others -= n; n < 1 || n > w.most {
						t.Errorf("seed %d: %d alerts from row %d to %d, want 1 to %d; all: %v", seed, n, w.from, w.to, w.most, rows)
					}
				}
			}
			if most := 2 * asked * float64(seeds*c.rows); float64(others) > most {
				t.Errorf("%d other alerts, want at most %v", others, most)
			}
		})
	}
}

// A day without points is no anomaly: what comes after is judged by its hour.
func TestMetricGap(t *testing.T) {
	d := newMetric(t)
	r := rand.New(rand.NewPCG(1, 1))
	late := 0.0
	for i := range 288 * 30 {
		if i/288 == 20 {
			continue
		}
		p := Point{Time: int64(i) * int64(5*time.Minute), X: []float64{10*sine(i) + r.NormFloat64()}}
		if score, _ := d.Score(p); i/288 > 20 {
			late = max(late, score)
		}
		d.Learn(p)
	}
	if late >= d.ScoreAt(-math.Log10(asked)) {
		t.Errorf("after the gap a point scores %v", late)
	}
}

// office plays a metric that is high on working days from eight to six by the clock of start's zone, but for one day off, and returns the
// highest score from a time on.
func office(t *testing.T, c *MetricConfig, start, from, end, off time.Time) (highest float64) {
	t.Helper()
	d := newDetector[*Metric](t, c, 1)
	r := rand.New(rand.NewPCG(1, 1))
	for at := start; at.Before(end); at = at.Add(15 * time.Minute) {
		p := Point{Time: at.UnixNano(), X: []float64{10 + r.NormFloat64()}}
		weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
		if h := at.Hour(); h >= 8 && h < 18 && !weekend && at.Format(time.DateOnly) != off.Format(time.DateOnly) {
			p.X[0] += 100
		}
		if s, _ := d.Score(p); !at.Before(from) {
			highest = max(highest, s)
		}
		d.Learn(p)
	}
	return highest
}

// Offices open at eight by the clock of Berlin, also once that is an hour earlier by UTC, from the 29th of March 2026 on. A metric that
// is told of no zone finds the hours odd.
func TestMetricSummerTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err) // a machine without time zones
	}
	start, change := time.Date(2026, 2, 2, 0, 0, 0, 0, berlin), time.Date(2026, 3, 29, 0, 0, 0, 0, berlin)
	highest := func(zone string) float64 {
		return office(t, &MetricConfig{Zone: zone}, start, change, change.AddDate(0, 0, 7), time.Time{})
	}
	limit := newMetric(t).ScoreAt(-math.Log10(asked))
	if local, utc := highest("Europe/Berlin"), highest("UTC"); local >= limit || utc < limit {
		t.Errorf("after the change the highest score is %v by Berlin's clock and %v by UTC, want the limit, %v, between them", local, utc, limit)
	}
}

// On a Thursday that is a holiday nobody comes, which is odd unless one knows.
func TestMetricHoliday(t *testing.T) {
	start, day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 14, 0, 0, 0, 0, time.UTC)
	highest := func(holidays ...string) float64 {
		return office(t, &MetricConfig{Zone: "UTC", Holidays: holidays}, start, day, day.AddDate(0, 0, 1), day)
	}
	limit := newMetric(t).ScoreAt(-math.Log10(asked))
	if told, untold := highest("2026-12-25", "2026-05-14"), highest(); told >= limit || untold < limit {
		t.Errorf("on the holiday the highest score is %v where it is known and %v where not, want the limit, %v, between them", told, untold, limit)
	}
}

// laws are noise of many kinds: of each, twenty thousand points from the first on.
var laws = map[string]func(r *rand.Rand, i int, state *float64) float64{
	"normal":                func(r *rand.Rand, _ int, _ *float64) float64 { return r.NormFloat64() },
	"uniform":               func(r *rand.Rand, _ int, _ *float64) float64 { return r.Float64() },
	"exponential":           func(r *rand.Rand, _ int, _ *float64) float64 { return r.ExpFloat64() },
	"log-normal":            func(r *rand.Rand, _ int, _ *float64) float64 { return math.Exp(r.NormFloat64()) },
	"Student t2":            func(r *rand.Rand, _ int, _ *float64) float64 { return r.NormFloat64() / math.Sqrt(r.ExpFloat64()) },
	"Pareto 1":              func(r *rand.Rand, _ int, _ *float64) float64 { return math.Exp(r.ExpFloat64()) },
	"counts":                func(r *rand.Rand, _ int, _ *float64) float64 { return poisson(r, 3) },
	"sparse counts":         func(r *rand.Rand, _ int, _ *float64) float64 { return poisson(r, .1) },
	"autoregressive .7":     func(r *rand.Rand, _ int, s *float64) float64 { *s = .7**s + r.NormFloat64(); return *s },
	"autoregressive .95":    func(r *rand.Rand, _ int, s *float64) float64 { *s = .95**s + r.NormFloat64(); return *s },
	"autoregressive .99":    func(r *rand.Rand, _ int, s *float64) float64 { *s = .99**s + r.NormFloat64(); return *s },
	"random walk":           func(r *rand.Rand, _ int, s *float64) float64 { *s += r.NormFloat64(); return *s },
	"daily, autoregressive": func(r *rand.Rand, i int, s *float64) float64 { *s = .7**s + r.NormFloat64(); return 10*sine(i) + *s },
	"daily, of skewed noise": func(r *rand.Rand, i int, s *float64) float64 {
		*s = .8**s + .6*r.NormFloat64()
		return math.Exp(sine(i) + .3**s)
	},
}

// On no law are there more than twice as many alerts as asked for. Once a series is known, as many points score one decade, or two, as
// the law says: at most half a decade more, a whole one where values never come back, and down to a decade fewer where they have bounds.
func TestMetricFalseAlarms(t *testing.T) {
	const seeds, rows, known = 2, 20000, 6000
	for name, next := range laws {
		count, over := 0, map[float64]int{1: 0, 2: 0}
		for seed := range uint64(seeds) {
			r := rand.New(rand.NewPCG(seed, 2))
			xs, state := make([]float64, rows), 0.0
			for i := range xs {
				xs[i] = next(r, i, &state)
			}
			d := newMetric(t)
			scores := play(d, 5*time.Minute, xs)
			count += len(alerts(d, scores))
			for decades := range over {
				for _, s := range scores[known:] {
					if s >= d.ScoreAt(decades) {
						over[decades]++
					}
				}
			}
		}
		if most := 2 * asked * seeds * rows; float64(count) > most {
			t.Errorf("%s: %d alerts in %d points, want at most %v", name, count, seeds*rows, most)
		}
		least, most := 0.5, 1.0
		if name == "random walk" {
			least = 1
		}
		for decades, n := range over {
			if got := math.Log10(seeds * (rows - known) / float64(n)); got < decades-least || got > decades+most {
				t.Errorf("%s: %v decades are reached by one point in 10^%.2f", name, decades, got)
			}
		}
	}
}
