package quality

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"github.com/gonomaly/gonomaly/detectors"
)

// askTailsOfData does the same with the scores of every kind on real points: those that are labelled are learned, and not counted.
func askTailsOfData(ctx context.Context, r *Report) error {
	nab, err := readNAB(filepath.Join(r.Data, "nab"))
	if err != nil {
		return err
	}
	sets, err := readFolder(filepath.Join(r.Data, "points"), 0, 0)
	if err != nil {
		return err
	}
	kinds := [2][]*labelled{{}, sets}
	for _, f := range nab {
		kinds[0] = append(kinds[0], f.labelled())
	}
	r.text("The same of ordinary points of real data, whose law changes and whose points depend on one another, all files together; a file's first 1,000 points are not counted, nor is what goes on of an alarm that began in a labelled anomaly, for as long as that.\n")
	var rows [][]string
	for _, kind := range slices.Sorted(maps.Keys(detectors.Kinds)) {
		r.progress("tails: scores of %s", kind)
		row := []string{kind}
		for _, files := range kinds {
			for _, decades := range []float64{3, 4} {
				n, of := 0, 0
				for _, f := range files {
					if err := ctx.Err(); err != nil {
						return err
					}
					fired, counted, err := f.alarms(kind, decades)
					if err != nil {
						return err
					}
					n, of = n+fired, of+counted
				}
				row = append(row, fmt.Sprintf("%.2f (%d in %d)", float64(n)/float64(of)*math.Pow(10, decades), n, of))
			}
		}
		rows = append(rows, row)
	}
	r.table([]string{"kind", "NAB, 1 in 1000", "NAB, 1 in 10000", "points, 1 in 1000", "points, 1 in 10000"}, rows)
	return nil
}

// alarms counts those among the rows that nobody calls an anomaly. What goes on of one that began in an anomaly, for as many rows as that has, is
// none of them, and no row.
func (s *labelled) alarms(kind string, decades float64) (n, of int, err error) {
	d, err := newScored(kind, len(s.x[0]))
	if err != nil {
		return 0, 0, err
	}
	goesOn, odd, since := false, 0, 0 // an alarm; rows of the last anomaly, and after it
	for i, x := range s.x {
		fired, ok := d.next(detectors.Point{Time: s.time(i), X: x}, decades)
		switch {
		case !s.y[i]:
			since++
		case i == 0 || !s.y[i-1]:
			odd, since = 1, 0
		default:
			odd++
		}
		goesOn = fired && (goesOn || s.y[i]) && since <= odd
		if i < 1000 || !ok || s.y[i] || goesOn {
			continue
		}
		of++
		if fired {
			n++
		}
	}
	return n, of, nil
}
