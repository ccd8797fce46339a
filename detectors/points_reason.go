package detectors

import (
	"fmt"
	"math"
	"slices"

	"github.com/gonomaly/gonomaly/internal/figure"
)

// Shares splits the score among the fields. Of a change of level the parts are those of the harmonic mean, which is a sum over the fields.
// Of a row each view is split by itself, and counts by its square in the total, where it is above its mean: the distance to the nearest point of a set is that of one
// field; tails and gaps are sums over the fields; of the Mahalanobis distance, e'C⁻¹e, a field has the part e_j (C⁻¹e)_j.
func (d *Points) Shares(p Point, shares []float64) {
	s := d.look(p)
	clear(shares)
	if s.shifted() && s.level >= s.row.calm {
		for j, decades := range d.shifts.decades {
			shares[j] = math.Pow(10, decades-s.level)
		}
		normalise(shares)
		return
	}
	if d.rows.n >= untotalled {
		parts := make([]float64, len(shares))
		odd := slices.Max(s.row.z[:]) > 0
		for view, z := range s.row.z {
			d.rows.split(view, d.point, parts)
			normalise(parts)
			weight := votes[view] // where nothing is odd
			if odd {
				weight *= max(z, 0) * max(z, 0)
			}
			for j, part := range parts {
				shares[j] += weight * part
			}
		}
	}
	normalise(shares)
}

// split puts the fields' parts in a view's number into parts; each is ≥ 0.
func (r *rows) split(view int, x []float64, parts []float64) {
	clear(parts)
	switch view {
	case nearest:
		r.splitNearest(parts)
	case relation:
		r.splitJoint(x, parts)
	default:
		for j := range parts {
			share, width := r.margin(j)
			if parts[j] = max(0, -math.Log(2*share)); view == gaps {
				parts[j] = math.Log(width / leastWidth)
			}
		}
	}
}

func (r *rows) splitNearest(parts []float64) {
	for set := range min(r.size(), sets) {
		least, place := r.least(set, r.x, 1)
		at := r.at(set + place*sets)
		for j, x := range r.x {
			if distance := (x - r.sample[at+j*setPoints]) * r.weight[j]; absBits(distance)&^places == math.Float32bits(least) {
				far := min(float64(least), math.MaxFloat32)
				parts[j] += far / (far + 0.001)
				break
			}
		}
	}
}

// splitJoint solves factor'·y = z/squares, so that y = C⁻¹e with the C that joint has in mind.
func (r *rows) splitJoint(x, parts []float64) {
	r.whiten(x)
	for i := len(parts) - 1; i >= 0; i-- {
		y := r.z[i] / r.squares[i]
		for k := i + 1; k < len(parts); k++ {
			y -= r.factor[k*(k+1)/2+i] * parts[k]
		}
		parts[i] = y / r.factor[i*(i+1)/2+i]
	}
	for j := range parts {
		parts[j] = max(0, parts[j]*(x[j]-r.mean[j]))
	}
}

// beside is the part of the range of the remembered values that the band is wider on either side.
const beside = 0.1

// Expect returns the median of the field's remembered values, and a band of their range and a tenth of it on either side.
func (d *Points) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	n := d.rows.size()
	if n < untotalled {
		return 0, 0, 0, false
	}
	values := d.rows.column(field, n)
	low, high = float64(values.at(0)), float64(values.at(n-1))
	wider := beside * (high - low)
	return float64(values.at(n / 2)), low - wider, high + wider, true
}

var viewReasons = [views]string{
	nearest:  "it is far from all points that are remembered",
	fringe:   "its values lie far out in their ranges",
	gaps:     "its values lie between those that are common",
	relation: "its values do not go together",
}

// Reason names the view, or the mean, that says most.
func (d *Points) Reason(p Point, field int) string {
	s := d.look(p)
	if s.shifted() && s.level >= s.row.calm {
		decades, scale := d.shifts.surprise(field, d.point[field])
		chance := figure.Short(math.Pow(10, min(decades, 9)))
		if scale == stuck {
			return fmt.Sprintf("its value has not changed for %d points, which happens by chance once in %s", d.shifts.fields[field].streak.length+1, chance)
		}
		return fmt.Sprintf("the mean of its last %.0f points has left that of the last %d, which happens by chance once in %s points",
			shiftScales[scale], slowPoints, chance)
	}
	most := 0
	for view, z := range s.row.z {
		if z > s.row.z[most] {
			most = view
		}
	}
	if !(s.row.z[most] > 0) {
		return "nothing about it is odd"
	}
	return fmt.Sprintf("%s, by %s standard deviations more than usual", viewReasons[most], figure.Short(s.row.z[most]))
}

// Held is about the point as a row by the law of its views, which its past may know better; or about the field that by Student's law has left its
// level most, whose past, or whose company, may do. What is not among the oddest of its past is no near miss, and nothing holds it.
func (d *Points) Held() (score float64, by Hold) {
	s := &d.seen
	if !d.memo.holds || d.rows.n < untotalled {
		return 0, ""
	}
	if s.odder > s.score && d.past.among(s.odder) {
		score, by = s.odder, Habit
	}
	if past := &d.rows.past; s.row.decades > score && s.row.decades > s.row.calm && past.among(s.row.decades) {
		score, by = min(s.row.decades, MaxScore), Unproven
		if past.n > 0 && float64(past.top[0]) >= s.row.decades {
			by = Habit
		}
	}
	company := math.Log10(float64(len(d.shifts.raw))) // decades that one field of so many loses in their mean at most
	for j, raw := range d.shifts.raw {
		if raw <= max(score, s.level) || !d.shifts.fields[j].past.among(raw) {
			continue
		}
		score, by = min(raw, MaxScore), Habit
		if raw-d.shifts.decades[j] < company && d.shifts.level-s.level < company {
			by = Lone
		}
	}
	return score, by
}
