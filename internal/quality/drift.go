package quality

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gonomaly/gonomaly/detectors/drift"
)

const (
	driftRuns   = 50   // for each seed
	driftDelay  = 2500 // rows within which a drift is to be found, and that a gradual one takes
	driftLabels = 2    // classes
)

// found counts a monitor's alarms over runs.
type found struct {
	right, wrong float64 // alarms
	missed       float64 // runs without a right one
	delay        float64 // rows until the first right ones, in all
}

// add takes in the alarms of a run whose drift begins at one row and is complete at another: right ones come within driftDelay of it.
func (f *found) add(alarms []int, begin, complete int) {
	first := -1
	for _, at := range alarms {
		switch {
		case at < begin || at > complete+driftDelay:
			f.wrong++
			continue
		case first < 0:
			first = at - begin
		}
		f.right++
	}
	if first < 0 {
		f.missed++
		return
	}
	f.delay += float64(first)
}

// f1 is the harmonic mean of precision, by alarms, and recall, by alarms and runs without.
func (f *found) f1() float64 { return 2 * f.right / max(1, 2*f.right+f.wrong+f.missed) }

// watcher is a drift monitor, or a dummy, that is told whether each prediction was wrong (1) or right (0).
type watcher struct {
	name       string
	kind       string // of drift.Kinds, else the dummies
	risesOnly  bool   // of the error: falls are not told
	attributes bool   // are watched as well, each by a monitor that tells both
}

const (
	always = "fires always"
	never  = "fires never"
)

func watchers() []watcher {
	all := []watcher{{name: always}, {name: never}}
	for _, kind := range slices.Sorted(maps.Keys(drift.Kinds)) {
		all = append(all,
			watcher{name: kind + ", both ways", kind: kind},
			watcher{name: kind + ", rises only", kind: kind, risesOnly: true},
			watcher{name: kind + ", rises only, and attributes", kind: kind, risesOnly: true, attributes: true})
	}
	return all
}

// alarms are the rows at which w fires.
func (w watcher) alarms(outcomes []outcome) (rows []int, err error) {
	if w.kind == "" {
		for _, o := range outcomes {
			if w.name == always {
				rows = append(rows, o.row)
			}
		}
		return rows, nil
	}
	monitors := make([]drift.Monitor, 1)
	if w.attributes {
		monitors = make([]drift.Monitor, 1+len(outcomes[0].x))
	}
	for i := range monitors {
		if monitors[i], err = drift.Kinds[w.kind]().New(); err != nil {
			return nil, err
		}
	}
	last := -coolDown
	for n, o := range outcomes {
		x := 0.0
		if !o.right {
			x = 1
		}
		c, changed := monitors[0].Add(x)
		changed = changed && !(w.risesOnly && c.After < c.Before)
		for i, m := range monitors[1:] {
			_, other := m.Add(o.x[i])
			changed = changed || other
		}
		if !changed {
			continue
		}
		if n-last >= coolDown {
			rows = append(rows, o.row)
		}
		last = n
	}
	return rows, nil
}

// coolDown is the default of alert.cool_down: changes that follow sooner are of one incident.
const coolDown = 75

// askDrift measures how well the monitors find a change in a classifier's errors.
func askDrift(ctx context.Context, r *Report) error {
	rows, medians, err := readElectricity(r.Data)
	if err != nil {
		return err
	}
	r.text("Electricity, %d rows, after Cerqueira et al. (2026), \"A Framework for Evaluating and Benchmarking Concept Drift Detection Methods\", KDD: %d "+
		"runs, each with the rows in another random order and one drift that begins at 60 to 90 %% of them. A Hoeffding tree (naive Bayes or majority in "+
		"its leaves) predicts each row's class before it learns it, never begins anew, and from the middle on a monitor is told its error: 1 where it was wrong, 0 where it was right. "+
		"x_perm exchanges the attributes, y_swap makes one class the other, y_prior drops 75 %% of one class, x_exceed the rows where one attribute is over "+
		"its median; abrupt or, with rising probability, over %d rows. An alarm is right within %[3]d rows after the drift is complete, and wrong else. F1 of alarms, median "+
		"and range of %[4]d times %[2]d runs, and the mean rows until the first right one. The monitors have their defaults, and tell any change of the mean or its rises only "+
		"(`direction: up`); with attributes, as `on: values` has it, each of them is watched as well, and changes within %[5]d rows are one alarm. A sixth of x_perm leaves the price where it was, and with it all predictions.\n",
		len(rows), driftRuns, driftDelay, r.Seeds, coolDown)
	scores, err := r.driftScores(ctx, rows, medians)
	if err != nil {
		return err
	}
	r.driftTable("abrupt", scores, 0)
	r.driftTable("gradual", scores, driftDelay)
	return nil
}

// driftCell is a cell of the tables: a watcher by its name, a kind of drift, and how many rows that takes.
type driftCell struct {
	watcher     string
	kind, width int
}

// driftScores plays all runs before all watchers. Of each cell it returns a score a seed.
func (r *Report) driftScores(ctx context.Context, rows []example, medians []float64) (map[driftCell][]found, error) {
	scores := map[driftCell][]found{}
	for n := range r.Seeds * driftRuns {
		if n%10 == 0 {
			r.progress("drift: run %d of %d", n+1, r.Seeds*driftRuns)
		}
		before := newDriftRun(rows, medians, uint64(n))
		for kind := range drifts {
			for _, width := range []int{0, driftDelay} {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				outcomes := before.play(kind, uint64(n), width)
				for _, w := range watchers() {
					alarms, err := w.alarms(outcomes)
					if err != nil {
						return nil, err
					}
					cell := driftCell{w.name, kind, width}
					if scores[cell] == nil {
						scores[cell] = make([]found, r.Seeds)
					}
					scores[cell][n/driftRuns].add(alarms, before.begin, before.begin+width)
				}
			}
		}
	}
	return scores, nil
}

// driftTable writes the table of drifts that take some rows, and keeps the figures of abrupt ones that are held against others.
func (r *Report) driftTable(title string, scores map[driftCell][]found, width int) {
	header := []string{title}
	for _, d := range drifts {
		header = append(header, d.name)
	}
	var table [][]string
	for _, w := range watchers() {
		row := []string{w.name}
		for kind, d := range drifts {
			var f1 []float64
			missed, rows := 0.0, 0.0
			for _, f := range scores[driftCell{w.name, kind, width}] {
				f1 = append(f1, f.f1())
				missed += f.missed
				rows += f.delay
			}
			slices.Sort(f1)
			delay := "–"
			if n := float64(r.Seeds*driftRuns) - missed; n > 0 {
				delay = fmt.Sprintf("%.0f", rows/n)
			}
			row = append(row, fmt.Sprintf("%.3f (%.3f–%.3f), %s", median(f1), f1[0], f1[len(f1)-1], delay))
			if width == 0 && w.kind == "adwin" && w.risesOnly {
				name := "drift." + d.name
				if w.attributes {
					name += "_and_attributes"
				}
				r.figure(name, median(f1))
			}
		}
		table = append(table, row)
	}
	if width == 0 {
		table = append(table, []string{"published best: SEED, tuned on other data", "0.896", "0.566", "", ""})
	}
	r.table(header, table)
}
