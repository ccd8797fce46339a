package detectors

import (
	"math"
	"slices"
	"testing"
)

// Ranks by hand: of 10,000 points three had excursions of 5, 3 and 2 decades.
func TestExcursions(t *testing.T) {
	e := newExcursions(2)
	for i, decades := range []float64{2, 1.5, 0, 0, 3, 0, 2.5, 5, 0, 0, 3, 0, 0} { // 2.5 comes one point after 3: 3, 2.5 and 5 are one run
		e.learn(decades, uint64(i))
	}
	if want := []float32{5, 3, 2}; !slices.Equal(e.top[:e.n], want) {
		t.Fatalf("kept %v, want %v", e.top[:e.n], want)
	}
	for _, c := range []struct{ decades, surprise, rank float64 }{
		{1.5, math.Log10(10000. / 4), math.Log10(10000. / 5)},
		{3, math.Log10(10000. / 3), math.Log10(10000. / 4)},
		{4, math.Log10(10000. / 2), math.Log10(10000. / 3)},
		// Excesses 4, 2 and 1, and four of 1/ln 10 in advance: their mean is 1.248.
		{10, 4 + 5/((7+4/math.Ln10)/7)/math.Ln10, math.Log10(10000./2) + math.Log10(2)},
	} {
		if got := e.surprise(c.decades, 10000); !near(got, c.surprise, 1e-9) {
			t.Errorf("surprise of %v is %v, want %v", c.decades, got, c.surprise)
		}
		if got := e.rank(c.decades, 10000); !near(got, c.rank, 1e-9) {
			t.Errorf("rank of %v is %v, want %v", c.decades, got, c.rank)
		}
	}
	// What never falls below one decade is a run each longestRun points.
	long := newExcursions(2)
	for i := range 3*longestRun + 1 {
		long.learn(2+float64(i%longestRun)/longestRun, uint64(i))
	}
	if long.n != 4 {
		t.Errorf("%v are kept of three lengths of a run and a point", long.top[:long.n])
	}
	for i := 13; i < 3*horizon; i++ {
		e.learn(0, uint64(i))
	}
	if e.n != 0 {
		t.Errorf("%v are still kept after two horizons", e.top[:e.n])
	}
}
