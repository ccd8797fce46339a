package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func newPoints(t testing.TB, fields int) *Points {
	t.Helper()
	d, err := Kinds["points"]().New(fields)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Points)
}

// Of 100 numbers with a mean of 1 and a deviation of 2 one of 50 counts as 3.5, a deviation and a quarter above: by hand the mean is then 1 + 2.5/101, and the
// variance 100/101·(4 + 6.25/101). One of -3 counts in full.
func TestPointsGlimpse(t *testing.T) {
	for _, c := range []struct{ number, mean, variance float64 }{
		{50, 1 + 2.5/101, 100. / 101 * (4 + 6.25/101)},
		{-3, 1 - 4./101, 100. / 101 * (4 + 16./101)},
	} {
		r := newRows(1)
		r.views[gaps] = tracker{n: 100, mean: 1, variance: 4}
		r.glimpse(&glance{views: [views]float64{gaps: c.number}})
		if v := r.views[gaps]; !near(v.mean, c.mean, 1e-12) || !near(v.variance, c.variance, 1e-12) {
			t.Errorf("after %v the view has %+v, want a mean of %v and a variance of %v", c.number, v, c.mean, c.variance)
		}
	}
}

// With variances 4 and 1 and covariance 1 the inverse is (1/3)·(1 -1; -1 4): for (2, 0) the squared distance is 4/3, for (0, 1) it is
// 4/3, for (2, 1) it is (4 - 4 + 4)/3 = 4/3; of (2, -1), (4 + 4 + 4)/3 = 4, the parts are 2·(2+1)/3 = 2 and -1·(-2-4)/3 = 2.
func TestPointsDistance(t *testing.T) {
	r := newRows(2)
	r.cov = []float64{4, 1, 1}
	r.refactor(0)
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{2, 0}, 4. / 3}, {[]float64{0, 1}, 4. / 3}, {[]float64{2, 1}, 4. / 3}, {[]float64{2, -1}, 4}} {
		if got := math.Exp(r.joint(c.x)) - 0.1; !near(got, c.want, 1e-9) {
			t.Errorf("distance of %v is %v, want %v", c.x, got, c.want)
		}
	}
	parts := make([]float64, 2)
	r.splitJoint([]float64{2, -1}, parts)
	if !near(parts[0], 2, 1e-9) || !near(parts[1], 2, 1e-9) {
		t.Errorf("parts %v, want 2 and 2", parts)
	}
	if r.weigh(); !near(r.spread[0], 2, 1e-9) || !near(r.spread[1], 1, 1e-9) {
		t.Errorf("standard deviations %v, want 2 and 1", r.spread)
	}
}

// The logistic law of the total, and the humble one: (1 + 9)... of 11 decades one in a hundred times a tenth is claimed.
func TestPointsHumble(t *testing.T) {
	for _, c := range []struct{ decades, want float64 }{{0, 0}, {1.5, 1.5}, {2, 2}, {11, 3}, {101, 4}} {
		if got := humble(c.decades); !near(got, c.want, 1e-12) {
			t.Errorf("humble(%v) = %v, want %v", c.decades, got, c.want)
		}
	}
}

// A direction counts in the deviations that were found along it: of variances 1 and 4 and z of 2 and 4 the squares are 4/1 and 16/4, whose sum
// is 8. A further point at 2 moves a mean square of one, of which 98 points are known, by (4 - 1)/100; one far out by no more than ten deviations
// would; one that does not move brings it no lower than leastSquare.
func TestPointsDirections(t *testing.T) {
	r := newRows(2)
	r.factor, r.squares = []float64{1, 0, 1}, []float64{1, 4}
	if got := math.Exp(r.joint([]float64{2, 4})) - 0.1; !near(got, 8, 1e-9) {
		t.Errorf("the distance is %v, want 8", got)
	}
	r.n = sightless + 98
	for _, c := range []struct{ square, z, want float64 }{{1, 2, 1.03}, {1, 1e9, 1.99}, {leastSquare, 0, leastSquare}} {
		r.squares[0], r.z[0] = c.square, c.z
		if r.learnSquares(); !near(r.squares[0], c.want, 1e-12) {
			t.Errorf("a mean square of %v is %v after %v, want %v", c.square, r.squares[0], c.z, c.want)
		}
	}
}

