package detectors

import (
	"bytes"
	"math"
)

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
	values := r.column(j, n)
	x := r.x[j]
	below, upTo := values.bounds(x)
	share = (float64(min(upTo, n-below)) + 0.5) / float64(n)
	reach := max(5, n/20) / 2
	low, high := values.at(max(0, below-reach)), values.at(min(n-1, below+reach))
	spread := max(float64(values.at((n-1)*95/100))-float64(values.at((n-1)*5/100)), r.spread[j])
	width = max(math.Abs(float64(x)-float64(low)), math.Abs(float64(high)-float64(x)))/spread + leastWidth
	return share, width
}

const leastWidth = 0.02

// column is a field's remembered values in ascending order.
type column struct {
	values []float32 // of the sample, from the field's first on
	width  int       // from a set to the next
	slots  []uint8
}

// column has the values of field j in the first n slots.
func (r *rows) column(j, n int) column {
	return column{r.sample[j*setPoints:], len(r.x) * setPoints, r.order[j*remembers:][:n]}
}

func (c column) at(i int) float32 {
	slot := int(c.slots[i])
	return c.values[slot%sets*c.width+slot/sets]
}

// bounds returns the number of values less than x, and of those that are not greater.
func (c column) bounds(x float32) (below, upTo int) {
	below = c.below(x)
	if below == len(c.slots) || c.at(below) != x {
		return below, below
	}
	return below, c.below(math.Nextafter32(x, math.MaxFloat32))
}

// below is the number of values less than x.
func (c column) below(x float32) int {
	base := 0
	for n := len(c.slots); n > 0; {
		half := (n + 1) / 2
		if c.at(base+half-1) < x {
			base += half
		}
		n -= half
	}
	return base
}

// put makes v the value of field j in a slot, which is the next one that is free, or has another.
func (r *rows) put(j, slot int, v float32, free bool) {
	n := remembers
	if free {
		n = slot
	}
	c := r.column(j, n)
	from, to := n, c.below(v)
	if !free {
		from = bytes.IndexByte(c.slots, uint8(slot)) //nolint:gosec // of 256
	}
	order := r.order[j*remembers:]
	if to > from {
		to--
		copy(order[from:to], order[from+1:to+1])
	} else {
		copy(order[to+1:from+1], order[to:from])
	}
	order[to] = uint8(slot) //nolint:gosec // of 256
	r.sample[r.at(slot)+j*setPoints] = v
}
