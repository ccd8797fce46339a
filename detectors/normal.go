package detectors

import "math"

// normal is the Law of the largest of so many deviations in standard deviations. It takes them for independent and normal: one is at least
// z with probability 1 - (1 - p)^n, where p is the two-sided normal tail beyond z (Šidák 1967, "Rectangular Confidence Regions for the
// Means of Multivariate Normal Distributions").
type normal float64

// Decades implements Law.
func (n normal) Decades(score float64) float64 {
	z := min(max(score, 0), MaxScore)
	if z >= 25 {
		return -sidak(logNormalTail(z), float64(n)) / math.Ln10
	}
	// The tail itself is a float64 yet: each point comes here, and its logarithm is not needed to raise 1 less the tail to the n.
	return max(-logComplement(float64(n)*logNormalBulk(z))/math.Ln10, 0)
}

// logNormalBulk returns the natural logarithm of the probability that a standard normal lies within z of zero, 0 ≤ z < 25.
func logNormalBulk(z float64) float64 {
	if z < 1 {
		return math.Log(math.Erf(z / math.Sqrt2))
	}
	return math.Log1p(-math.Erfc(z / math.Sqrt2)) // near 1, where the logarithm has the digits of the tail
}

// ScoreAt is the inverse of Decades. A backtest asks it of each point.
func (n normal) ScoreAt(decades float64) float64 {
	logP := -max(decades, 0) * math.Ln10
	if bulk := math.Exp(logComplement(logP) / float64(n)); bulk < 1-rare {
		return math.Sqrt2 * math.Erfinv(bulk)
	}
	return min(normalAt(sidak(logP, 1/float64(n))), MaxScore)
}

// rare is so small a tail that 1 less it has just the digits for a score to 1e-10.
const rare = 1e-7

// logNormalTail returns the natural logarithm of the probability that a standard normal lies farther than z ≥ 0 from zero. It is
// finite up to MaxScore, where the probability itself has long been 0.
func logNormalTail(z float64) float64 {
	switch {
	case z < 1:
		return math.Log1p(-math.Erf(z / math.Sqrt2)) // near 0, where Erfc is near 1 and its logarithm has no digits
	case z < 25:
		return math.Log(math.Erfc(z / math.Sqrt2))
	}
	return -z*z/2 - math.Log(z) + math.Log(2/math.Pi)/2 + math.Log(millsSeries(z))
}

// millsSeries is z times the Mills ratio: at z ≥ 25 these terms of the asymptotic series are exact to 1e-11 (Abramowitz and Stegun
// 26.2.12).
func millsSeries(z float64) float64 {
	v := 1 / (z * z)
	return 1 - v*(1-3*v*(1-5*v*(1-7*v)))
}

// normalAt is the inverse of logNormalTail: the z whose two-sided tail has the logarithm logP ≤ 0.
func normalAt(logP float64) float64 {
	// exp(-z²/2) bounds the tail from above; far out it is sqrt(2/π)/z times that.
	z := math.Sqrt(-2 * logP)
	if z > 2 {
		z = math.Sqrt(z*z - math.Log(math.Pi/2*z*z))
	}
	// The logarithm is concave, so that Newton's steps only ever fall, but perhaps for the first. The error of one is the square of that before.
	for range 50 {
		step := (logNormalTail(z) - logP) / hazard(z)
		z = max(z+step, 0)
		if math.Abs(step) <= 1e-9*z {
			break
		}
	}
	return z
}

// hazard is the slope of -logNormalTail: the density of |Z| at z over its tail.
func hazard(z float64) float64 {
	if z < 25 {
		return math.Sqrt(2/math.Pi) * math.Exp(-z*z/2) / math.Erfc(z/math.Sqrt2)
	}
	return z / millsSeries(z)
}

// sidak returns the logarithm of 1 - (1 - p)^n, the probability that one of n independent events of probability p happens; it takes
// the logarithm of p. With 1/n for n it is its own inverse.
func sidak(logP, n float64) float64 {
	if logP < -40 {
		return logP + math.Log(n) // the sum of the probabilities: 1 - p is 1
	}
	return logComplement(n * logComplement(logP))
}

// logComplement returns the logarithm of 1 - p from that of p, by the formula that keeps the digits (Mächler 2012, "Accurately computing
// log(1 - exp(-|a|))").
func logComplement(logP float64) float64 {
	if logP > -math.Ln2 {
		return math.Log(-math.Expm1(logP))
	}
	return math.Log1p(-math.Exp(logP))
}

// normalise makes shares add up to 1; where none has any they are equal. One that is infinite or not a number, after values of very different
// sizes, is as large as can be.
func normalise(shares []float64) {
	most, sum := math.MaxFloat64/float64(len(shares)), 0.0
	for i, s := range shares {
		if !(s <= most) {
			shares[i] = most
		}
		sum += shares[i]
	}
	for i := range shares {
		if sum > 0 {
			shares[i] /= sum
		} else {
			shares[i] = 1 / float64(len(shares))
		}
	}
}
