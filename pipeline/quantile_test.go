package pipeline

import (
	"math"
	"math/rand/v2"
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
		q := &quantile{p: c.p}
		for _, v := range c.values {
			q.add(v)
		}
		if got := q.value(); got != c.want {
			t.Errorf("quantile %v of %v = %v, want %v", c.p, c.values, got, c.want)
		}
	}
}

// Of 20,000 draws the estimate lies within a few standard errors of the law's quantile: sqrt(p(1-p)/n)/density is 0.009 for the
// median and 0.027 for the 99th percentile of a normal law; P² adds its own error, of the same size.
func TestQuantileOfManyValues(t *testing.T) {
	for _, c := range []struct{ p, want, tolerance float64 }{{0.5, 0, 0.04}, {0.99, 2.3263, 0.1}} {
		r := rand.New(rand.NewPCG(1, 0))
		q := &quantile{p: c.p}
		for range 20000 {
			q.add(r.NormFloat64())
		}
		if got := q.value(); math.Abs(got-c.want) > c.tolerance {
			t.Errorf("quantile %v of a normal law = %v, want %v ± %v", c.p, got, c.want, c.tolerance)
		}
	}
}

func TestQuantileOfOneValueRepeated(t *testing.T) {
	q := &quantile{p: 0.99}
	for range 1000 {
		q.add(3)
	}
	if got := q.value(); got != 3 {
		t.Errorf("quantile of a constant 3 = %v", got)
	}
}
