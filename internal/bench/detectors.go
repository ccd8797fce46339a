package bench

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/threshold"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

var detectorsBenchmark = Benchmark{
	Name:  "detectors",
	Short: "Measure what each kind of detector takes: time a point, memory a series",
	Long: `Detectors scores and learns points of --fields normal values, a minute apart, with the defaults of each kind; the law of the scores is
estimated beside it, as a stream does. It begins after 4,096 points.

ns/point is of scoring, calibrating and learning on one core, the quickest of ten slices: a neighbour makes them slower, never quicker. bytes/series is
the memory that detector and law hold at most, state bytes what a checkpoint has of them.`,
	flags: func(f *pflag.FlagSet, o *Options) {
		f.StringSliceVar(&o.Only, "only", nil, "measure these `KINDS` only")
		f.IntSliceVar(&o.Fields, "fields", []int{1, 5, 10}, "`NUMBERS` of values in a point")
	},
	run: benchDetectors,
}

const settled = 4096 // points that a detector has learned before it is measured

func benchDetectors(ctx context.Context, o Options, r *Result) error {
	kinds := slices.Sorted(maps.Keys(detectors.Kinds))
	for _, name := range o.Only {
		if !slices.Contains(kinds, name) {
			return &invalid.Value{Name: "--only", Value: name, Want: strings.Join(kinds, ", ")}
		}
	}
	for _, fields := range o.Fields {
		if fields < 1 || fields > 256 {
			return &invalid.Value{Name: "--fields", Value: fields, Want: "1 to 256"}
		}
	}
	if len(o.Only) > 0 {
		kinds = o.Only
	}
	return o.each("detectors", func() error {
		for _, kind := range kinds {
			for _, fields := range o.Fields {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := benchDetector(kind, fields, r); err != nil {
					return fmt.Errorf("%s of %d fields: %w", kind, fields, err)
				}
			}
		}
		return nil
	})
}

func benchDetector(kind string, fields int, r *Result) error {
	d, err := detectors.Kinds[kind]().New(fields)
	if err != nil {
		return err
	}
	law, points, at := threshold.For(d), normalPoints(fields), int64(0)
	steps := func(n int) {
		for range n {
			p := points[at%settled]
			p.Time = at * int64(time.Minute)
			at++
			if score, ok := d.Score(p); ok {
				u := d.Decades(score)
				law.Decades(u)
				law.Learn(u)
			}
			d.Learn(p)
		}
	}
	steps(settled)
	c := measure(steps)
	state, err := d.AppendBinary(nil)
	if err == nil {
		state, err = law.AppendBinary(state)
	}
	if err != nil {
		return err
	}
	row := fmt.Sprintf("%s × %d", kind, fields)
	r.Add(row, "ns/point", c.ns)
	r.Add(row, "allocations/point", c.allocations)
	r.Add(row, "bytes/series", float64(d.Bytes()+law.Bytes()))
	r.Add(row, "state bytes", float64(len(state)))
	return nil
}

func normalPoints(fields int) []detectors.Point {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same points each time
	points := make([]detectors.Point, settled)
	for i := range points {
		points[i].X = make([]float64, fields)
		for j := range points[i].X {
			points[i].X[j] = 100 + random.NormFloat64()
		}
	}
	return points
}
