package detectors

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Four sets of one point each, at 0, 2, 4 and 6 in units of which one is the standard deviation: from 3 the distances are 3, 1, 1 and 3,
// and the mean of their logarithms is ln 3 / 2; each of them lies 2 from that of the next set, and the last 6 from the first.
func TestPointsNearest(t *testing.T) {
	r := newRows(1)
	for slot, x := range []float32{0, 2, 4, 6} {
		r.sample[r.at(slot)] = x
	}
	r.n, r.weight[0], r.x[0] = 4, 1, 3
	if got, want := r.nearest(), 2.5*math.Log(3)/2-1.5*(3*math.Log(2)+math.Log(6))/4; !near(got, want, 2e-3) {
		t.Errorf("nearest is %v, want %v", got, want)
	}
	// A fifth set with two points, at 13 and 3.5, is as near as the nearer of them.
	r.n = sets + 5
	for slot := range sets + 5 {
		r.sample[r.at(slot)] = 3 + float32(math.E)
	}
	r.sample[r.at(4)], r.sample[r.at(sets+4)] = 13, 3+float32(math.E)
	clear(r.apart[:])
	if got := r.nearest(); !near(got, 1, 1e-3) {
		t.Errorf("nearest is %v, want 1: all at a distance of e", got)
	}
}

// The distance of each remembered point from the next set is kept, and is what would be found if it were not.
func TestPointsApart(t *testing.T) {
	d := newPoints(t, 3)
	for i, p := range gauss(2000, 3, 0, rand.New(rand.NewPCG(7, 0))) {
		d.Score(p)
		d.Learn(p)
		kept := d.rows.apart
		for slot, distance := range kept[:d.rows.size()] {
			d.rows.apart[slot] = 0
			if again := d.rows.between(slot); distance != 0 && distance != again {
				t.Fatalf("after %d points slot %d is %v from the next set, want %v", i+1, slot, distance, again)
			}
		}
		d.rows.apart = kept
	}
}

// Of two points at (1, -3) and (2, 2) in deviations, in one set, the second is the nearer: 2 is less than 3. From (0, 0.5) its second field differs by
// 1.5 of its deviations, its first by 2, and that is to blame; in units of which the second field's deviation is a tenth they are 15 and 35.
func TestPointsNearestByTheFarthestField(t *testing.T) {
	r := newRows(2)
	r.n = sets + 1
	for slot := range sets + 1 {
		r.sample[r.at(slot)], r.sample[r.at(slot)+setPoints] = 2, 2
	}
	r.sample[r.at(0)], r.sample[r.at(0)+setPoints] = 1, -3
	r.x[1] = 0.5
	for _, c := range []struct {
		weight, want float64
		blamed       int
	}{{1, 2, 0}, {10, 15, 1}} {
		r.weight[0], r.weight[1] = 1, float32(c.weight)
		clear(r.apart[:])
		if got := math.Exp(r.nearest()); !near(got, c.want, 2e-3) {
			t.Errorf("with a weight of %v the nearest lies at %v, want %v", c.weight, got, c.want)
		}
		parts := make([]float64, 2)
		r.splitNearest(parts)
		if !near(parts[c.blamed], sets, 0.1) || parts[1-c.blamed] != 0 {
			t.Errorf("with a weight of %v the parts are %v, want all in field %d", c.weight, parts, c.blamed)
		}
	}
}

// Of 100 values of a field one is not the median's: with the next point that is two of 101, and its difference counts by the root of that in standard
// deviations, here of 1/2. Of the other no two are alike, and 100 of 101 count, in deviations of 4.
func TestPointsWeight(t *testing.T) {
	r := newRows(2)
	r.n, r.factor = 100, []float64{0.5, 0, 4}
	for i := range 100 {
		r.put(0, i, float32(i/99), true)
		r.put(1, i, float32(i), true)
	}
	r.weigh()
	for j, want := range []float64{2 * math.Sqrt(2./101), math.Sqrt(100./101) / 4} {
		if !near(float64(r.weight[j]), want, 1e-6) {
			t.Errorf("field %d counts by %v, want %v", j, r.weight[j], want)
		}
	}
}
