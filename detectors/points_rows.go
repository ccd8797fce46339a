package detectors

import (
	"math"
	"math/rand/v2"
	"slices"
)

// rows looks for points that are odd whatever comes before and after them, in four views whose numbers are put on one scale by their own
// means and deviations. It keeps a sample of the points learned, and does not learn what is too odd: else a burst of alike anomalies
// would soon be normal.
type rows struct {
	seen    uint64             // points seen
	n       uint64             // points learned: the others were guarded against
	sample  []float32          // remembered points, see at
	order   []uint8            // of each field the slots in ascending order of its values; it follows from sample
	mean    []float64          // of each field
	cov     []float64          // covariances: row i of the lower triangle begins at i(i+1)/2
	factor  []float64          // Cholesky factor of cov as it was some points ago, laid out alike
	squares []float64          // mean squares of the distances along the factor's directions, each measured before its point was learned; see joint
	spread  []float64          // standard deviation of each field; it follows from factor
	weight  []float32          // of each field, what a difference counts by as it was when factor was computed, see weigh
	apart   [remembers]float32 // of each remembered point, its distance from the nearest of the next set, or 0 where it was not looked for; see between
	views   [views]tracker     // of the views' numbers
	total   tracker            // of the total
	guarded float64            // share of the points guarded against, fading
	past    excursions         // of the total's decades

	// Scratch.
	x []float32
	z []float64
}

// The views.
const (
	nearest  = iota // distance from the nearest remembered points, in good part as a multiple of that of those from each other
	fringe          // how far out in its own law each field lies
	gaps            // how wide a neighbourhood of each field holds a few values: finds what is rare between common ones
	relation        // Mahalanobis distance: fields that do not go together as they use to
	views
)

// votes are what the squares of the views count by in the total: most rows are ordered best by the first.
var votes = [views]float64{nearest: 1.75, fringe: 1.5, gaps: 1, relation: 1}

const (
	sets       = 32 // small samples: a clump of anomalies in few of the remembered points spoils few of them
	setPoints  = 8
	remembers  = sets * setPoints
	sightless  = 20           // points before the first that the views look at
	untotalled = 32           // points before the first total
	unguarded  = remembers    // points before the first that is guarded against
	guard      = 3            // standard deviations of the total above which a point is not learned
	leak       = 1.0 / 64     // of the points guarded against is learned all the same
	wall       = 1.25         // standard deviations above its mean that a view's number counts for at most, of a point guarded against
	persistent = 1 - 1/math.E // share guarded against, beyond which they are the new normal: that of lasting points in a row
	calmMemory = 2000         // points that the trackers remember
	refactor   = 32           // points from one factoring to the next, once there are many
	ridge      = 3            // points as which it counts in the covariances that the fields are independent
)

// tracker is an exponentially forgotten mean and variance.
type tracker struct{ n, mean, variance float64 }

// z is the distance from the mean in standard deviations.
func (t *tracker) z(x float64) float64 { return (x - t.mean) / math.Sqrt(t.variance+1e-12) }

func (t *tracker) learn(x float64) {
	t.n = min(t.n+1, calmMemory)
	e := x - t.mean
	t.mean += e / t.n
	t.variance = (1 - 1/t.n) * (t.variance + e*e/t.n)
}

// newTotal begins with the total of four independent normal views, worth 32 points.
func newTotal() tracker {
	return tracker{n: 32, mean: meanTotal, variance: deviationOfTotal * deviationOfTotal}
}

// Of four independent normal z the total has this mean and deviation, by 300,000 draws.
const (
	meanTotal        = 2.085
	deviationOfTotal = 0.701
)

func newRows(fields int) rows {
	triangle := fields * (fields + 1) / 2
	return rows{
		sample: make([]float32, remembers*fields), order: make([]uint8, remembers*fields),
		mean: make([]float64, fields), cov: make([]float64, triangle), factor: make([]float64, triangle), squares: slices.Repeat([]float64{1}, fields),
		spread: make([]float64, fields), weight: make([]float32, fields),
		total: newTotal(), past: newExcursions(0),
		x: make([]float32, fields), z: make([]float64, fields),
	}
}

// glance is what rows make of a point.
type glance struct {
	views   [views]float64 // their numbers
	z       [views]float64 // the same in deviations from their means
	total   float64        // what they say together, see said
	decades float64        // of the total by a logistic law
	calm    float64        // those that can be claimed: by a humbler law, or where the stream's own past knows them to be rare
}

// look judges the point in x, with its values in r.x.
func (r *rows) look(x []float64) (g glance) {
	if r.n < sightless {
		return g
	}
	g.views[nearest] = r.nearest()
	g.views[fringe], g.views[gaps] = r.margins()
	g.views[relation] = r.joint(x)
	if r.n < untotalled {
		return g
	}
	for i := range g.z {
		g.z[i] = r.views[i].z(g.views[i])
		g.total += g.said(i)
	}
	g.total = math.Sqrt(g.total)
	z := (g.total-meanTotal)/deviationOfTotal + 1
	g.decades = unlikely(z) * math.Log10E
	g.calm = humble(g.decades)
	if past := r.past.rank(g.decades, float64(min(r.seen, horizon))); past >= leastClaim { // where values are bounded, more than the law's decades
		g.calm = max(g.calm, past)
	}
	return g
}

