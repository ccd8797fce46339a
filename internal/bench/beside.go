package bench

import "context"

const beside = ", beside"

// runBeside runs a row again by the other program, and notes how many times as much ours took.
func (w *world) runBeside(ctx context.Context, row row) error {
	w.say("%s", row.name+beside)
	other := *w
	other.Program, other.suffix, other.Profile = []string{w.Beside}, beside, ""
	err := row.run(&other, ctx)
	w.groups = other.groups
	if err != nil {
		return err
	}
	for _, name := range w.columns() {
		ours, theirs := w.figure(row.name, name), w.figure(row.name+beside, name)
		if ours == nil || theirs == nil {
			continue
		}
		if last := theirs.Runs[len(theirs.Runs)-1]; last > 0 {
			w.Add(row.name+" ÷ beside", name, ours.Runs[len(ours.Runs)-1]/last)
		}
	}
	return nil
}
