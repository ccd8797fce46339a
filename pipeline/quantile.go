package pipeline

import "math"

// quantile estimates one quantile of the values of a window in constant space, by the P² algorithm: five markers, whose heights follow a
// parabola through their neighbours.
//
// Jain and Chlamtac (1985), "The P² Algorithm for Dynamic Calculation of Quantiles and Histograms Without Storing Observations",
// CACM 28(10), section "The P² Algorithm".
type quantile struct {
	p      float64    // in (0, 1)
	n      int        // values seen
	height [5]float64 // q_i of the paper
	at     [5]float64 // n_i: positions of the markers, from 1
}

// exactQuantile is the number of values that the markers start from, instead of from the paper's five: a window of less is exact, and high
// quantiles start near their place.
const exactQuantile = 32

// startQuantile places the markers among the first values, in order of size.
func startQuantile(p float64, sorted []float64) quantile {
	q := quantile{p: p, n: len(sorted)}
	for i := range q.at {
		at := math.Round(q.desired(i))
		at = min(max(at, float64(i+1)), float64(len(sorted)-4+i))
		if i > 0 {
			at = max(at, q.at[i-1]+1)
		}
		q.at[i], q.height[i] = at, sorted[int(at)-1]
	}
	return q
}

func (q *quantile) add(x float64) {
	q.n++
	k := 0 // the cell that x falls in
	switch {
	case x < q.height[0]:
		q.height[0] = x
	case x >= q.height[4]:
		q.height[4] = x
		k = 3
	default:
		for x >= q.height[k+1] {
			k++
		}
	}
	for i := k + 1; i < 5; i++ {
		q.at[i]++
	}
	for i := 1; i <= 3; i++ {
		d := q.desired(i) - q.at[i]
		if (d >= 1 && q.at[i+1]-q.at[i] > 1) || (d <= -1 && q.at[i-1]-q.at[i] < -1) {
			q.move(i, math.Copysign(1, d))
		}
	}
}

// desired is n'_i: where marker i ought to be among n values.
func (q *quantile) desired(i int) float64 {
	share := [5]float64{0, q.p / 2, q.p, (1 + q.p) / 2, 1}[i]
	return 1 + float64(q.n-1)*share
}

// move shifts marker i by d, ±1: by the piecewise-parabolic formula, or linearly where that would break the order of heights.
func (q *quantile) move(i int, d float64) {
	h, n := &q.height, &q.at
	up := (n[i] - n[i-1] + d) * (h[i+1] - h[i]) / (n[i+1] - n[i])
	down := (n[i+1] - n[i] - d) * (h[i] - h[i-1]) / (n[i] - n[i-1])
	moved := h[i] + d/(n[i+1]-n[i-1])*(up+down)
	if !(h[i-1] < moved && moved < h[i+1]) {
		j := i + int(d)
		moved = h[i] + d*(h[j]-h[i])/(n[j]-n[i])
	}
	h[i] = moved
	n[i] += d
}

// value is the estimate: on the line between the markers beside the place in question. The paper takes the height of the middle one, which
// stands there, but not while there are too few values for all five to stand where they ought to.
func (q *quantile) value() float64 {
	place, i := q.desired(2), 1
	for i < 4 && q.at[i] < place {
		i++
	}
	low, high := q.height[i-1], q.height[i]
	return low + (high-low)*(place-q.at[i-1])/(q.at[i]-q.at[i-1])
}
