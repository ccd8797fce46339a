package quality

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// pointCopies change the sets in ways that leave most anomalies what they are, or make other data of them: many fields, fields that go together, that are
// hardly ever anything but 0, or that say nothing; other shares and orders of anomalies. What a detector loses on them beside others it had fitted to the sets.
func pointCopies() []pointCopy {
	return []pointCopy{
		{"as it is", func(s *labelled, _ *rand.Rand) *labelled { return s }},
		{"shuffled", shuffleRows},
		{"reversed", reverseRows},
		{"every other row", thinRows},
		{"first 15 % cut", cutRows},
		{"a fifth of the anomalies", rarer},
		{"one burst of anomalies", gather},
		{"a fifth of all is anomalies", frequent},
		{"in turn with the next set", nil}, // which no change of one set makes: see of
		{"half of the fields", halfOfFields},
		{"four constant fields", widened(4, func(*rand.Rand) func() float64 { return func() float64 { return 7 } })},
		{"noise up to 30 fields", widened(-30, normalDraws)},
		{"noise up to 64 fields", widened(-64, normalDraws)},
		{"twenty 0-1 fields", widened(20, sometimesOne)},
		{"turned", projected(0, 0)},
		{"projected on 48 fields", projected(48, .1)},
		{"projected on 64 fields", projected(64, .3)},
		{"64 fields cut off at 0, in steps", rectified},
		{"bins of a fifth, 0-1", binned},
		{"wide tails", eachValue(func(z float64, _ *rand.Rand) float64 { return math.Sinh(z) })},
		{"squares", eachValue(func(z float64, _ *rand.Rand) float64 { return (z + 3) * math.Abs(z+3) })},
		{"squashed", eachValue(func(z float64, _ *rand.Rand) float64 { return math.Asinh(3 * z) })},
		{"roots", eachValue(func(z float64, _ *rand.Rand) float64 { return math.Copysign(math.Sqrt(math.Abs(z)), z) })},
		{"in steps of a half", eachValue(func(z float64, _ *rand.Rand) float64 { return math.Round(2*z) / 2 })},
		{"cut off at 0", eachValue(func(z float64, _ *rand.Rand) float64 { return max(0, z) })},
		{"noise in all fields", eachValue(func(z float64, r *rand.Rand) float64 { return z + .3*r.NormFloat64() })},
		{"levels that wander", wander},
	}
}

type pointCopy struct {
	name   string
	change pointChange
}

// pointChange makes another set, which may share rows with s but changes none.
type pointChange func(s *labelled, r *rand.Rand) *labelled

// of returns the copy of each set; the same each time. Those with too few anomalies to tell anything are left out.
func (c pointCopy) of(sets []*labelled, seed uint64) []*labelled {
	var changed []*labelled
	for i, s := range sets {
		var copied *labelled
		if c.change == nil {
			copied = inTurn(s, sets[(i+1)%len(sets)])
		} else {
			copied = c.change(s, rand.New(rand.NewPCG(seed, uint64(i)))) //nolint:gosec // no secret, and i ≥ 0
		}
		if copied.anomalies() >= fewest {
			copied.name = s.name
			changed = append(changed, copied)
		}
	}
	return changed
}

const (
	fewest   = 5    // anomalies of a copy
	copyRows = 8000 // of a set are copied
)

// taken are the rows of a set that are copied: so many in a row, among which there are the most anomalies.
func taken(s *labelled, rows int) *labelled {
	x, y := s.x, s.y
	if s.name == "cover" && len(x) > early {
		x, y = x[early:], y[early:]
	}
	best, most := 0, -1
	for from := 0; from+rows <= len(x); from += rows / 10 {
		n := 0
		for _, odd := range y[from : from+rows] {
			if odd {
				n++
			}
		}
		if n > most {
			best, most = from, n
		}
	}
	end := min(len(x), best+rows)
	return &labelled{name: s.name, x: x[best:end], y: y[best:end]}
}

// anomalies counts them.
func (s *labelled) anomalies() (n int) {
	for _, odd := range s.y {
		if odd {
			n++
		}
	}
	return n
}

// tally sums up what kinds reach on sets. The first kind is held against the best of the others on each set anew, which no one of them is.
type tally struct {
	auc    []float64 // of each kind, summed up
	short  float64   // by how much the first is below the best of the others, summed up
	behind int       // sets on which it is
	sets   int
}

// add takes in the kinds' AUC on a set.
func (t *tally) add(auc []float64) {
	t.sets++
	t.auc = append(t.auc, make([]float64, len(auc)-len(t.auc))...)
	for kind, v := range auc {
		t.auc[kind] += v
	}
	if short := slices.Max(auc[1:]) - auc[0]; short > 0 {
		t.short += short
		t.behind++
	}
}

// row is that of the table, with means over the sets.
func (t *tally) row(name string) []string {
	row := []string{name}
	for _, sum := range append(slices.Clone(t.auc), t.short) {
		row = append(row, fmt.Sprintf("%.3f", sum/float64(t.sets)))
	}
	return append(row, fmt.Sprintf("%d of %d", t.behind, t.sets))
}

// askPointCopies measures the kinds on the changed copies, with one seed.
func askPointCopies(ctx context.Context, r *Report, sets []*labelled) error {
	kinds := []string{"points", "forest", "half_space_trees", inDeviations}
	rows := make([]*labelled, len(sets))
	for i, s := range sets {
		rows[i] = taken(s, copyRows)
	}
	type copied struct {
		copy string
		runs []*pointRun // of a set, by kind
	}
	var all []copied
	var runs []*pointRun
	for i, c := range pointCopies() {
		for _, s := range c.of(rows, uint64(i)) {
			one := copied{copy: c.name}
			for _, kind := range kinds {
				one.runs = append(one.runs, &pointRun{set: s, name: kind, seed: 1})
			}
			all, runs = append(all, one), append(runs, one.runs...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if err := r.inParallel(ctx, len(runs), func(ctx context.Context, i int) (string, error) {
		return fmt.Sprintf("%s on a copy of %s", runs[i].name, runs[i].set.name), runs[i].play(ctx)
	}); err != nil {
		return err
	}
	var total, own tally
	var table [][]string
	for i, c := range all {
		auc := make([]float64, len(kinds))
		for kind, p := range c.runs {
			auc[kind] = p.auc[p.set.name]
		}
		total.add(auc)
		own.add(auc)
		if last := i == len(all)-1; last || all[i+1].copy != c.copy {
			table = append(table, own.row(c.copy))
			own = tally{}
		}
	}
	table = append(table, total.row("**mean**"))
	r.text("Changed copies of the sets, %d rows in a row of each: mean ROC AUC over the sets with one seed, by how much `points` is below the best of the others on a set, "+
		"0 where it is above, and on how many it is below. Without `cut_forest`, which takes longer than all the rest.\n", copyRows)
	r.table(append(append([]string{"copy"}, kinds...), "short by", "below"), table)
	r.figure("points.copies.points", total.auc[0]/float64(total.sets))
	r.figure("points.copies.short", -total.short/float64(total.sets))
	return nil
}
