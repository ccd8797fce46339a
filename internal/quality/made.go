package quality

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// What is made here is asked without any data, in seconds, so that a change that spoils the two default kinds is seen before it is merged. It is
// easier than what is real, and says nothing of how good they are beside others.

// madeSeries are laws of one value: what follows the one before at row i, of points that come each five minutes.
var madeSeries = []struct {
	name  string
	scale float64 // of its ordinary surprises: what an anomaly is large beside
	next  func(r *rand.Rand, i int, before float64) float64
}{
	{"noise", 1, func(r *rand.Rand, _ int, _ float64) float64 { return 20 + r.NormFloat64() }},
	{"a daily curve", 1, func(r *rand.Rand, i int, _ float64) float64 {
		return 50 + 10*math.Sin(2*math.Pi*float64(i)/aDay) + r.NormFloat64()
	}},
	{"what has inertia", 1, func(r *rand.Rand, _ int, before float64) float64 { return 0.9*before + r.NormFloat64() }},
	{"durations", 0.5, func(r *rand.Rand, _ int, _ float64) float64 { return math.Exp(0.5 * r.NormFloat64()) }},
	{"counts", 4, func(r *rand.Rand, i int, _ float64) float64 {
		mean := 20 + 10*math.Sin(2*math.Pi*float64(i)/aDay)
		return math.Round(max(0, mean+math.Sqrt(mean)*r.NormFloat64()))
	}},
}

// madeFaults are what a person wants to be told of, by turns, each time on the other side and a quarter larger: what comes again alike is normal to a
// metric. What they make of a value, where frozen is the last one before.
var madeFaults = []struct {
	name string
	rows int
	of   func(r *rand.Rand, x, frozen, size float64) float64
}{
	{"spike", 3, func(_ *rand.Rand, x, _, size float64) float64 { return x + 15*size }},
	{"level", 48, func(_ *rand.Rand, x, _, size float64) float64 { return x - 8*size }},
	{"stuck", 60, func(_ *rand.Rand, _, frozen, _ float64) float64 { return frozen }},
	{"noise", 48, func(r *rand.Rand, x, _, size float64) float64 { return x + 4*size*r.NormFloat64() }},
}

const (
	aDay      = 288  // points of five minutes
	madeRows  = 9000 // of a series
	madeCalm  = 3000 // rows before the first fault
	madeApart = 700  // rows from one fault to the next
	madeSeeds = 3    // series of each law
)

// madeOne is a series of so many rows, with faults.
func madeOne(law int, number uint64, rows int) *labelled {
	l := madeSeries[law]
	r := rand.New(rand.NewPCG(number, uint64(law))) //nolint:gosec // reproducible on purpose
	s := &labelled{name: l.name, x: make([][]float64, rows), y: make([]bool, rows), at: make([]int64, rows)}
	own, frozen := 0.0, 0.0
	for i := range rows {
		own = l.next(r, i, own)
		x := own
		if since := i - madeCalm; since >= 0 {
			number := since / madeApart
			fault := madeFaults[(number+law)%len(madeFaults)]
			if s.y[i] = since%madeApart < fault.rows; s.y[i] {
				size := l.scale * (1 + float64(number/len(madeFaults))/4)
				if number/len(madeFaults)%2 == 1 {
					size = -size
				}
				x = fault.of(r, own, frozen, size)
			}
		}
		if !s.y[i] {
			frozen = x
		}
		s.x[i], s.at[i] = []float64{x}, int64(i)*int64(5*time.Minute/time.Second)
	}
	return s
}

// madeSensors are sensors that share a load, each with its own inertia; of every fault some leave their level by three deviations.
func madeSensors(number uint64) *labelled {
	const sensors, rows, calm, apart, lasts = 8, 6000, 1000, 400, 60
	r := rand.New(rand.NewPCG(number, 100)) //nolint:gosec // reproducible on purpose
	s := &labelled{name: "sensors", x: make([][]float64, rows), y: make([]bool, rows)}
	load, own := 0.0, [sensors]float64{}
	moved := [sensors]float64{}
	for i := range rows {
		load = 0.95*load + 0.3*r.NormFloat64()
		if since := i - calm; since >= 0 && since%apart == 0 {
			for range 3 {
				moved[r.IntN(sensors)] = 3
			}
		}
		if since := i - calm; since >= 0 {
			s.y[i] = since%apart < lasts
		}
		if !s.y[i] {
			moved = [sensors]float64{}
		}
		x := make([]float64, sensors)
		for j := range x {
			keep := float64(j) / 10 // white noise, up to an autocorrelation of .7
			own[j] = keep*own[j] + math.Sqrt(1-keep*keep)*r.NormFloat64()
			x[j] = float64(j) + 0.3*load + own[j] + moved[j]
		}
		s.x[i] = x
	}
	return s
}

