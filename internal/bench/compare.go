package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// Against is a cell with the figure and, where an earlier result has it too, how many times that it is: of the medians, and from the
// least to the most that the runs allow.
func Against(before *Result) func(row string, f *Figure) string {
	return func(row string, f *Figure) string {
		was := before.figure(row, f.Name)
		if was == nil || slices.Min(was.Runs) <= 0 {
			return f.String()
		}
		ratio := f.Median() / was.Median()
		if len(f.Runs) == 1 && len(was.Runs) == 1 {
			return fmt.Sprintf("%s: %.2f×", f, ratio)
		}
		least, most := slices.Min(f.Runs)/slices.Max(was.Runs), slices.Max(f.Runs)/slices.Min(was.Runs)
		return fmt.Sprintf("%s: %.2f× (%.2f – %.2f)", f, ratio, least, most)
	}
}

// Gate is a committed baseline: figures that must not grow.
type Gate struct {
	Tolerance float64                       `json:"tolerance"` // share by which a figure may lie above its baseline
	Baseline  map[string]map[string]float64 `json:"baseline"`  // row, figure
}

// ReadGate reads a gate from a JSON file.
func ReadGate(path string) (Gate, error) {
	b, err := os.ReadFile(path) //nolint:gosec // a file that the user names
	if err != nil {
		return Gate{}, err
	}
	var g Gate
	if err := json.Unmarshal(b, &g); err != nil {
		return Gate{}, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// Check says by how much each figure lies above what the gate lets through. What the gate has and the result has not is an error too.
func (g Gate) Check(r *Result) error {
	var errs []error
	for row, figures := range g.Baseline {
		for name, baseline := range figures {
			f := r.figure(row, name)
			if f == nil {
				errs = append(errs, fmt.Errorf("%s of %s was not measured", name, row))
				continue
			}
			if most := baseline * (1 + g.Tolerance); f.Median() > most {
				errs = append(errs, fmt.Errorf("%s of %s is %.3g, want at most %.3g: it is %.2f times the baseline %.3g, and %.2f times are let through",
					name, row, f.Median(), most, f.Median()/baseline, baseline, 1+g.Tolerance))
			}
		}
	}
	return errors.Join(errs...)
}
