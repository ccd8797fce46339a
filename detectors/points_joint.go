package detectors

import "math"

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
