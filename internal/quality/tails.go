package quality

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/threshold"
)

// law is one of independent values.
type law struct {
	name string
	draw func(*rand.Rand) float64
	few  bool // different values: it is shown, and not held to what is wanted
}

var tailLaws = []law{
	{name: "normal", draw: (*rand.Rand).NormFloat64},
	{name: "exponential", draw: (*rand.Rand).ExpFloat64},
	{name: "Pareto, 1/x³", draw: func(r *rand.Rand) float64 { return math.Pow(1-r.Float64(), -1./3) }},
	{name: "Pareto, 1/x", draw: func(r *rand.Rand) float64 { return 1 / (1 - r.Float64()) }},
	{name: "lognormal", draw: lognormal},
	{name: "uniform", draw: (*rand.Rand).Float64},
	{name: "Student t2", draw: func(r *rand.Rand) float64 { return r.NormFloat64() / math.Sqrt(r.ExpFloat64()) }}, // half of a χ² of 2 degrees is exponential
	{name: "normal, 5 % ten times as wide", draw: func(r *rand.Rand) float64 {
		if rare(r, 0.05) {
			return 10 * r.NormFloat64()
		}
		return r.NormFloat64()
	}},
	{name: "0, 1 % lognormal", draw: func(r *rand.Rand) float64 {
		if rare(r, 0.01) {
			return lognormal(r)
		}
		return 0
	}},
	{name: "0, 0.5 % 1", few: true, draw: func(r *rand.Rand) float64 {
		if rare(r, 0.005) {
			return 1
		}
		return 0
	}},
	{name: "geometric, mean 9", few: true, draw: func(r *rand.Rand) float64 { return math.Floor(r.ExpFloat64() / -math.Log(0.9)) }},
}

func lognormal(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }

func rare(r *rand.Rand, share float64) bool { return r.Float64() < share }

const (
	tailSeeds = 20 // of each law
	tailAlarm = 10 // false alarms that are waited for before they are counted
)

// scored is a detector with the law of its own scores, as a series of the product has it.
type scored struct {
	detectors.Detector
	law threshold.Law
}

func newScored(kind string, fields int) (*scored, error) {
	d, err := detectors.Kinds[kind]().New(fields)
	if err != nil {
		return nil, err
	}
	return &scored{d, threshold.For(d)}, nil
}

// fires takes a score in, and says whether it is over the limit that a rate of 10^-decades has.
func (s *scored) fires(score, decades float64) bool {
	u := s.Decades(score)
	fired := s.law.Decades(u) >= decades
	s.law.Learn(u)
	return fired
}

// next takes a point in; ok is false in warm-up.
func (s *scored) next(p detectors.Point, decades float64) (fired, ok bool) {
	score, ok := s.Score(p)
	fired = ok && s.fires(score, decades)
	s.Learn(p)
	return fired, ok
}

// stream fires or does not, point by point.
type stream func() (fired bool)

// streamOf has points drawn from a law, of which 1 in 10^decades is to fire.
type streamOf func(s *scored, l law, r *rand.Rand, decades float64) stream

// tailStreams are what a law is asked for: the scores themselves, whose nominal law is that of an ewma; the values that an ewma scores;
// and both after as many points of another law.
var tailStreams = []struct {
	name string
	of   streamOf
}{
	{"as scores", scoresOf},
	{"as values", valuesOf},
	{"as scores, twice as large after normal ones", afterNormal(scoresOf, func(x float64) float64 { return 2 * x })},
	{"as values, 5 higher and twice as large after normal ones", afterNormal(valuesOf, func(x float64) float64 { return 5 + 2*x })},
}

// afterNormal is a stream whose draws are changed, after as many of the normal law as are waited for.
func afterNormal(of streamOf, change func(x float64) float64) streamOf {
	return func(s *scored, l law, r *rand.Rand, decades float64) stream {
		before := of(s, tailLaws[0], r, decades)
		for range waited(decades) {
			before()
		}
		return of(s, law{draw: func(r *rand.Rand) float64 { return change(l.draw(r)) }}, r, decades)
	}
}

func scoresOf(s *scored, l law, r *rand.Rand, decades float64) stream {
	return func() bool { return s.fires(math.Abs(l.draw(r)), decades) }
}

func valuesOf(s *scored, l law, r *rand.Rand, decades float64) stream {
	return rowsOf(1, s, l, r, decades)
}

// rowsOf are of so many independent fields.
func rowsOf(fields int, s *scored, l law, r *rand.Rand, decades float64) stream {
	p := detectors.Point{X: make([]float64, fields)}
	return func() bool {
		p.Time += int64(time.Minute)
		for j := range p.X {
			p.X[j] = l.draw(r)
		}
		fired, _ := s.next(p, decades)
		return fired
	}
}

