package detectors

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
)

// rows looks for points that are odd whatever comes before and after them, in four views whose numbers are put on one scale by their own
// means and deviations. It keeps a sample of the points learned, and does not learn what is too odd: else a burst of alike anomalies
// would soon be normal.
type rows struct {
	seen    uint64         // points seen
	n       uint64         // points learned: the others were guarded against
	sample  []float32      // remembered points, see at
	sorted  []float32      // of each field the remembered values, ascending; they follow from sample
	mean    []float64      // of each field
	cov     []float64      // covariances: row i of the lower triangle begins at i(i+1)/2
	factor  []float64      // Cholesky factor of cov as it was some points ago, laid out alike
	weight  []float32      // of each field, one over its standard deviation; it follows from factor
	views   [views]tracker // of the views' numbers
	total   tracker        // of the total
	guarded float64        // share of the points guarded against, fading
	past    excursions     // of the total's decades

	// Scratch.
	x []float32
	z []float64
}

// The views.
const (
	nearest = iota // distance from the nearest remembered points
	fringe         // how far out in its own law each field lies
	gaps           // how wide a neighbourhood of each field holds a few values: finds what is rare between common ones
	joint          // Mahalanobis distance: fields that do not go together as they use to
	views
)

const (
	sets       = 32 // small samples: a clump of anomalies in few of the remembered points spoils few of them
	setPoints  = 8
	remembers  = sets * setPoints
	sightless  = 20           // points before the first that the views look at
	untotalled = 32           // points before the first total
	unguarded  = remembers    // points before the first that is guarded against
	guard      = 3            // standard deviations of the total above which a point is not learned
	leak       = 1.0 / 64     // of the points guarded against is learned all the same
	persistent = 1 - 1/math.E // share guarded against, beyond which they are the new normal: that of lasting points in a row
	calmMemory = 2000         // points that the trackers remember
	refactor   = 32           // points from one factoring to the next, once there are many
	ridge      = 0.01         // of the variances is added to them, lest the factor of equal fields fails
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

// Of four independent normal z, sqrt(Σ max(0, z)²) has the mean Σ C(4,k)/16 · E[chi_k] = 1.186, and the mean square 2.
const (
	meanTotal        = 1.186
	deviationOfTotal = 0.770
)

func newRows(fields int) rows {
	triangle := fields * (fields + 1) / 2
	return rows{
		sample: make([]float32, remembers*fields), sorted: make([]float32, remembers*fields),
		mean: make([]float64, fields), cov: make([]float64, triangle), factor: make([]float64, triangle), weight: make([]float32, fields),
		total: newTotal(), past: newExcursions(0),
		x: make([]float32, fields), z: make([]float64, fields),
	}
}

// glance is what rows make of a point.
type glance struct {
	views   [views]float64 // their numbers
	z       [views]float64 // the same in deviations from their means
	total   float64
	decades float64 // of the total by a logistic law
	calm    float64 // those that can be claimed: by a humbler law, or where the stream's own past knows them to be rare
}

// look judges the point in x, with its values in r.x.
func (r *rows) look(x []float64) (g glance) {
	if r.n < sightless {
		return g
	}
	g.views[nearest] = r.nearest()
	g.views[fringe], g.views[gaps] = r.margins()
	g.views[joint] = math.Log(r.distance(x) + 0.1)
	if r.n < untotalled {
		return g
	}
	for i := range g.z {
		g.z[i] = r.views[i].z(g.views[i])
		g.total += max(0, g.z[i]) * max(0, g.z[i])
	}
	g.total = math.Sqrt(g.total)
	z := (g.total-meanTotal)/deviationOfTotal + 1
	if z < 30 {
		g.decades = math.Log1p(math.Exp(z)) * math.Log10E
	} else {
		g.decades = z * math.Log10E
	}
	g.calm = humble(g.decades)
	if past := min(g.decades, r.past.rank(g.decades, float64(min(r.seen, horizon)))); past >= leastClaim {
		g.calm = max(g.calm, past)
	}
	return g
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

// at is the place in the sample of the first field of slot i: the points of a set lie side by side, value by value, so that a loop over
// them runs along memory. Slot i belongs to set i mod sets.
func (r *rows) at(slot int) int { return slot%sets*len(r.x)*setPoints + slot/sets }

// size is the number of points remembered.
func (r *rows) size() int { return int(min(r.n, remembers)) }

// nearest is the mean over the sets of the logarithm of the distance to the nearest of their points; a distance is the sum over the
// fields in standard deviations.
func (r *rows) nearest() float64 {
	n := r.size()
	var sum logSum
	for set := range min(n, sets) {
		distances := r.distances(set)
		best := distances[0]
		for _, v := range distances[1 : (n-set+sets-1)/sets] {
			if v < best {
				best = v
			}
		}
		sum.add(min(float64(best), math.MaxFloat32) + 0.001)
	}
	return sum.total() / float64(min(n, sets))
}

// distances returns the distance to each point of a set.
func (r *rows) distances(set int) [setPoints]float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32 // in registers, as an array would not be
	values := r.sample[set*len(r.x)*setPoints:]
	weights := r.weight[:len(r.x)]
	for j, x := range r.x {
		q := (*[setPoints]float32)(values[j*setPoints:])
		w := weights[j]
		s0 += abs32((x - q[0]) * w)
		s1 += abs32((x - q[1]) * w)
		s2 += abs32((x - q[2]) * w)
		s3 += abs32((x - q[3]) * w)
		s4 += abs32((x - q[4]) * w)
		s5 += abs32((x - q[5]) * w)
		s6 += abs32((x - q[6]) * w)
		s7 += abs32((x - q[7]) * w)
	}
	return [setPoints]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// logSum adds logarithms up by multiplying, as long as the product is a number: a logarithm costs ten products.
type logSum struct{ sum, product float64 }

// add takes in x, of which neither 1e-100 nor 1e100 times as much is out of range.
func (s *logSum) add(x float64) {
	if s.product == 0 {
		s.product = 1
	}
	if s.product *= x; s.product < 1e-200 || s.product > 1e200 {
		s.sum += math.Log(s.product)
		s.product = 1
	}
}

func (s *logSum) total() float64 {
	if s.product == 0 {
		return s.sum
	}
	return s.sum + math.Log(s.product)
}

// margins adds up what each field says by itself.
func (r *rows) margins() (fringe, gaps float64) {
	var outer, width logSum
	for j := range r.x {
		share, wide := r.margin(j)
		outer.add(share)
		width.add(wide)
	}
	return -outer.total(), width.total()
}

// margin returns the share of a field's remembered values that lie on the thinner side of x, in (0, 1/2], and the width of the
// neighbourhood that holds a twentieth of them, relative to the width of all but the outer twentieths, leastWidth added. Where these are
// one value, a billionth of the standard deviation is taken for their width.
func (r *rows) margin(j int) (share, width float64) {
	n := r.size()
	values := r.column(j)[:n]
	x := r.x[j]
	below := lowerBound(values, x)
	upTo := below
	if below < n && values[below] == x {
		upTo = lowerBound(values, math.Nextafter32(x, math.MaxFloat32))
	}
	share = (float64(min(upTo, n-below)) + 0.5) / float64(n)
	reach := max(5, n/20) / 2
	low, high := values[max(0, below-reach)], values[min(n-1, below+reach)]
	spread := float64(values[(n-1)*95/100]) - float64(values[(n-1)*5/100]) + 1e-9/float64(r.weight[j])
	width = max(math.Abs(float64(x)-float64(low)), math.Abs(float64(high)-float64(x)))/spread + leastWidth
	return share, width
}

const leastWidth = 0.02

func (r *rows) column(j int) []float32 { return r.sorted[j*remembers : (j+1)*remembers] }

// lowerBound is the number of values less than x.
func lowerBound(ascending []float32, x float32) int {
	base := 0
	for n := len(ascending); n > 0; {
		half := (n + 1) / 2
		if ascending[base+half-1] < x {
			base += half
		}
		n -= half
	}
	return base
}

// distance is the squared Mahalanobis distance of x from the mean. It leaves the solution of factor·z = x - mean in r.z.
func (r *rows) distance(x []float64) (sum float64) {
	row := r.factor
	for i := range r.z {
		s := x[i] - r.mean[i]
		for k, z := range r.z[:i] {
			s -= row[k] * z
		}
		s = clip(s/row[i], huge)
		r.z[i] = s
		sum += s * s
		row = row[i+1:]
	}
	if !(sum <= math.MaxFloat64) { // infinite or not a number, after values of very different sizes
		return math.MaxFloat64
	}
	return sum
}

// learn takes in x, of which g is what look said, unless it is guarded against.
func (r *rows) learn(x []float64, g *glance, c *PointsConfig, random *rand.PCG) {
	r.seen++
	memory := float64(c.Memory)
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
		if odd && !lasts && uniform(random) > leak {
			return
		}
		r.total.learn(g.total)
	}
	if r.n >= sightless {
		for i := range r.views {
			r.views[i].learn(g.views[i])
		}
	}
	r.n++
	rate := max(1/memory, 1/float64(r.n))
	r.learnMoments(x, rate)
	r.remember(rate, random)
}

func (r *rows) learnMoments(x []float64, rate float64) {
	for i := range r.z {
		r.z[i] = x[i] - r.mean[i]
		r.mean[i] += rate * r.z[i]
	}
	row := r.cov
	for i, zi := range r.z {
		for k, zk := range r.z[:i+1] {
			row[k] = (1 - rate) * (row[k] + rate*zi*zk)
		}
		row = row[i+1:]
	}
	if r.n < 100 || r.n%refactor == 0 {
		r.refactor()
	}
}

// leastFactor is less than any number on the factor's diagonal.
const leastFactor = 1e-10

// refactor computes factor, by Cholesky and Banachiewicz, of the covariances with a ridge, and weight.
func (r *rows) refactor() {
	row := 0
	for i := range r.z {
		other := 0
		for k := range i + 1 {
			s := r.cov[row+k]
			if i == k {
				s += ridge*s + leastVariance(r.mean[i])
			}
			for q := range k {
				s -= r.factor[row+q] * r.factor[other+q]
			}
			if i == k {
				r.factor[row+i] = min(math.Sqrt(max(s, leastVariance(r.mean[i]))), wide)
			} else {
				r.factor[row+k] = clip(s/r.factor[other+k], wide)
			}
			other += k + 1
		}
		row += i + 1
	}
	r.weigh()
}

// weigh computes weight: the squares of a row of the factor add up to the field's variance with its ridge.
func (r *rows) weigh() {
	row := r.factor
	for i := range r.weight {
		variance := 0.0
		for _, v := range row[:i+1] {
			variance += v * v
		}
		r.weight[i] = float32(1 / math.Sqrt(variance))
		row = row[i+1:]
	}
}

// remember gives r.x a place in the sample: the next one that is free, or with the probability that keeps a point for as long as memory
// says that of another, drawn at random.
func (r *rows) remember(rate float64, random *rand.PCG) {
	slot := int(r.n - 1) //nolint:gosec // checked below
	full := r.n > remembers
	if full {
		if uniform(random) >= remembers*rate {
			return
		}
		slot = int(random.Uint64() % remembers)
	}
	at := r.at(slot)
	for j, v := range r.x {
		values := r.column(j)
		if full {
			replace(values, r.sample[at], v)
		} else {
			place := lowerBound(values[:slot], v)
			copy(values[place+1:slot+1], values[place:slot])
			values[place] = v
		}
		r.sample[at] = v
		at += setPoints
	}
}

// replace takes old out of ascending values and puts x in.
func replace(values []float32, old, x float32) {
	from, to := lowerBound(values, old), lowerBound(values, x)
	if to > from {
		copy(values[from:to-1], values[from+1:to])
		values[to-1] = x
	} else {
		copy(values[to+1:from+1], values[to:from])
		values[to] = x
	}
}

// uniform draws from [0, 1).
func uniform(random *rand.PCG) float64 { return float64(random.Uint64()>>11) / (1 << 53) }

func (r *rows) bytes() int {
	return 4*(len(r.sample)+len(r.sorted)+len(r.weight)+len(r.x)) + 8*(len(r.mean)+len(r.cov)+len(r.factor)+len(r.z))
}

func (t *tracker) append(b []byte) []byte {
	return appendFloat64(appendFloat64(appendFloat64(b, t.n), t.mean), t.variance)
}

func (t *tracker) read(r *reader) {
	*t = tracker{r.float64(0, calmMemory), r.float64(-wide, wide), r.float64(0, wide*wide)}
}

func (r *rows) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, r.seen)
	b = binary.LittleEndian.AppendUint64(b, r.n)
	b = appendFloat64(b, r.guarded)
	for i := range r.views {
		b = r.views[i].append(b)
	}
	b = r.past.append(r.total.append(b))
	for _, xs := range [...][]float64{r.mean, r.cov, r.factor} {
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
	return b
}

func (r *rows) read(s *reader) {
	r.seen, r.n, r.guarded = s.uint64(), s.uint64(), s.float64(0, 1)
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
	for slot := range r.size() {
		at := r.at(slot)
		for j := range r.x {
			x := s.float32(-wide, wide)
			r.sample[at+j*setPoints], r.column(j)[slot] = x, x
		}
	}
	for j := range r.x {
		slices.Sort(r.column(j)[:r.size()])
	}
	r.weigh()
}
