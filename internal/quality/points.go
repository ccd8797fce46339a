package quality

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/detectors"
)

// early is the row of cover from which on it tells something: before, 61 % of rows are anomalies, so that minus the row number is a
// good score of the whole.
const early = 4320

// pointPeers are figures of others on these files, each row scored before it was learned: an online isolation forest after Leveni et al.
// (2024) in Python, 32 trees and a window of 2048 points; the half-space trees of river behind its online min-max scaler, with one seed, and
// with river 0.26.1 and defaults the median of seeds 1 to 5 and 42 (of cover without 5); the random cut forest of AWS in Java, 50 trees of 256 points.
// Shuffled, the first and the last were given a point to score only after they had learned it.
var pointPeers = []struct {
	name string
	auc  map[string]map[string]float64 // by order and set
}{
	{
		"online isolation forest, Python", map[string]map[string]float64{
			"file":     {"mammography": .851, "annthyroid": .748, "shuttle": .986, "smtp": .848, "cover": .803, lateCover: .928, "satimage-2": .883},
			"shuffled": {"mammography": .868, "annthyroid": .784, "shuttle": .994, "smtp": .822, "cover": .872, "satimage-2": .945},
		},
	},
	{
		"half-space trees, river", map[string]map[string]float64{
			"file":     {"mammography": .833, "annthyroid": .642, "shuttle": .985, "smtp": .871, "cover": .593, "satimage-2": .818},
			"shuffled": {"mammography": .813, "annthyroid": .653, "shuttle": .986, "smtp": .867, "cover": .795},
		},
	},
	{
		"half-space trees, river, median of 6 seeds", map[string]map[string]float64{
			"file": {"mammography": .824, "annthyroid": .586, "shuttle": .960, "smtp": .735, "cover": .674, "satimage-2": .918},
		},
	},
	{
		"random cut forest, Java", map[string]map[string]float64{
			"file":     {"mammography": .861, "annthyroid": .722, "shuttle": .987, "smtp": .902, "cover": .354, "satimage-2": .990},
			"shuffled": {"mammography": .858, "annthyroid": .721, "shuttle": .987, "smtp": .896, "cover": .850},
		},
	},
}

const lateCover = "cover from row 4320"

// pointRun is one pass over a set.
type pointRun struct {
	set      *labelled
	name     string // of a kind, or of a trivial score
	seed     uint64
	shuffled bool
	auc      map[string]float64 // by column of the table
}

// long is the number of rows beyond which all but the default kind have one seed: a pass of the slowest takes as long as twenty of the others.
const long = 20_000

func (p *pointRun) play(ctx context.Context) error {
	score, err := newScorer(p.name, len(p.set.x[0]), p.seed)
	if err != nil {
		return err
	}
	n := len(p.set.x)
	scores, y := make([]float64, n), p.set.y
	order := []int(nil)
	if p.shuffled {
		order = rand.New(rand.NewPCG(p.seed, 2)).Perm(n) //nolint:gosec // reproducible on purpose
		y = make([]bool, n)
	}
	for i := range n {
		if i%10_000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row := i
		if p.shuffled {
			row = order[i]
			y[i] = p.set.y[row]
		}
		scores[i] = score(i, p.set.x[row])
	}
	p.auc = map[string]float64{p.set.name: auc(scores, y)}
	if p.set.name == "cover" && !p.shuffled && n > early {
		p.auc[lateCover] = auc(scores[early:], y[early:])
	}
	return nil
}

