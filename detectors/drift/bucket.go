package drift

import "math"

// bucket sums up n consecutive points.
type bucket struct {
	n      float64
	mean   float64
	square float64 // sum of squared deviations from the mean
	steps  float64 // sum of squared steps from the point before, the first of a stream apart
}

// deviation is that of independent points whose mean would be as uncertain, see the function; spread that of the points.
func (b bucket) deviation() float64 { return deviation(b.n, b.square, b.steps) }
func (b bucket) spread() float64    { return math.Sqrt(b.square / b.n) }

// merge returns the sums over the points of both (Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample Variance", The
// American Statistician 37(3), eq. 2.1).
func (b bucket) merge(c bucket) bucket {
	n, d := b.n+c.n, c.mean-b.mean
	return bucket{
		n:      n,
		mean:   b.mean + d*(c.n/n),
		square: b.square + c.square + d*d*(b.n*c.n/n),
		steps:  b.steps + c.steps,
	}
}

// running sums up a stream as it comes.
type running struct {
	bucket
	last float64 // the newest point
}

// add takes x in, and returns it as a bucket of its own.
func (r *running) add(x float64) bucket {
	b := bucket{n: 1, mean: x}
	if r.n > 0 {
		b.steps = (x - r.last) * (x - r.last)
	}
	r.bucket, r.last = r.merge(b), x
	return b
}

const runningSize = bucketSize + 8

func (r running) append(to []byte) []byte { return appendFloats(r.bucket.append(to), r.last) }

// readRunning reads from the front of b; ok is false where that is out of range.
func readRunning(b []byte, to *running) (ok bool) {
	return readBucket(b, &to.bucket) && floats(b[bucketSize:], &to.last) && value(to.last)
}

// standard returns x less the mean in standard deviations, within ±8.
func (r *running) standard(x float64) float64 {
	if x == r.mean {
		return 0 // also where nothing varies
	}
	return min(max((x-r.mean)/r.deviation(), -maxDeviation), maxDeviation)
}

// split finds the place between buckets, at the one with which the newer part begins, that ranks highest of all with least points on both sides;
// at is 0 where no rank is above zero. There are at most maxParts buckets.
func split(buckets []bucket, least float64, rank func(older, newer bucket) float64) (older, newer bucket, at int) {
	var from [maxParts + 1]bucket // from[i] sums up all buckets from i on
	for i := len(buckets) - 1; i >= 0; i-- {
		from[i] = buckets[i].merge(from[i+1])
	}
	most, before := 0.0, bucket{}
	for i, b := range buckets {
		if before.n >= least && from[i].n >= least {
			if r := rank(before, from[i]); r > most {
				most, at = r, i
				older, newer = before, from[i]
			}
		}
		before = before.merge(b)
	}
	return older, newer, at
}

// likelihood is that of two means against one, in logarithms and units of twice the variance (Hinkley 1970, "Inference About the Change-Point
// in a Sequence of Random Variables", Biometrika 57).
func likelihood(older, newer bucket) float64 {
	gap := newer.mean - older.mean
	return gap * (gap * (older.n * (newer.n / (older.n + newer.n))))
}

const maxParts = max(maxBuckets, maxBlocks)

// bound returns the difference of means that is still chance, Bifet & Gavaldà (2007), section 3.1: with m = 1/(1/n0 + 1/n1) and δ' = δ/ln n,
//
//	ε = √(2/m · σ² · ln(2/δ')) + 2/(3m) · ln(2/δ')
//
// where the second term is for values in [0, 1]; here σ takes the place of that range, and is the deviation within the two parts, so that
// a large change does not hide itself. Of σ²/m, the squared error of the difference, see difference.
func bound(older, newer bucket, certainty float64) float64 {
	m := 1/older.n + 1/newer.n
	return difference(older, newer)*math.Sqrt(2*certainty) + 2./3*certainty*m*within(older, newer)
}

// within is the deviation within two parts.
func within(a, b bucket) float64 { return deviation(a.n+b.n, a.square+b.square, a.steps+b.steps) }

// difference is the standard error of the difference of the means of two parts: by the deviation within both, or if that is more by that of
// each (Welch 1938), so that an outlier, which makes the mean of few points large, makes the error as large.
func difference(a, b bucket) float64 {
	da, db := a.deviation(), b.deviation()
	return max(within(a, b)*math.Sqrt(1/a.n+1/b.n), math.Sqrt(da*da/a.n+db*db/b.n))
}

const bucketSize = 4 * 8 // bytes of its state

func (b bucket) append(to []byte) []byte { return appendFloats(to, b.n, b.mean, b.square, b.steps) }

// readBucket reads from the front of b; ok is false where that is out of range.
func readBucket(b []byte, to *bucket) (ok bool) {
	return floats(b, &to.n, &to.mean, &to.square, &to.steps) && count(to.n) && value(to.mean) && squares(to.square) && squares(to.steps)
}
