package quality

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
)

// example is a row with its class, 0 or 1.
type example struct {
	x []float64
	y int
}

// drifts are the kinds of change. Each is drawn anew for a run; what it makes of a row, false for none.
var drifts = []struct {
	name string
	draw func(r *rand.Rand, medians []float64) func(e *example) bool
}{
	{"x_perm", func(r *rand.Rand, medians []float64) func(e *example) bool {
		order := r.Perm(len(medians))
		return func(e *example) bool {
			x := make([]float64, len(order))
			for i, from := range order {
				x[i] = e.x[from]
			}
			e.x = x
			return true
		}
	}},
	{"y_swap", func(r *rand.Rand, _ []float64) func(e *example) bool {
		label := r.IntN(driftLabels)
		return func(e *example) bool {
			if e.y == label {
				e.y = 1 - label
			}
			return true
		}
	}},
	{"y_prior", func(r *rand.Rand, _ []float64) func(e *example) bool {
		label := r.IntN(driftLabels)
		return func(e *example) bool { return e.y != label || r.Float64() >= 0.75 }
	}},
	{"x_exceed", func(r *rand.Rand, medians []float64) func(e *example) bool {
		i := r.IntN(len(medians))
		return func(e *example) bool { return e.x[i] <= medians[i] }
	}},
}

// outcome is whether the prediction of a row's class was right.
type outcome struct {
	row   int
	x     []float64
	right bool
}

// readElectricity returns the rows in their order, and the median of each attribute.
func readElectricity(dir string) (rows []example, medians []float64, err error) {
	table, err := readLabelled(filepath.Join(dir, "drift", "elec.csv.gz"), 0, 0)
	if err != nil {
		return nil, nil, err
	}
	for i, x := range table.x {
		e := example{x: x}
		if table.y[i] {
			e.y = 1
		}
		rows = append(rows, e)
	}
	for i := range table.x[0] {
		column := make([]float64, len(rows))
		for n := range rows {
			column[n] = rows[n].x[i]
		}
		slices.Sort(column)
		medians = append(medians, column[len(column)/2])
	}
	return rows, medians, nil
}

// driftRun is a stream with its own order of rows and one drift.
type driftRun struct {
	rows    []example
	medians []float64
	order   []int
	begin   int
	before  []outcome // of the rows from the middle on, up to the drift
	tree    *hoeffdingTree
}

// newDriftRun plays the rows before the drift.
func newDriftRun(rows []example, medians []float64, seed uint64) *driftRun {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // draws
	r := &driftRun{
		rows: rows, medians: medians, order: random.Perm(len(rows)), begin: int(float64(len(rows)) * (0.6 + 0.3*random.Float64())),
		tree: newHoeffdingTree(len(medians)),
	}
	for row, i := range r.order[:r.begin] {
		e := rows[i]
		if row > len(rows)/2 {
			r.before = append(r.before, outcome{row, e.x, r.tree.predict(e.x) == e.y})
		}
		r.tree.learn(e.x, e.y)
	}
	return r
}

// play returns the outcomes of all rows from the middle on, with a drift that takes some rows to be complete.
func (r *driftRun) play(kind int, seed uint64, width int) []outcome {
	random := rand.New(rand.NewPCG(seed, uint64(1+kind))) //nolint:gosec // draws
	change := drifts[kind].draw(random, r.medians)
	tree, all := r.tree.clone(), slices.Clone(r.before)
	for n, i := range r.order[r.begin:] {
		e := r.rows[i]
		if n >= width || random.Float64() < float64(n)/float64(width) {
			if !change(&e) {
				continue
			}
		}
		all = append(all, outcome{r.begin + n, e.x, tree.predict(e.x) == e.y})
		tree.learn(e.x, e.y)
	}
	return all
}