// waited is the number of points, 10/rate, that pass before alarms are counted.
func waited(decades float64) int { return int(tailAlarm * math.Pow(10, decades)) }

// observed is how many times the alarms that were asked for come, in the 20/rate points after those that are waited for.
func observed(next stream, decades float64) float64 {
	n, first := 0, waited(decades)
	for i := range 3 * first {
		if next() && i >= first {
			n++
		}
	}
	return float64(n) / (2 * tailAlarm)
}

// askTails measures whether as many false alarms come as an operator asks for.
func askTails(ctx context.Context, r *Report) error {
	r.text("False alarms that come for each that is asked for, wanted: 0.5 to 2; the two last laws, of few values, are shown and not held to it. Independent draws of each law, scored as a stream of `kind: ewma` "+
		"does it (score, decades by the nominal law, `threshold.Tail`, limit); 10/rate points are waited for, then 20/rate counted; median of %d seeds, "+
		"and their range.\n", tailSeeds)
	for _, decades := range []float64{3, 4} {
		header := []string{fmt.Sprintf("1 in %.0f", math.Pow(10, decades))}
		for _, s := range tailStreams {
			header = append(header, s.name)
		}
		var rows [][]string
		for i, l := range tailLaws {
			r.progress("tails: 1 in %.0f, law %d of %d", math.Pow(10, decades), i+1, len(tailLaws))
			row := []string{l.name}
			for _, s := range tailStreams {
				var got []float64
				for seed := range uint64(tailSeeds) {
					if err := ctx.Err(); err != nil {
						return err
					}
					d, err := newScored("ewma", 1)
					if err != nil {
						return err
					}
					got = append(got, observed(s.of(d, l, rand.New(rand.NewPCG(seed, 0)), decades), decades)) //nolint:gosec // draws
				}
				row = append(row, r.tailCell("tails", l, got))
			}
			rows = append(rows, row)
		}
		r.table(header, rows)
	}
	r.text("The same of rows of independent fields, as a stream of `kind: points` scores them.\n")
	if err := askTailsOfPoints(ctx, r, 3); err != nil || r.Data == "" {
		return err
	}
	if err := askTailsOfPoints(ctx, r, 4); err != nil {
		return err
	}
	return askTailsOfData(ctx, r)
}

// tailCell is a cell of the table: the median over the seeds of how many times the alarms came that were asked for, and their range.
func (r *Report) tailCell(name string, l law, got []float64) string {
	slices.Sort(got)
	middle := (got[tailSeeds/2-1] + got[tailSeeds/2]) / 2
	if !l.few {
		r.lowest(name+".least", middle)
		r.lowest(name+".inverse_of_most", 1/middle)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", middle, got[0], got[tailSeeds-1])
}

// tailFields are the numbers of fields of the rows.
var tailFields = []int{1, 2, 5}

func askTailsOfPoints(ctx context.Context, r *Report, decades float64) error {
	got := make([][][]float64, len(tailLaws)) // by law, number of fields and seed
	for i := range got {
		for range tailFields {
			got[i] = append(got[i], make([]float64, tailSeeds))
		}
	}
	asked := fmt.Sprintf("1 in %.0f", math.Pow(10, decades))
	if err := r.inParallel(ctx, len(tailLaws)*len(tailFields)*tailSeeds, func(ctx context.Context, n int) (string, error) {
		seed, field, i := n%tailSeeds, n/tailSeeds%len(tailFields), n/tailSeeds/len(tailFields)
		d, err := newScored("points", tailFields[field])
		if err != nil || ctx.Err() != nil {
			return "", errors.Join(err, ctx.Err())
		}
		random := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // draws, and seed ≥ 0
		got[i][field][seed] = observed(rowsOf(tailFields[field], d, tailLaws[i], random, decades), decades)
		return fmt.Sprintf("rows: %s, %s, %d fields", asked, tailLaws[i].name, tailFields[field]), nil
	}); err != nil {
		return err
	}
	header, rows := []string{asked}, make([][]string, len(tailLaws))
	for _, fields := range tailFields {
		header = append(header, fmt.Sprintf("fields: %d", fields))
	}
	for i, l := range tailLaws {
		rows[i] = []string{l.name}
		for field := range tailFields {
			rows[i] = append(rows[i], r.tailCell("tails.points", l, got[i][field]))
		}
	}
	r.table(header, rows)
	return nil
}

// lowest keeps the lowest of several values as a figure.
func (r *Report) lowest(name string, value float64) {
	if before, ok := r.Figures[name]; ok {
		value = min(value, before)
	}
	r.figure(name, value)
}
