package detectors

import "math"

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
// neighbourhood that holds a twentieth of them, relative to the width of all but the outer twentieths, leastWidth added. Of a field that hardly
// ever leaves one value these have no width: there, and wherever it is more, the standard deviation is taken for it.
func (r *rows) margin(j int) (share, width float64) {
	n := r.size()
	values := r.column(j)[:n]
	x := r.x[j]
	below, upTo := bounds(values, x)
	share = (float64(min(upTo, n-below)) + 0.5) / float64(n)
	reach := max(5, n/20) / 2
	low, high := values[max(0, below-reach)], values[min(n-1, below+reach)]
	spread := max(float64(values[(n-1)*95/100])-float64(values[(n-1)*5/100]), r.spread[j])
	width = max(math.Abs(float64(x)-float64(low)), math.Abs(float64(high)-float64(x)))/spread + leastWidth
	return share, width
}

const leastWidth = 0.02

func (r *rows) column(j int) []float32 { return r.sorted[j*remembers : (j+1)*remembers] }

// bounds returns the number of values less than x, and of those that are not greater.
func bounds(ascending []float32, x float32) (below, upTo int) {
	below = lowerBound(ascending, x)
	if below == len(ascending) || ascending[below] != x {
		return below, below
	}
	return below, lowerBound(ascending, math.Nextafter32(x, math.MaxFloat32))
}

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
