package quality

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gonomaly/gonomaly/detectors"
)

// events counts alerts against labelled intervals. An interval is found when an alert is raised within its first rows. Later alerts in
// it, and those in the rows after it, where the return to normal is a change too, count neither way; any other is false.
type events struct {
	intervals, found int
	wrong, normal    int   // false alerts, and the rows that they could be raised in
	delays           []int // rows from the begin of an interval that was found to its alert
}

const (
	soon  = 60 // rows from the begin of an interval, within which an alert finds it
	after = 60 // rows from its end that count neither way
)

func (e *events) add(anomaly, alert []bool) {
	quiet := 0 // first row that counts as normal again
	for i := range anomaly {
		if begins := anomaly[i] && (i == 0 || !anomaly[i-1]); begins {
			end := i
			for end < len(anomaly) && anomaly[end] {
				end++
			}
			e.intervals++
			if delay := slices.Index(alert[i:min(end, i+soon)], true); delay >= 0 {
				e.found++
				e.delays = append(e.delays, delay)
			}
			quiet = end + after
		}
		if i >= quiet {
			e.normal++
			if alert[i] {
				e.wrong++
			}
		}
	}
}

// f1 is the harmonic mean of precision and recall, in [0, 1].
func (e *events) f1() float64 {
	return 2 * float64(e.found) / max(1, float64(e.found+e.wrong+e.intervals))
}

// rate is the number of false alerts in 1,000 normal rows.
func (e *events) rate() float64 { return 1000 * float64(e.wrong) / max(1, float64(e.normal)) }

func (e *events) delay() string {
	if len(e.delays) == 0 {
		return "–"
	}
	slices.Sort(e.delays)
	return strconv.Itoa(e.delays[(len(e.delays)-1)/2])
}

// eachOf raises an alert each so many rows.
func eachOf(n int) func(*labelled) ([]bool, error) {
	return func(s *labelled) ([]bool, error) {
		alerts := make([]bool, len(s.x))
		for i := n; i < len(alerts); i += n {
			alerts[i] = true
		}
		return alerts, nil
	}
}

// beyondSix raises an alert where a sensor is more than six moving standard deviations from its moving average, and then none in the cool-down.
func beyondSix(s *labelled) ([]bool, error) {
	d, err := detectors.Kinds["ewma"]().New(len(s.x[0]))
	if err != nil {
		return nil, err
	}
	alerts, last := make([]bool, len(s.x)), -coolDown
	for i, x := range s.x {
		p := detectors.Point{X: x}
		if z, ok := d.Score(p); ok && z > 6 && i-last >= coolDown {
			alerts[i], last = true, i
		}
		d.Learn(p)
	}
	return alerts, nil
}

// askSensors measures the alerts that the product raises, with the detectors' defaults and its own, on runs of a water pump.
func askSensors(ctx context.Context, r *Report) error {
	runs, err := readFolder(filepath.Join(r.Data, "sensors"), 1, 1)
	if err != nil {
		return err
	}
	var rows [][]string
	measure := func(name string, alerts func(*labelled) ([]bool, error)) (events, error) {
		var e events
		for _, run := range runs {
			if ctx.Err() != nil {
				return e, ctx.Err()
			}
			raised, err := alerts(run)
			if err != nil {
				return e, err
			}
			e.add(run.y, raised)
		}
		r.progress("sensors: %s: F1 %.3f, %.2f false per 1000", name, e.f1(), e.rate())
		return e, nil
	}
	for _, kind := range slices.Sorted(maps.Keys(detectors.Kinds)) {
		c, err := pointStream(kind, len(runs[0].x[0]))
		if err != nil {
			return err
		}
		var f1, rates []float64
		var e events
		for s := range r.Seeds {
			seeded := seed(c.Detectors[0].Params, uint64(s+1))
			if e, err = measure(kind, func(run *labelled) ([]bool, error) { return run.alerts(c) }); err != nil {
				return err
			}
			f1, rates = append(f1, e.f1()), append(rates, e.rate())
			if !seeded { // it is the same with each
				break
			}
		}
		slices.Sort(f1)
		slices.Sort(rates)
		r.figure("sensors.f1."+kind, median(f1))
		r.figure("sensors.quiet."+kind, -median(rates))
		rows = append(rows, []string{kind, spread(f1), spread(rates), fmt.Sprintf("%d of %d", e.found, e.intervals), e.delay()})
	}
	for _, b := range []struct {
		name   string
		alerts func(*labelled) ([]bool, error)
	}{{"an alert every 200 rows", eachOf(200)}, {"an alert every 100 rows", eachOf(100)}, {"EWMA, a sensor beyond z of 6", beyondSix}} {
		e, err := measure(b.name, b.alerts)
		if err != nil {
			return err
		}
		rows = append(rows, []string{b.name, fmt.Sprintf("%.3f", e.f1()), fmt.Sprintf("%.3f", e.rate()), fmt.Sprintf("%d of %d", e.found, e.intervals), e.delay()})
	}
	r.text("Alerts of the product with what `gonomaly create points --detector KIND` writes, on %d runs with one fault each. A fault is found by an "+
		"alert in its first %d rows; alerts later in it and in the %d rows after it count neither way. Median [least, greatest] of %d seeds.\n",
		len(runs), soon, after, r.Seeds)
	r.table([]string{"alerts", "F1", "false per 1,000 rows", "found (last seed)", "median delay, rows"}, rows)
	return nil
}
