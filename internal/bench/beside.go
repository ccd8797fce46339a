package bench

import (
	"context"

	"golang.org/x/sync/errgroup"
)

const beside = ", beside"

// other is the world of the other program.
func (w *world) other() *world {
	o := *w
	o.Program, o.suffix, o.Profile = []string{w.Beside}, beside, ""
	return &o
}

// runBeside runs a row again by the other program, and notes how many times as much ours took.
func (w *world) runBeside(ctx context.Context, row row) error {
	w.say("%s", row.name+beside)
	other := w.other()
	err := row.run(other, ctx)
	w.groups = other.groups
	if err != nil {
		return err
	}
	w.compare(row)
	return nil
}

// runAtOnce runs a row by both programs at the same time: what disturbs the machine for a second disturbs both alike.
func (w *world) runAtOnce(ctx context.Context, row row) error {
	other := w.other()
	other.Result, other.groups = &Result{}, w.groups+1
	both, inner := errgroup.WithContext(ctx)
	both.Go(func() error { return row.run(w, inner) })
	both.Go(func() error { return row.run(other, inner) })
	if err := both.Wait(); err != nil {
		return err
	}
	w.groups = other.groups
	for _, r := range other.Rows {
		for _, f := range r.Figures {
			for _, x := range f.Runs {
				w.Add(r.Name, f.Name, x)
			}
		}
	}
	w.compare(row)
	return nil
}

// compare notes how many times as much as the other program ours took in the last run of a row.
func (w *world) compare(row row) {
	for _, name := range w.columns() {
		ours, theirs := w.figure(row.name, name), w.figure(row.name+beside, name)
		if ours == nil || theirs == nil {
			continue
		}
		if last := theirs.Runs[len(theirs.Runs)-1]; last > 0 {
			w.Add(row.name+" ÷ beside", name, ours.Runs[len(ours.Runs)-1]/last)
		}
	}
}
