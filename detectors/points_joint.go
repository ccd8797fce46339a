package detectors

import "math"

// joint is the logarithm of the squared distance of x from the mean, in directions in which the fields are not correlated: those of the
// Cholesky factor, where direction i is what is left of field i once the fields before it have said what they know of it. It leaves the distances
// along them in r.z, and each counts in deviations that it was found to have on points that were not yet learned: two fields
// that go together tightly leave little, much less than what the factor takes for it, and with as many fields as points it is much more.
func (r *rows) joint(x []float64) float64 {
	r.whiten(x)
	sum := 0.0
	for i, z := range r.z {
		sum += z * z / r.squares[i]
	}
	if !(sum <= math.MaxFloat64) { // infinite or not a number, after values of very different sizes
		sum = math.MaxFloat64
	}
	return math.Log(sum + 0.1)
}

// whiten solves factor·z = x - mean for r.z.
func (r *rows) whiten(x []float64) {
	row := r.factor
	for i := range r.z {
		s := x[i] - r.mean[i]
		for k, z := range r.z[:i] {
			s -= row[k] * z
		}
		r.z[i] = clip(s/row[i], huge)
		row = row[i+1:]
	}
}

const (
	leastSquare = 1e-6 // of a direction in which nothing moves
	mostSquares = 100  // of these a distance counts for at most when it is learned, lest one point mutes its direction
)

// learnSquares takes in r.z as joint has left it.
func (r *rows) learnSquares() {
	rate := max(1.0/calmMemory, 1/float64(r.n-sightless+2)) // as if one point had been seen before, at a distance of 1
	for i, z := range r.z {
		s := r.squares[i]
		r.squares[i] = clip(max(s+rate*(min(z*z, mostSquares*s)-s), leastSquare), huge)
	}
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
}

// leastFactor is less than any number on the factor's diagonal.
const leastFactor = 1e-10

// refactor computes factor, by Cholesky and Banachiewicz, of the covariances with a ridge.
func (r *rows) refactor(ridge float64) {
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
}
