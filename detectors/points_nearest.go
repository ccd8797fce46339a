package detectors

import (
	"math"
	"math/rand/v2"
)

// at is the place in the sample of the first field of slot i: the points of a set lie side by side, value by value, so that a loop over
// them runs along memory. Slot i belongs to set i mod sets.
func (r *rows) at(slot int) int { return slot%sets*len(r.x)*setPoints + slot/sets }

// size is the number of points remembered.
func (r *rows) size() int { return int(min(r.n, remembers)) }

// nearest is the mean over the sets of the logarithm of the distance to the nearest of their points; a distance is that of the field that differs
// most, as weighed. A sum over the fields is mostly that of those in which nothing is odd. To it comes, crowded times, the logarithm of the distance as a
// multiple of that of this nearest point from the nearest of the next set: where points lie thin it takes more to be odd.
//
// The multiple: Bandaragoda, Ting, Albrecht, Liu, Zhu, Wells (2018), "Isolation-Based Anomaly Detection Using Nearest-Neighbor Ensembles", Computational
// Intelligence 34(4), section 4, whose neighbours are all of one set.
func (r *rows) nearest() float64 {
	n := min(r.size(), sets)
	var far, apart logSum
	for set := range n {
		best, place := r.least(set, r.x, 1)
		between := r.between(set + place*sets)
		if between == 0 { // a twin tells nothing of how dense they lie
			between = best
		}
		far.add(floored(best))
		apart.add(floored(between))
	}
	return (far.total() + crowded*(far.total()-apart.total())) / float64(n)
}

// between is the distance of the point in a slot from the nearest of the next set. It is looked for once, until one of the points or the weights change.
func (r *rows) between(slot int) float32 {
	known := &r.apart[slot]
	if *known == 0 {
		*known, _ = r.least((slot+1)%min(r.size(), sets), r.sample[r.at(slot):], setPoints)
	}
	return *known
}

// moved forgets what hangs on the point in a slot.
func (r *rows) moved(slot int) {
	r.apart[slot] = 0
	for before := (slot + sets - 1) % sets; before < remembers; before += sets {
		r.apart[before] = 0
	}
}

// crowded is what the multiple counts for beside the distance: from .5 to 2 the order of labelled rows is about as good.
const crowded = 1.5

// floored is a distance that has a logarithm.
func floored(distance float32) float64 { return min(float64(distance), math.MaxFloat32) + 0.001 }

// least returns the distance of a point, whose fields lie step values apart, from the nearest point of a set, and the place of that. The bits of floats
// that are not negative order as they do; the last of them give room to the place, so that no branch has to look for it.
func (r *rows) least(set int, point []float32, step int) (distance float32, place int) {
	var s0, s1, s2, s3, s4, s5, s6, s7 uint32 // in registers, as an array would not be
	values := r.sample[set*len(r.x)*setPoints:]
	for j, w := range r.weight {
		q := (*[setPoints]float32)(values[j*setPoints:])
		x := point[j*step]
		s0 = max(s0, absBits((x-q[0])*w))
		s1 = max(s1, absBits((x-q[1])*w))
		s2 = max(s2, absBits((x-q[2])*w))
		s3 = max(s3, absBits((x-q[3])*w))
		s4 = max(s4, absBits((x-q[4])*w))
		s5 = max(s5, absBits((x-q[5])*w))
		s6 = max(s6, absBits((x-q[6])*w))
		s7 = max(s7, absBits((x-q[7])*w))
	}
	d := [...]uint32{s0 &^ places, s1&^places | 1, s2&^places | 2, s3&^places | 3, s4&^places | 4, s5&^places | 5, s6&^places | 6, s7&^places | 7}
	for i := (r.size() - set + sets - 1) / sets; i < setPoints; i++ {
		d[i] = math.MaxUint32 // nothing is remembered there
	}
	best := min(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7])
	return math.Float32frombits(best &^ places), int(best & places)
}

const places = setPoints - 1 // bits

func absBits(x float32) uint32 { return math.Float32bits(x) &^ (1 << 31) }

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

// weigh computes what a difference counts by: one over the standard deviation of a field, times the root of the share of its remembered values that are
// not the median, the next point taken for one more of those. So a field that nearly always has one value is measured by what it does when it does not:
// in its standard deviations any other value would be far from all others, and of many such fields, as of the pixels at the edge of a picture, one is
// always elsewhere. A field whose values hardly recur is measured in standard deviations.
func (r *rows) weigh() {
	clear(r.apart[:])
	n := max(r.size(), 1) // of a state without points nothing is asked
	row := r.factor
	for j := range r.weight {
		variance := 0.0 // the squares of a row of the factor add up to it, with its ridge
		for _, v := range row[:j+1] {
			variance += v * v
		}
		r.spread[j] = math.Sqrt(variance)
		values := r.column(j, n)
		below, upTo := values.bounds(values.at(n / 2))
		moves := float64(n-(upTo-below)+1) / float64(n+1)
		r.weight[j] = float32(math.Sqrt(moves) / r.spread[j])
		row = row[j+1:]
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
	for j, v := range r.x {
		r.put(j, slot, v, !full)
	}
	r.moved(slot)
}

// uniform draws from [0, 1).
func uniform(random *rand.PCG) float64 { return float64(random.Uint64()>>11) / (1 << 53) }
