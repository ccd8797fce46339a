package pipeline

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The example of Jain and Chlamtac (1985), table I, needs the paper's start from five values; here small windows are exact instead.
func TestQuantileOfFewValuesIsExact(t *testing.T) {
	for _, c := range []struct {
		p      float64
		values []float64
		want   float64
	}{
		{0.5, []float64{7}, 7},
		{0.5, []float64{3, 1, 2}, 2},
		{0.5, []float64{4, 3, 1, 2}, 2}, // rank ceil(0.5·4) = 2
		{0.99, []float64{5, 1, 4, 2, 3}, 5},
	} {
		w := &window{samples: c.values}
		if got := w.quantile(0, 1, c.p); got != c.want {
			t.Errorf("quantile %v of %v = %v, want %v", c.p, c.values, got, c.want)
		}
	}
}

// started is a quantile of so many values.
func started(p float64, n int, value func() float64) quantile {
	first := make([]float64, exactQuantile)
	for i := range first {
		first[i] = value()
	}
	slices.Sort(first)
	q := startQuantile(p, first)
	for range n - exactQuantile {
		q.add(value())
	}
	return q
}

// Of 20,000 draws the estimate lies within a few standard errors of the law's quantile: sqrt(p(1-p)/n)/density is 0.009 for the
// median and 0.027 for the 99th percentile of a normal law; P² adds its own error, of the same size.
func TestQuantileOfManyValues(t *testing.T) {
	for _, c := range []struct{ p, want, tolerance float64 }{{0.5, 0, 0.04}, {0.99, 2.3263, 0.1}} {
		r := rand.New(rand.NewPCG(1, 0))
		q := started(c.p, 20000, r.NormFloat64)
		if got := q.value(); math.Abs(got-c.want) > c.tolerance {
			t.Errorf("quantile %v of a normal law = %v, want %v ± %v", c.p, got, c.want, c.tolerance)
		}
	}
}

func TestQuantileOfOneValueRepeated(t *testing.T) {
	q := started(0.99, 1000, func() float64 { return 3 })
	if got := q.value(); got != 3 {
		t.Errorf("quantile of a constant 3 = %v", got)
	}
}