// Two of six fields go together to a hundredth of a deviation. A point that breaks that by three tenths, each of its values a common one, is odder than
// nearly all that does not, the covariance says so, and the two fields are to blame.
func TestPointsTightPair(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 0))
	pairs := func(n int) []Point {
		ps := gauss(n, 6, 0, random)
		for _, p := range ps {
			p.X[4] = 50 + 3*p.X[1] + 0.03*p.X[4]
		}
		return ps
	}
	d := newPoints(t, 6)
	learn(d, pairs(3000))
	ordinary := make([]float64, 1000)
	for i, p := range pairs(len(ordinary)) {
		ordinary[i], _ = d.Score(p)
		d.Learn(p)
	}
	slices.Sort(ordinary)
	missed := 0
	for _, p := range pairs(100) {
		p.X[1], p.X[4] = p.X[1]/2, 50+3*(p.X[1]/2+0.3) // well within the ranges
		if score, _ := d.Score(p); score < ordinary[990] {
			missed++
			continue
		}
		shares := make([]float64, 6)
		d.Shares(p, shares)
		if words := d.Reason(p, 1); shares[1]+shares[4] < 0.7 || !strings.Contains(words, "go together") {
			t.Errorf("%s, by shares of %v", words, shares)
		}
	}
	if missed > 5 {
		t.Errorf("%d of 100 points that break the relation score less than the oddest hundredth of the others", missed)
	}
}

// Harmonic means by hand: of 1e-4 and 1e-4 it is 1e-4; of 1e-4 and 1, 2/(10000+1).
func TestHarmonicMean(t *testing.T) {
	for _, c := range []struct {
		decades []float64
		want    float64
	}{
		{[]float64{4, 4}, 4},
		{[]float64{4, 0}, math.Log10(5000)},
		{[]float64{2.9, 2.9}, 0},
		{[]float64{400, 3, 400, 5}, 400 - math.Log10(2)},
	} {
		if got := harmonicMean(c.decades); !near(got, c.want, 1e-4) {
			t.Errorf("harmonicMean(%v) = %v, want %v", c.decades, got, c.want)
		}
	}
}

// burst learns noise, then n points far away that are alike, and returns the scores of the last of them and of noise.
func burst(t *testing.T, n int) (odd, ordinary float64) {
	d := newPoints(t, 6)
	r := rand.New(rand.NewPCG(7, 0))
	learn(d, gauss(3000, 6, 0, r))
	learn(d, gauss(n, 6, 8, r))
	odd, _ = d.Score(gauss(1, 6, 8, r)[0])
	ordinary, _ = d.Score(gauss(1, 6, 0, r)[0])
	return odd, ordinary
}

// A burst of alike anomalies stays odd, and a lasting change is learned. Far more than `lasting` in a row, with the first of which the
// level moves too, is the new normal.
func TestPointsGuard(t *testing.T) {
	if odd, ordinary := burst(t, 1000); odd < 2.5 || ordinary > 2 {
		t.Errorf("after a burst of 1000 its like scores %v, noise %v", odd, ordinary)
	}
	if odd, _ := burst(t, 12_000); odd > 2 {
		t.Errorf("after 12000 points of a new level one scores %v", odd)
	}
}

// Fields that were always 0 and now and then are 1, from some point on, as pixels near a margin are, keep most points from being learned for some
// hundreds, and not for thousands.
func TestPointsFieldsThatBeginToMove(t *testing.T) {
	const fields, still, begin = 8, 4, 1000
	d := newPoints(t, fields)
	r := rand.New(rand.NewPCG(11, 0))
	points := gauss(begin+1500, fields, 0, r)
	for i, p := range points {
		for j := range still {
			if p.X[j] = 0; i >= begin && r.Float64() < 0.05 {
				p.X[j] = 1
			}
		}
	}
	learn(d, points[:begin+500])
	before := d.rows.n
	learn(d, points[begin+500:])
	if learned := d.rows.n - before; learned < 600 {
		t.Errorf("of 1000 points in which they move, after 500 such, %d are learned, want most", learned)
	}
}

