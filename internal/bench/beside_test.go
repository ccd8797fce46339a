package bench

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
)

// Both programs run at once where that is asked for, each in groups of its own.
func TestAtOnce(t *testing.T) {
	w := &world{Options: Options{Program: []string{"ours"}, Beside: "theirs", Log: io.Discard}, Result: &Result{}}
	met := make(chan string)
	turn := row{"records", func(w *world, _ context.Context) error {
		w.groups++
		takes := map[string]float64{"ours": 3, "theirs": 2}[w.Program[0]]
		if w.suffix == "" {
			met <- "ours is under way"
		} else {
			<-met // for ever, by turns
		}
		w.Add("records"+w.suffix, cpu, takes*float64(w.groups))
		return nil
	}}
	for range 2 {
		if err := w.runAtOnce(t.Context(), turn); err != nil {
			t.Fatal(err)
		}
	}
	ours, theirs, ratio := w.figure("records", cpu), w.figure("records"+beside, cpu), w.figure("records ÷ beside", cpu)
	if !slices.Equal(ours.Runs, []float64{3, 9}) || !slices.Equal(theirs.Runs, []float64{4, 8}) || !slices.Equal(ratio.Runs, []float64{0.75, 1.125}) || w.groups != 4 {
		t.Errorf("%v ÷ %v = %v in %d groups, want 3 and 9, 4 and 8, in groups 1 to 4", ours, theirs, ratio, w.groups)
	}
}

// The other program is run after ours, as a row of its own, and each run's ratio is kept.
func TestBeside(t *testing.T) {
	w := &world{Options: Options{Program: []string{"ours"}, Beside: "theirs", Log: io.Discard}, Result: &Result{}}
	takes := map[string][]float64{"ours": {3, 8}, "theirs": {2, 4}}
	var ran []string
	turn := row{"records", func(w *world, _ context.Context) error {
		program := w.Program[0]
		ran = append(ran, program)
		if len(takes[program]) == 0 {
			return errors.New("no more")
		}
		w.groups++
		w.Add("records"+w.suffix, cpu, takes[program][0])
		takes[program] = takes[program][1:]
		return nil
	}}
	for range 2 {
		if err := errors.Join(turn.run(w, t.Context()), w.runBeside(t.Context(), turn)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"ours", "theirs", "ours", "theirs"}; !slices.Equal(ran, want) || w.groups != 4 {
		t.Errorf("ran %v in %d groups, want %v in 4", ran, w.groups, want)
	}
	if f := w.figure("records ÷ beside", cpu); f == nil || !slices.Equal(f.Runs, []float64{1.5, 2}) {
		t.Errorf("ratios %v, want 1.5 and 2", f)
	}
	if err := w.runBeside(t.Context(), turn); err == nil {
		t.Error("a program that fails is no error")
	}
}
