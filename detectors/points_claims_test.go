package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
)

// claimed is the share of points from..to of a law that score so many decades or more.
func claimed(t *testing.T, fields, series, from, to int, draw func(r *rand.Rand, before float64) float64) float64 {
	t.Helper()
	n := 0
	for seed := range uint64(series) {
		d, r := newPoints(t, fields), rand.New(rand.NewPCG(seed, 8))
		p := Point{X: make([]float64, fields)}
		for i := range to {
			for j, x := range p.X {
				p.X[j] = draw(r, x)
			}
			if score, ok := d.Score(p); ok && i >= from && score >= leastClaim {
				n++
			}
			d.Learn(p)
		}
	}
	return float64(n) / float64(series*(to-from))
}

// rarely is 1 in 2 % of the points and else 0.
func rarely(r *rand.Rand, _ float64) float64 { return math.Floor(r.Float64() + 0.02) }

func anExponential(r *rand.Rand, _ float64) float64 { return r.ExpFloat64() }

func aPareto(r *rand.Rand, _ float64) float64 { return 1 / (1 - r.Float64()) }

func aNormal(r *rand.Rand, _ float64) float64 { return r.NormFloat64() }

// About one ordinary point in a thousand is claimed to be as rare as that.
func TestPointsClaims(t *testing.T) {
	for name, c := range map[string]struct {
		fields, series, from, to int
		draw                     func(r *rand.Rand, before float64) float64
		least, most              float64 // of the share, in thousandths
	}{
		"normal, six fields":            {6, 1, 0, 20_000, aNormal, 0.2, 2},
		"normal, one field":             {1, 8, 0, 10_000, aNormal, 0.1, 3},
		"exponential, one field":        {1, 6, 10_000, 30_000, anExponential, 0.4, 1.6}, // 3.0 while the guard never gave way and both parts claimed
		"1/x, one field":                {1, 6, 10_000, 30_000, aPareto, 0.4, 2},         // 24
		"1/x, five fields":              {5, 2, 10_000, 30_000, aPareto, 0.4, 2},         // 2.5, most of them the points after a spike
		"a random walk in eight fields": {8, 8, 0, 10_000, func(r *rand.Rand, before float64) float64 { return before + r.NormFloat64() }, 0, 3},
		"1 in 2 %, eight fields":        {8, 8, 0, 10_000, rarely, 0.1, 20}, // some 60 while a field that had never moved could not learn how far it does
	} {
		if got := 1000 * claimed(t, c.fields, c.series, c.from, c.to, c.draw); got < c.least || got > c.most {
			t.Errorf("%s: %.2f points in 1000 score 3 decades or more, want %v to %v", name, got, c.least, c.most)
		}
	}
}

// Where many fields leave one value now and then, so that nearly always one of them does, a stream soon knows that this is nothing rare.
func TestPointsSparseFieldsAreNoShift(t *testing.T) {
	d := newPoints(t, 40)
	random := rand.New(rand.NewPCG(13, 0))
	shifted := 0
	for i := range 6000 {
		p := Point{X: make([]float64, 40)}
		for j := range p.X {
			if random.Float64() < 0.01 {
				p.X[j] = math.Ceil(8 * random.Float64())
			}
		}
		if s := d.look(p); i >= 2000 && s.shifted() {
			shifted++
		}
		d.Learn(p)
	}
	if shifted > 400 {
		t.Errorf("%d of 4000 points are a change of level, want a few", shifted)
	}
}