// madeRowSets are laws of rows in six fields, by name: which rows are anomalies once the calm ones are over, and what a row is like.
var madeRowSets = []struct {
	name string
	odd  func(r *rand.Rand, row int) bool
	row  func(r *rand.Rand, x []float64, odd bool)
}{
	{"a relation broken", sometimes(0.01), func(r *rand.Rand, x []float64, odd bool) {
		for j := range x {
			x[j] = r.NormFloat64()
		}
		if x[1] = x[0] + 0.2*r.NormFloat64(); odd {
			x[1] += 1.5
		}
	}},
	{"between clusters", sometimes(0.01), func(r *rand.Rand, x []float64, odd bool) {
		centre := 6 * float64(r.IntN(3))
		for j := range x {
			if x[j] = centre + r.NormFloat64(); odd {
				x[j] = 3 + 6*float64(r.IntN(2)) + r.NormFloat64()/2
			}
		}
	}},
	{"bursts of alike ones", func(_ *rand.Rand, row int) bool { return row%2000 < 300 }, func(r *rand.Rand, x []float64, odd bool) {
		for j := range x {
			if x[j] = r.NormFloat64(); odd {
				x[j] = 4 + 0.3*x[j]
			}
		}
	}},
	{"far in one field", sometimes(0.01), func(r *rand.Rand, x []float64, odd bool) {
		for j := range x {
			x[j] = r.NormFloat64()
		}
		if odd {
			x[r.IntN(len(x))] += 4
		}
	}},
	{"heavy tails", sometimes(0.02), func(r *rand.Rand, x []float64, odd bool) {
		for j := range x {
			if x[j] = r.NormFloat64() / math.Sqrt(r.ExpFloat64()); odd { // Student's t of two degrees
				x[j] += 3
			}
		}
	}},
}

// sometimes makes a share of the rows anomalies.
func sometimes(share float64) func(*rand.Rand, int) bool {
	return func(r *rand.Rand, _ int) bool { return rare(r, share) }
}

// madeRowSet draws a set.
func madeRowSet(law int, number uint64) *labelled {
	const fields, rows, calm = 6, 6000, 1000
	set := madeRowSets[law]
	r := rand.New(rand.NewPCG(number, 200)) //nolint:gosec // reproducible on purpose
	s := &labelled{name: set.name, x: make([][]float64, rows), y: make([]bool, rows)}
	for i := range rows {
		s.x[i], s.y[i] = make([]float64, fields), i >= calm && set.odd(r, i)
		set.row(r, s.x[i], s.y[i])
	}
	return s
}

// askMade measures the two default kinds on what is made here.
func askMade(ctx context.Context, r *Report) error {
	if err := r.made(ctx, madeSeeds, madeRows); err != nil {
		return err
	}
	return r.faultySensors(ctx, faultRuns)
}

// made asks so many draws of each law, whose series have so many rows.
func (r *Report) made(ctx context.Context, seeds uint64, long int) error {
	r.text("Made here, from seeds: %d series of %d points of each of five laws (noise, a daily curve, inertia, durations, counts) with nine faults each (by turns a spike, a level, a stuck value, "+
		"noise), and eight sensors of which some leave their level. Alerts of the product as `gonomaly create` sets the stream up, an event found as under the water pump. Easier than what is real: "+
		"a floor for every change of the code, no claim.\n", seeds, long)
	metric, err := metricStream()
	if err != nil {
		return err
	}
	points, err := pointStream("points", 8)
	if err != nil {
		return err
	}
	type subject struct {
		name, kind string
		stream     *pipeline.Config
		draw       func(number uint64) *labelled
	}
	var subjects []subject
	for law, l := range madeSeries {
		subjects = append(subjects, subject{l.name, "metric", metric, func(number uint64) *labelled { return madeOne(law, number, long) }})
	}
	subjects = append(subjects, subject{"sensors", "points", points, madeSensors})
	var rows [][]string
	all := map[string]*events{"metric": {}, "points": {}}
	for _, s := range subjects {
		var own events
		for n := range seeds {
			if err := ctx.Err(); err != nil {
				return err
			}
			set := s.draw(n)
			alerts, err := set.alerts(s.stream)
			if err != nil {
				return err
			}
			own.add(set.y, alerts)
			all[s.kind].add(set.y, alerts)
		}
		rows = append(rows, []string{s.name, s.kind, fmt.Sprintf("%.3f", own.f1()), fmt.Sprintf("%.2f", own.rate()), fmt.Sprintf("%d of %d", own.found, own.intervals), own.delay()})
	}
	r.table([]string{"series", "detector", "F1", "false per 1,000 rows", "found", "median delay, rows"}, rows)
	for kind, e := range all {
		r.figure("made.f1."+kind, e.f1())
		r.figure("made.quiet."+kind, -e.rate())
	}
	return r.madeRows(ctx, seeds)
}

// madeRows writes the AUC of the kinds that judge rows, on sets made here.
func (r *Report) madeRows(ctx context.Context, seeds uint64) error {
	r.text("ROC AUC on rows of six fields, median of %d draws.\n", seeds)
	header := []string{"detector"}
	for _, s := range madeRowSets {
		header = append(header, s.name)
	}
	var table [][]string
	for _, kind := range []string{"forest", "half_space_trees", "points"} {
		row := []string{kind}
		for law, set := range madeRowSets {
			var values []float64
			for n := range seeds {
				p := &pointRun{set: madeRowSet(law, n), name: kind, seed: n + 1}
				if err := p.play(ctx); err != nil {
					return err
				}
				values = append(values, p.auc[set.name])
			}
			slices.Sort(values)
			row = append(row, strconv.FormatFloat(median(values), 'f', 3, 64))
			if kind == "points" {
				r.lowest("made.auc.points", median(values))
			}
		}
		table = append(table, row)
	}
	r.table(header, table)
	return nil
}