// askPoints measures how well the multivariate kinds order labelled points.
func askPoints(ctx context.Context, r *Report) error {
	sets, err := readFolder(filepath.Join(r.Data, "points"), 0, 0)
	if err != nil {
		return err
	}
	slices.SortFunc(sets, func(a, b *labelled) int { return len(b.x) - len(a.x) }) // the longest first, so that nobody waits for it
	var runs []*pointRun
	var names []string
	add := func(name string, seeds int) {
		names = append(names, name)
		for _, set := range sets {
			inOrder, shuffled := seeds, r.Seeds
			if name != "points" && len(set.x) > long {
				inOrder, shuffled = 1, 1
			}
			for s := range shuffled {
				if s < inOrder {
					runs = append(runs, &pointRun{set: set, name: name, seed: uint64(s + 1)})
				}
				runs = append(runs, &pointRun{set: set, name: name, seed: uint64(s + 1), shuffled: true})
			}
		}
	}
	for _, kind := range multivariate {
		seeds := 1
		if seed(detectors.Kinds[kind](), 0) {
			seeds = r.Seeds
		}
		add(kind, seeds)
	}
	for _, t := range trivial {
		add(t.name, r.Seeds)
	}
	if err := r.inParallel(ctx, len(runs), func(ctx context.Context, i int) (string, error) {
		p := runs[i]
		return fmt.Sprintf("%s on %s, seed %d, shuffled %v", p.name, p.set.name, p.seed, p.shuffled), p.play(ctx)
	}); err != nil {
		return err
	}
	r.text("ROC AUC of all scores, each row scored before it is learned; a row in warm-up scores lowest. Median [least, greatest] of %d seeds "+
		"of the detector, and where rows are shuffled of their order; of sets with more than %d rows all but `points` have one. In cover 61 %% of the rows before %d are "+
		"anomalies.\n", r.Seeds, long, early)
	slices.SortFunc(sets, func(a, b *labelled) int { return strings.Compare(a.name, b.name) })
	r.pointTable(sets, names, runs, false)
	r.pointTable(sets, names, runs, true)
	return askPointCopies(ctx, r, sets)
}

// pointTable writes the table of one order, and keeps the medians of the detectors.
func (r *Report) pointTable(sets []*labelled, names []string, runs []*pointRun, shuffled bool) {
	order, title := "file", "in file order"
	if shuffled {
		order, title = "shuffled", "shuffled"
	}
	var columns []string
	for _, set := range sets {
		columns = append(columns, set.name)
		if set.name == "cover" && !shuffled {
			columns = append(columns, lateCover)
		}
	}
	var rows [][]string
	for _, name := range names {
		row := []string{name}
		for _, column := range columns {
			var values []float64
			for _, p := range runs {
				if v, ok := p.auc[column]; ok && p.name == name && p.shuffled == shuffled {
					values = append(values, v)
				}
			}
			slices.Sort(values)
			if slices.Contains(multivariate, name) && len(values) > 0 {
				r.figure("points."+order+"."+strings.ReplaceAll(column, " ", "_")+"."+name, median(values))
			}
			row = append(row, spread(values))
		}
		rows = append(rows, row)
	}
	for _, peer := range pointPeers {
		row := []string{peer.name + " (published or measured by others)"}
		for _, column := range columns {
			text := "–"
			if v, ok := peer.auc[order][column]; ok {
				text = fmt.Sprintf("%.3f", v)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	r.table(append([]string{title}, columns...), rows)
}

// median of sorted values; of an even number the lower one in the middle.
func median(sorted []float64) float64 { return sorted[(len(sorted)-1)/2] }

// spread writes the median of sorted values and, where they differ, their range.
func spread(sorted []float64) string {
	if len(sorted) == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.3f", median(sorted))
	if first, last := sorted[0], sorted[len(sorted)-1]; last-first >= .0005 {
		text += fmt.Sprintf(" [%.3f, %.3f]", first, last)
	}
	return text
}

// inParallel runs n tasks on as many cores as there are, and logs each as it is done.
func (r *Report) inParallel(ctx context.Context, n int, task func(context.Context, int) (name string, err error)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex // of the log
	for i := range n {
		g.Go(func() error {
			begin := time.Now()
			name, err := task(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			if took := time.Since(begin); took >= time.Second {
				_, _ = fmt.Fprintf(r.Log, "%d of %d: %s: %s\n", i+1, n, name, took.Round(time.Second/10))
			}
			return err
		})
	}
	return g.Wait()
}
