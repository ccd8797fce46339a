package detectors

import "testing"

// Of the values 1 to 100 two are at least 99, three are above 97; the twentieth around 50 reaches from 47.. to 52.
func TestPointsMargin(t *testing.T) {
	r := newRows(1)
	r.n, r.spread[0] = 100, 1
	for i := range 100 {
		r.put(0, i, float32(i+1), true)
	}
	for _, c := range []struct {
		x            float32
		share, width float64
	}{
		// 98 values below and 99 not above: the thinner side has min(99, 100-98) = 2. Neighbours 2 places away: 97 and 100 (the last).
		{99, 2.5 / 100, 2. / 90},
		// Ten below the first: neighbours are the first and the third.
		{-9, 0.5 / 100, 12. / 90},
		// Between 50 and 51: the places 48 and 52 hold 49 and 53.
		{50.5, 50.5 / 100, 2.5 / 90},
	} {
		r.x[0] = c.x
		share, width := r.margin(0)
		if !near(share, c.share, 1e-9) || !near(width, c.width+leastWidth, 1e-6) {
			t.Errorf("margin of %v is %v, %v, want %v, %v", c.x, share, width, c.share, c.width+leastWidth)
		}
	}
}

// Of a field that is 0 but for three values in a hundred the middle has no width: a 1 lies a whole unit from its neighbours, which is 1/0.17 standard
// deviations, and not a billion.
func TestPointsMarginOfSparseField(t *testing.T) {
	r := newRows(1)
	r.n, r.spread[0], r.x[0] = 100, 0.17, 1
	for i := range 100 {
		r.put(0, i, float32(i/97), true)
	}
	if _, width := r.margin(0); !near(width, 1/0.17+leastWidth, 1e-6) {
		t.Errorf("width is %v, want %v", width, 1/0.17+leastWidth)
	}
}
