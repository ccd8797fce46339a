package quality

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// madeCopied has an anomaly each 21 rows, four deviations and more from the others.
func madeCopied() *labelled {
	s := &labelled{name: "made"}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		odd := i%21 == 20
		x := make([]float64, 4)
		for j := range x {
			if x[j] = 3*r.NormFloat64() + 10; odd {
				x[j] += 20
			}
		}
		s.x, s.y = append(s.x, x), append(s.y, odd)
	}
	return s
}

// Every copy has whole rows of one width and some anomalies that are still far from the others, leaves the original alone, and is the same when it is made again.
func TestPointCopies(t *testing.T) {
	s := madeCopied()
	for i, c := range pointCopies() {
		copies := c.of([]*labelled{s, madeCopied()}, uint64(i))
		if !reflect.DeepEqual(s, madeCopied()) {
			t.Fatalf("%s changes the original", c.name)
		}
		if len(copies) != 2 || !reflect.DeepEqual(copies, c.of([]*labelled{s, madeCopied()}, uint64(i))) {
			t.Fatalf("%s: %d copies, or others the second time", c.name, len(copies))
		}
		copied := copies[0]
		if len(copied.x) != len(copied.y) {
			t.Fatalf("%s: %d rows and %d labels", c.name, len(copied.x), len(copied.y))
		}
		var length []float64
		for _, z := range standard(copied) {
			sum := 0.0
			for _, v := range z {
				sum += v * v
			}
			if length = append(length, sum); len(z) != len(copied.x[0]) || math.IsNaN(sum) {
				t.Fatalf("%s: a row of %d values, want %d, whose length is %v", c.name, len(z), len(copied.x[0]), sum)
			}
		}
		if got := auc(length, copied.y); got < .7 {
			t.Errorf("%s: anomalies are no longer far from the others: %v", c.name, got)
		}
	}
}

// Numbers of rows and anomalies, and widths, by hand: of 2000 rows 95 are anomalies, the first row 20, and then each 21st.
func TestPointCopiesBySize(t *testing.T) {
	for name, want := range map[string]struct{ rows, odd, fields int }{
		"reversed":                         {2000, 95, 4},
		"every other row":                  {1000, 48, 4},
		"first 15 % cut":                   {1700, 81, 4},
		"one burst of anomalies":           {2000, 95, 4},
		"half of the fields":               {2000, 95, 2},
		"four constant fields":             {2000, 95, 8},
		"noise up to 30 fields":            {2000, 95, 30},
		"turned":                           {2000, 95, 4},
		"projected on 48 fields":           {2000, 95, 48},
		"64 fields cut off at 0, in steps": {2000, 95, 64},
		"bins of a fifth, 0-1":             {2000, 95, 20},
	} {
		i := slices.IndexFunc(pointCopies(), func(c pointCopy) bool { return c.name == name })
		if i < 0 {
			t.Errorf("no copy %q", name)
			continue
		}
		c := pointCopies()[i].change(madeCopied(), rand.New(rand.NewPCG(3, 4)))
		if len(c.x) != want.rows || c.anomalies() != want.odd || len(c.x[0]) != want.fields {
			t.Errorf("%s: %d rows, %d anomalies, %d fields, want %v", name, len(c.x), c.anomalies(), len(c.x[0]), want)
		}
	}
	burst := gather(madeCopied(), rand.New(rand.NewPCG(3, 4)))
	if first := slices.Index(burst.y, true); first < 600 || slices.Contains(burst.y[first:first+95], false) {
		t.Errorf("the burst begins at row %d, or is no burst", first)
	}
}

// At right angles lengths stay what they are.
func TestDirections(t *testing.T) {
	w := directions(5, 5, true, rand.New(rand.NewPCG(5, 6)))
	for i := range w {
		for k := range i + 1 {
			dot, want := 0.0, 0.0
			if i == k {
				want = 1
			}
			for j := range w[i] {
				dot += w[i][j] * w[k][j]
			}
			if math.Abs(dot-want) > 1e-9 {
				t.Errorf("%d and %d have the product %v, want %v", i, k, dot, want)
			}
		}
	}
}
