package quality

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/detectors"
)

// auc is the area under the ROC curve: the probability that an anomaly scores higher than another point, ties half. It is NaN where
// there are none of either.
//
// By ranks: Hanley and McNeil (1982), "The Meaning and Use of the Area under a ROC Curve", Radiology 143(1).
func auc(scores []float64, anomaly []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	ranks, anomalies := 0.0, 0.0
	for i := 0; i < len(order); {
		ties := i
		for ties < len(order) && scores[order[ties]] == scores[order[i]] {
			ties++
		}
		for _, row := range order[i:ties] {
			if anomaly[row] {
				ranks += float64(i+ties+1) / 2
				anomalies++
			}
		}
		i = ties
	}
	return (ranks - anomalies*(anomalies+1)/2) / (anomalies * (float64(len(scores)) - anomalies))
}

// multivariate are the kinds that judge the fields of a point together.
var multivariate = []string{"cut_forest", "forest", "half_space_trees", "points"}

// seed gives the configuration a seed, if it has one.
func seed(c detectors.Config, seed uint64) (seeded bool) {
	field := reflect.ValueOf(c).Elem().FieldByName("Seed")
	if field.IsValid() {
		field.SetUint(seed)
	}
	return field.IsValid()
}

// scorer scores rows one after the other, each before it is learned.
type scorer func(row int, x []float64) float64

// newScorer scores as a trivial one of that name does, or else as a detector of that kind with its defaults. A point in warm-up scores lowest.
func newScorer(name string, fields int, number uint64) (scorer, error) {
	for _, t := range trivial {
		if t.name == name {
			return t.make(fields, number), nil
		}
	}
	c := detectors.Kinds[name]()
	seed(c, number)
	d, err := c.New(fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return func(row int, x []float64) float64 {
		p := detectors.Point{Time: int64(row) * int64(time.Second), X: x}
		score, ok := d.Score(p)
		d.Learn(p)
		if !ok {
			return math.Inf(-1)
		}
		return score
	}, nil
}

const inDeviations = "length of x in standard deviations so far"

// trivial are scores that nobody needs a detector for.
var trivial = []struct {
	name string
	make func(fields int, seed uint64) scorer
}{
	{"row number", func(int, uint64) scorer { return func(row int, _ []float64) float64 { return float64(row) } }},
	{"minus row number", func(int, uint64) scorer { return func(row int, _ []float64) float64 { return -float64(row) } }},
	{"random", func(_ int, seed uint64) scorer {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
		return func(int, []float64) float64 { return r.Float64() }
	}},
	{"length of x", func(int, uint64) scorer {
		return func(_ int, x []float64) (sum float64) {
			for _, v := range x {
				sum += v * v
			}
			return sum
		}
	}},
	{inDeviations, func(fields int, _ uint64) scorer {
		mean, squares := make([]float64, fields), make([]float64, fields)
		return func(row int, x []float64) (sum float64) {
			for i, v := range x { // Welford
				e := v - mean[i]
				if squares[i] > 0 {
					sum += e * e / squares[i] * float64(row)
				}
				mean[i] += e / float64(row+1)
				squares[i] += e * (v - mean[i])
			}
			return sum
		}
	}},
}
