package quality

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	costRows  = 20_000 // of a set are taken at most
	costBatch = 64     // rows that are timed together: few, so that what else runs on the machine spoils few batches
)

// askCost measures what a point costs the multivariate kinds, one after the other.
func askCost(ctx context.Context, r *Report) error {
	sets, err := readFolder(filepath.Join(r.Data, "points"), 0, 0)
	if err != nil {
		return err
	}
	header := []string{"µs a point"}
	for _, set := range sets {
		header = append(header, fmt.Sprintf("%s, %d fields", set.name, len(set.x[0])))
	}
	var rows [][]string
	for _, kind := range multivariate {
		row := []string{kind}
		for _, set := range sets {
			micros, err := set.cost(ctx, kind)
			if err != nil {
				return err
			}
			row = append(row, fmt.Sprintf("%.1f", micros))
			if len(set.x[0]) == 10 {
				r.figure("cost.ten_fields."+kind, -micros)
			}
			r.progress("cost: %s on %s: %.1f µs", kind, set.name, micros)
		}
		rows = append(rows, row)
	}
	r.text("Score and learn together, on one core, the first %d rows in file order. Batches of %d rows are timed in the second half, and the time is that which a tenth "+
		"of them stays below: what else the machine does can only add to it. Others, measured by others: half-space trees of river 12 µs, random cut forest in Java 39 "+
		"to 57, online isolation forest in Python 300.\n", costRows, costBatch)
	r.table(header, rows)
	return nil
}

// cost is the time in µs that kind takes for a row.
func (s *labelled) cost(ctx context.Context, kind string) (micros float64, err error) {
	score, err := newScorer(kind, len(s.x[0]), 1)
	if err != nil {
		return 0, err
	}
	x := s.x[:min(len(s.x), costRows)]
	var batches []float64
	for from := 0; from < len(x); from += costBatch {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		batch := x[from:min(len(x), from+costBatch)]
		begin := time.Now()
		for i, row := range batch {
			score(from+i, row)
		}
		took := float64(time.Since(begin).Nanoseconds()) / 1000 / float64(len(batch))
		if from >= len(x)/2 {
			batches = append(batches, took)
		}
	}
	slices.Sort(batches)
	return batches[len(batches)/10], nil
}