// said is what a view adds to the square of the total. It is nearly the square of what the view is above its mean by, and little where it is below; but not
// nothing, so that points that no view finds odd are still ordered.
func (g *glance) said(view int) float64 {
	u := unlikely(g.z[view])
	return votes[view] * u * u
}

// unlikely is -ln p of a logistic variable that is z or more, in units of its scale.
func unlikely(z float64) float64 {
	if z > 30 {
		return z
	}
	return math.Log1p(math.Exp(z))
}

// leastClaim is the surprise in decades from which on what the past says of a point counts: what is less rare happens to every series, and
// would only blur the order of the rest.
const leastClaim = 3

// humble is what so many decades are worth without a past: beyond two the law of the total is taken for Pareto's with index 1, where
// it is nominally exponential.
func humble(decades float64) float64 {
	if decades <= 2 {
		return decades
	}
	return 2 + math.Log10(decades-1)
}

// learn takes in x, of which g is what look said, unless it is guarded against.
func (r *rows) learn(x []float64, g *glance, c *PointsConfig, random *rand.PCG) {
	r.seen++
	memory := float64(c.Memory)
	leaks := false
	if r.n >= untotalled {
		r.past.learn(g.decades, r.seen)
		odd := r.seen > unguarded && r.total.z(g.total) > guard
		r.guarded -= r.guarded / float64(c.Lasting)
		if odd {
			r.guarded += 1 / float64(c.Lasting)
		}
		lasts := r.guarded > persistent
		if lasts {
			memory = min(memory, float64(c.Lasting))
		}
		if leaks = odd && !lasts; leaks && uniform(random) > leak {
			r.glimpse(g)
			return
		}
		r.total.learn(g.total)
	}
	if r.n >= sightless {
		for i := range r.views {
			r.views[i].learn(g.views[i])
		}
		r.learnSquares()
	}
	r.n++
	rate := max(1/memory, 1/float64(r.n))
	r.learnMoments(x, rate)
	// A field that begins to move is far out by the factor, and has all points guarded against; of those so few leak that it would be so for thousands.
	refactors := r.n < 100 || r.n%refactor == 0 || leaks
	if refactors {
		r.refactor(ridge * rate)
	}
	r.remember(rate, random)
	if refactors {
		r.weigh()
	}
}

// glimpse takes in what the views say of a point that is guarded against, winsorized: without it the deviations of what is left would be too
// small, so that more is guarded against, and so on; as it is, one far out would mute the views. The few that leak count in full, lest a view of
// values that are nearly always the same has no deviation at all.
//
// Huber (1964), "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35(1).
func (r *rows) glimpse(g *glance) {
	for i := range r.views {
		v := &r.views[i]
		v.learn(min(g.views[i], v.mean+wall*math.Sqrt(v.variance)))
	}
}

func (r *rows) bytes() int {
	return len(r.order) + 4*(len(r.sample)+len(r.weight)+len(r.x)) + 8*(len(r.mean)+len(r.cov)+len(r.factor)+len(r.squares)+len(r.spread)+len(r.z))
}

func (t *tracker) append(b []byte) []byte {
	return appendFloat64(appendFloat64(appendFloat64(b, t.n), t.mean), t.variance)
}

func (t *tracker) read(r *reader) {
	*t = tracker{r.float64(0, calmMemory), r.float64(-wide, wide), r.float64(0, wide*wide)}
}

func (r *rows) append(b []byte) []byte {
	b = appendCount(b, r.seen)
	b = appendCount(b, r.n)
	b = appendFloat64(b, r.guarded)
	for i := range r.views {
		b = r.views[i].append(b)
	}
	b = r.past.append(r.total.append(b))
	for _, xs := range [...][]float64{r.mean, r.cov, r.factor, r.squares} {
		for _, x := range xs {
			b = appendFloat64(b, x)
		}
	}
	for slot := range r.size() {
		at := r.at(slot)
		for j := range r.x {
			b = appendFloat32(b, r.sample[at+j*setPoints])
		}
	}
	for _, w := range r.weight {
		b = appendFloat32(b, w)
	}
	return b
}

// read restores what append wrote; before version 5 without the weights.
func (r *rows) read(s *reader, weights bool) {
	r.seen, r.n, r.guarded = s.count(), s.count(), s.float64(0, 1)
	if r.n > r.seen {
		s.fail("%d points learned of %d seen", r.n, r.seen)
	}
	for i := range r.views {
		r.views[i].read(s)
	}
	r.total.read(s)
	r.past.read(s)
	for i := range r.mean {
		r.mean[i] = s.float64(-wide, wide)
	}
	for i := range r.cov {
		r.cov[i] = s.float64(-wide*wide, wide*wide)
	}
	row := 0
	for i := range r.mean {
		for k := range i + 1 {
			r.factor[row+k] = s.float64(-wide, wide)
		}
		if row += i + 1; r.n > 0 && !(r.factor[row-1] >= leastFactor) {
			s.fail("a factor with %v on its diagonal", r.factor[row-1])
		}
	}
	for i := range r.squares {
		r.squares[i] = s.float64(leastSquare, huge)
	}
	for slot := range r.size() {
		for j := range r.x {
			r.put(j, slot, s.float32(-wide, wide), true)
		}
	}
	r.weigh()
	for j := range r.weight {
		if weights {
			r.weight[j] = s.float32(0, math.MaxFloat32)
		}
	}
}
