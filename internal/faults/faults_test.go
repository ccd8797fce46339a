//go:build faults && unix

package faults

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Times of a run.
const (
	quiet = 2 * time.Minute  // before a fault, in which nothing may be told
	calm  = 8 * time.Minute  // after what nobody is to hear of: longer than most rules wait
	comes = 25 * time.Minute // until all alerts of a fault have come; what is missed is so after 20
	goes  = 25 * time.Minute // until they have gone
	heard = 6 * time.Minute  // until that has been told: longer than a group waits
)

// fault is something that is done to a group of services, and what is told of it.
type fault struct {
	name   string // of the group, its topic and its stream
	what   string // in the table
	setup  setup
	strike func(*group)
	cure   func(*group) // nil where the fault is over at once

	// alerts are those that come, and go once the fault is cured, each as its name, its severity and a reason where it has one. Others fail
	// the test, but for those that may come behind them, which hangs on how long the first ones take: nobody is told of those, for one fault is one
	// page, also after the cure.
	alerts, may []string

	stays map[string]string // alerts that outlast the cure, and for how long
}

// Each fault is told by the alerts that it should be told by and by no other, and they go once it is cured. What is ordinary is not told at all.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	told := make([][]row, len(faults))
	t.Run("each", func(t *testing.T) {
		for i := range faults {
			t.Run(faults[i].name, func(t *testing.T) {
				t.Parallel()
				told[i] = faults[i].run(t, w)
			})
		}
	})
	table := table(slices.Concat(told...))
	fmt.Print("\n" + table)
	if err := os.WriteFile(filepath.Join(w.out, "table.md"), []byte(table), 0o600); err != nil {
		t.Error(err)
	}
}

// run has a fault happen, and returns the rows of the table about it.
func (f *fault) run(t *testing.T, w *world) []row {
	g := w.newGroup(t, f.name, f.setup)
	time.Sleep(quiet)
	for key, s := range w.watch.of(g.job) {
		t.Fatalf("before anything is done there is %s: %s", key, s.summary)
	}
	g.say("now: %s", f.what)
	g.struck = time.Now()
	f.strike(g)
	if len(f.alerts) == 0 {
		time.Sleep(calm)
		for key, s := range w.watch.of(g.job) {
			t.Errorf("%s is told by %s: %s", f.what, key, s.summary)
		}
		return []row{{what: f.what}}
	}
	g.eventually("all alerts have come", comes, func() error {
		now := w.watch.of(g.job)
		for _, key := range f.alerts {
			if now[key] == nil {
				return fmt.Errorf("%s has not, of %d", key, len(now))
			}
		}
		return nil
	})
	g.look(f.what)
	cured := g.struck
	if f.cure != nil {
		g.say("cured")
		cured = time.Now()
		f.cure(g)
	}
	g.eventually("the alerts have gone", goes, func() error {
		for key, s := range w.watch.of(g.job) {
			if f.stays[key] == "" && s.active {
				return fmt.Errorf("%s has not: %s", key, s.summary)
			}
		}
		return nil
	})
	g.eventually("who is to be told has been, of all of it", heard, func() error {
		for key, s := range w.watch.of(g.job) {
			if !s.told.IsZero() && f.stays[key] == "" {
				if err := w.watch.told(g.job, key, s); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return f.rows(g, cured)
}

// rows are the lines about what came, in that order; what should not have come fails the test.
func (f *fault) rows(g *group, cured time.Time) (rows []row) {
	g.Helper()
	for key, s := range g.watch.of(g.job) {
		may := slices.Contains(f.may, key)
		if !may && !slices.Contains(f.alerts, key) {
			g.Errorf("%s is told by %s too: %s", f.what, key, s.summary)
		}
		if may && !s.told.IsZero() {
			g.Errorf("%s pages again, by %s, %.0f s after the cure", f.what, key, s.told.Sub(cured).Seconds())
		}
		rows = append(rows, row{what: f.what, alert: key, sighting: *s, after: s.first.Sub(g.struck), gone: s.last.Sub(cured), stays: f.stays[key]})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.after, b.after) })
	return rows
}

// row is a line of the table: an alert of a fault, or that there was none.
type row struct {
	what, alert, stays string
	sighting
	after, gone time.Duration
}

// table is what docs/runbooks/README.md has.
func table(rows []row) string {
	text := "| fault | alert | after | gone after |\n| --- | --- | --- | --- |\n"
	before := ""
	for _, r := range rows {
		what := r.what
		if what == before {
			what = ""
		}
		before = r.what
		alert, after, gone := r.alert, fmt.Sprintf("%.0f s", r.after.Seconds()), fmt.Sprintf("%.0f s", r.gone.Seconds())
		switch {
		case alert == "":
			alert, after, gone = "none", "", ""
		case r.told.IsZero():
			alert += " (inhibited)"
		case r.told.Sub(r.first) > 10*time.Second:
			alert += fmt.Sprintf(" (inhibited for %.0f s)", r.told.Sub(r.first).Seconds())
		}
		if r.stays != "" {
			gone = r.stays
		}
		text += fmt.Sprintf("| %s | %s | %s | %s |\n", what, alert, after, gone)
	}
	return text
}