// Scores do not depend on units: powers of two are exact in floats.
func TestPointsIgnoreUnits(t *testing.T) {
	a, b := newPoints(t, 2), newPoints(t, 2)
	for i, p := range gauss(1500, 2, 3, rand.New(rand.NewPCG(3, 0))) {
		q := Point{X: []float64{p.X[0] * 1024, p.X[1] / 64}}
		scoreA, _ := a.Score(p)
		scoreB, _ := b.Score(q)
		if !near(scoreA, scoreB, 1e-5) {
			t.Fatalf("point %d scores %v, in other units %v", i, scoreA, scoreB)
		}
		a.Learn(p)
		b.Learn(q)
	}
}

// What is seen is said: a level that moves little but stays, and values that only together are odd.
func TestPointsReasons(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 0))
	together := func(n int) []Point {
		ps := gauss(n, 3, 0, r)
		for _, p := range ps {
			p.X[1] = p.X[0] + p.X[1]/20
		}
		return ps
	}
	d := newPoints(t, 3)
	learn(d, together(3000))
	odd := Point{X: []float64{1.5, -1.5, 0}}
	if score, _ := d.Score(odd); score < 2 {
		t.Errorf("values that do not go together score %v", score)
	}
	shares := make([]float64, 3)
	d.Shares(odd, shares)
	if shares[0]+shares[1] < 0.9 {
		t.Errorf("shares of values that do not go together: %v", shares)
	}
	if words := d.Reason(odd, 0); !strings.HasPrefix(words, "its values do not go together, by ") || !strings.HasSuffix(words, " standard deviations more than usual") {
		t.Errorf("values that do not go together: %s", words)
	}
	score := 0.0
	for _, p := range together(60) {
		p.X[2] += 2
		if score, _ = d.Score(p); score >= 3 {
			d.Shares(p, shares)
			if words := d.Reason(p, 2); shares[2] < 0.9 || !strings.Contains(words, "the mean of its last") {
				t.Errorf("shares of a level that moved: %v, %s", shares, words)
			}
			return
		}
		d.Learn(p)
	}
	t.Errorf("a level that moved by two deviations scores %v after 60 points", score)
}

// A state of version 4 has no weights: they are those of the points that it remembers. Nor does it know for how long a field has kept its value.
func TestPointsVersionBefore(t *testing.T) {
	d := newPoints(t, 2)
	learn(d, gauss(400, 2, 0, rand.New(rand.NewPCG(6, 0))))
	d.rows.weigh()
	for j := range d.shifts.fields {
		d.shifts.fields[j].streak = newStreak()
	}
	b := state(t, d)
	weights := 4 * len(d.rows.weight)
	streaks := len(d.shifts.fields) * len((&streak{}).append(nil))
	end := len(b) - len(d.past.append(nil))                    // of the shifts
	begin := len(b) - len(d.past.append(d.shifts.append(nil))) // of the shifts, where the rows end
	restored := newPoints(t, 2)
	if err := restored.UnmarshalBinary([]byte("\x04" + b[1:begin-weights] + b[begin:end-streaks] + b[end:])); err != nil {
		t.Fatal(err)
	}
	if state(t, restored) != b {
		t.Error("what version 4 knew is read as something else")
	}
}

func TestPointsAreSmall(t *testing.T) {
	d := newPoints(t, 8)
	learn(d, gauss(3000, 8, 0, rand.New(rand.NewPCG(5, 0))))
	if n, held := len(state(t, d)), d.Bytes(); n > 20<<10 || held > 20<<10 {
		t.Errorf("%d bytes of state and %d in memory with 8 fields, want ≤ 20 KB", n, held)
	}
}

func TestPointsConfigIsChecked(t *testing.T) {
	for want, c := range map[string]PointsConfig{
		"memory is 10, want 256 to 1000000000\nlasting is 1, want 64 to 1000000000": {Memory: 10, Lasting: 1},
	} {
		if _, err := c.New(2); err == nil || err.Error() != want {
			t.Errorf("New of %+v: %v, want %s", c, err, want)
		}
	}
	c := Kinds["points"]()
	if _, err := c.New(mostFields + 1); err == nil || err.Error() != "values is 257, want at most 256 of them" {
		t.Errorf("New(%d): %v", mostFields+1, err)
	}
}

func BenchmarkPointsTenFields(b *testing.B) {
	d := newPoints(b, 10)
	ps := gauss(4096, 10, 0, rand.New(rand.NewPCG(1, 0)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Score(ps[i%len(ps)])
		d.Learn(ps[i%len(ps)])
	}
}
