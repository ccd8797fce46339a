package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Of a season of 2 with α = 1/2, β = 1/2, γ = 1/2, φ = 1: 10, 20 have level 15 and season -5, +5. 12 is 2 more than the forecast 10: level 16, trend
// 1/2, season -4.5, variance 4. The next forecast is 16 + 0.5 + 5 = 21.5; 20 is 1.5 less: level 15.75, trend 1/8, season 4.625, variance
// (4 + 2.25)/2. So the next is 15.75 + 0.125 - 4.5 = 11.375.
func TestHoltWintersByHand(t *testing.T) {
	d := newDetector[*HoltWinters](t, &HoltWintersConfig{Season: 2, Level: 0.5, Trend: 0.5, Seasonal: 0.5, Damping: 1}, 1)
	for _, x := range []float64{10, 20, 12, 20} {
		if _, ok := d.Score(value(x)); ok {
			t.Fatalf("a score before two seasons")
		}
		d.Learn(value(x))
	}
	expected, low, high, ok := d.Expect(value(0), 0)
	half := 3 * math.Sqrt(3.125)
	if !ok || !near(expected, 11.375, 1e-12) || !near(low, 11.375-half, 1e-12) || !near(high, 11.375+half, 1e-12) {
		t.Errorf("Expect = %v in [%v, %v], %v, want 11.375 ± %v", expected, low, high, ok, half)
	}
	if score, ok := d.Score(value(13.375)); !ok || !near(score, 2/math.Sqrt(3.125), 1e-12) {
		t.Errorf("Score(13.375) = %v, %v, want %v, true", score, ok, 2/math.Sqrt(3.125))
	}
}

// A season is expected, whose values are ordinary elsewhere: at its lowest point the value of the highest is odd.
func TestHoltWintersKnowsTheSeason(t *testing.T) {
	d := newDetector[*HoltWinters](t, &HoltWintersConfig{Season: 24, Level: 0.1, Trend: 0.01, Seasonal: 0.1, Damping: 0.98}, 1)
	r := rand.New(rand.NewPCG(1, 0))
	at := func(i int) float64 { return 100 + 10*math.Sin(2*math.Pi*float64(i)/24) }
	for i := range 24 * 20 {
		d.Learn(value(at(i) + r.NormFloat64()))
	}
	n := 24 * 20
	if score, _ := d.Score(value(at(n))); score > 3 {
		t.Errorf("Score of the season's value = %v, want < 3", score)
	}
	for range 18 { // to the lowest point
		d.Learn(value(at(n)))
		n++
	}
	if score, _ := d.Score(value(110)); score < 10 {
		t.Errorf("Score of the highest value at the lowest point = %v, want > 10", score)
	}
}

// A spike is not expected again a season later, by more than 3 deviations times what level and season take on of it.
func TestHoltWintersForgetsASpike(t *testing.T) {
	d := newDetector[*HoltWinters](t, &HoltWintersConfig{Season: 4, Level: 0.1, Trend: 0, Seasonal: 0.1, Damping: 1}, 1)
	r := rand.New(rand.NewPCG(2, 0))
	for range 400 {
		d.Learn(value(r.NormFloat64()))
	}
	before, _, _, _ := d.Expect(value(0), 0)
	d.Learn(value(1e6))
	for range 3 {
		d.Learn(value(0))
	}
	if after, _, _, _ := d.Expect(value(0), 0); math.Abs(after-before) > 1 {
		t.Errorf("a season after a spike of 1e6 the forecast is %v, before it %v", after, before)
	}
}

// A constant series expects its constant, also after it has become another.
func TestHoltWintersConstant(t *testing.T) {
	d := newDetector[*HoltWinters](t, &HoltWintersConfig{Season: 4, Level: 0.1, Trend: 0.01, Seasonal: 0.1, Damping: 0.98}, 1)
	for range 100 {
		d.Learn(value(5))
	}
	if score, _ := d.Score(value(5)); score != 0 {
		t.Errorf("Score(5) = %v, want 0", score)
	}
	if score, _ := d.Score(value(6)); score != MaxScore {
		t.Errorf("Score(6) = %v, want %v", score, MaxScore)
	}
	for range 200 {
		d.Learn(value(6))
	}
	if expected, _, _, _ := d.Expect(value(0), 0); !near(expected, 6, 0.01) {
		t.Errorf("after 200 points of 6, %v is expected", expected)
	}
}

func TestHoltWintersConfigIsChecked(t *testing.T) {
	_, err := (&HoltWintersConfig{Season: 1, Level: 0, Trend: -1, Seasonal: 2, Damping: math.NaN()}).New(1)
	want := "season is 1, want 2 to 100000\nlevel is 0, want > 0 and at most 1\ntrend is -1, want 0 to 1\nseasonal is 2, want 0 to 1\ndamping is NaN, want 0 to 1"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
