package quality

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gonomaly/gonomaly/pipeline"
)

// faultLaws are noises of sensors that share a load and have inertia, from none to an autocorrelation of inertia.
var faultLaws = []struct {
	name    string
	inertia float64
	wander  float64 // greatest deviation of a slow walk beside the noise, with an autocorrelation of .995
	step    float64 // of what they can tell apart; 0: everything
}{
	{name: "white noise"},
	{name: "inertia up to .98", inertia: 0.98},
	{name: "a level that wanders", inertia: 0.6, wander: 2},
	{name: "coarse, and wanders", inertia: 0.6, wander: 1, step: 1},
}

// sensorFaults change the first sensor, or the first many, from a row on; sizes are in deviations of their own noise.
var sensorFaults = []struct {
	name string
	many int
	of   func(v *sensorValue, since float64)
}{
	{"step of 2", 1, func(v *sensorValue, _ float64) { v.add = 2 }},
	{"step of 5", 1, func(v *sensorValue, _ float64) { v.add = 5 }},
	{"2, three sensors", 3, func(v *sensorValue, _ float64) { v.add = 2 }},
	{"ramp to 4 in 40 rows", 1, func(v *sensorValue, since float64) { v.add = 4 * min(since/40, 1) }},
	{"leak of 4 in 60 rows, three", 3, func(v *sensorValue, since float64) { v.add = 4 * since / 60 }},
	{"4 times as wide", 1, func(v *sensorValue, _ float64) { v.noise *= 4 }},
	{"against the load, twice", 1, func(v *sensorValue, _ float64) { v.load *= -2 }},
	{"stuck", 1, func(v *sensorValue, _ float64) { v.stuck = true }},
}

// sensorValue is what a sensor's value is made of.
type sensorValue struct {
	load, noise, add float64
	stuck            bool
}

const (
	faultSensors = 8
	faultRows    = 1000 // of a run without a fault
	faultRuns    = 8    // of each law and fault, and as many without one
	noFault      = -1
)

// faultyRun is a run of a law. Its fault, or none, begins at a row from 500 to 699 on, and what is found of it is found in its first rows: there it ends.
func faultyRun(law, fault int, number uint64) *labelled {
	l := faultLaws[law]
	r := rand.New(rand.NewPCG(number, 300+uint64(law))) //nolint:gosec // reproducible on purpose
	begin, rows := 500+r.IntN(200), faultRows
	if fault != noFault {
		rows = begin + soon
	}
	var keep, wander, share, own, slow, last [faultSensors]float64
	for j := range faultSensors {
		keep[j], wander[j], share[j] = l.inertia*r.Float64(), l.wander*r.Float64(), 0.7*r.NormFloat64()
		own[j], slow[j] = r.NormFloat64(), r.NormFloat64()
	}
	next := func(before, keep float64) float64 { return keep*before + math.Sqrt(1-keep*keep)*r.NormFloat64() }
	s := &labelled{name: l.name, x: make([][]float64, rows), y: make([]bool, rows)}
	load := 0.0
	for i := range rows {
		load = next(load, l.inertia)
		s.x[i], s.y[i] = make([]float64, faultSensors), fault != noFault && i >= begin
		for j := range faultSensors {
			own[j], slow[j] = next(own[j], keep[j]), next(slow[j], 0.995)
			v := sensorValue{load: share[j] * load, noise: own[j]}
			if s.y[i] && j < sensorFaults[fault].many {
				sensorFaults[fault].of(&v, float64(i-begin))
			}
			if x := 20 + v.load + v.noise + wander[j]*slow[j] + v.add; !v.stuck {
				if last[j] = x; l.step > 0 {
					last[j] = math.Round(x/l.step) * l.step
				}
			}
			s.x[i][j] = last[j]
		}
	}
	return s
}

// faultySensors writes how many faults of made sensors are found, by kind.
func (r *Report) faultySensors(ctx context.Context, runs int) error {
	r.text("Faults of %d sensors that share a load, one in a run, begin at row 500 to 699 and are found within %d rows: of %d each. False alerts are of runs of %d rows without a fault.\n",
		faultSensors, soon, runs, faultRows)
	header := []string{"noise", "detector", "false per 1,000 rows"}
	for _, f := range sensorFaults {
		header = append(header, f.name)
	}
	var rows [][]string
	for law, l := range faultLaws {
		for _, kind := range []string{"points", "ewma"} {
			c, err := pointStream(kind, faultSensors)
			if err != nil {
				return err
			}
			calm, err := faultsFound(ctx, c, law, noFault, runs)
			if err != nil {
				return err
			}
			row := []string{l.name, kind, fmt.Sprintf("%.2f", calm.rate())}
			for fault := range sensorFaults {
				e, err := faultsFound(ctx, c, law, fault, runs)
				if err != nil {
					return err
				}
				row = append(row, fmt.Sprint(e.found))
			}
			rows = append(rows, row)
		}
	}
	r.table(header, rows)
	return nil
}

// faultsFound plays runs of a law with a fault, or without one.
func faultsFound(ctx context.Context, c *pipeline.Config, law, fault, runs int) (e events, err error) {
	for n := range runs {
		if err := ctx.Err(); err != nil {
			return e, err
		}
		s := faultyRun(law, fault, uint64(n))
		alerts, err := s.alerts(c)
		if err != nil {
			return e, err
		}
		e.add(s.y, alerts)
	}
	return e, nil
}
