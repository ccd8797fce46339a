package bench

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// The parts are measured in this process: every row has its figures, and what is ours allocates nothing.
func TestParts(t *testing.T) {
	for _, c := range []struct {
		b    Benchmark
		o    Options
		rows string
		time string // the figure of it
		none string // the figure that is 0
	}{
		{
			decodeBenchmark, Options{Fields: []int{2}}, "json × 2, encoding/json × 2, json, nested × 2, json, more × 2, csv × 2", "ns/record", "allocations/record",
		},
		{detectorsBenchmark, Options{Only: []string{"ewma", "forest"}, Fields: []int{1, 3}}, "ewma × 1, ewma × 3, forest × 1, forest × 3", "ns/point", "allocations/point"},
	} {
		c.o.Runs, c.o.Log = 1, io.Discard
		r, err := c.b.Run(t.Context(), c.o)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, row := range r.Rows {
			names = append(names, row.Name)
			if took := r.Median(row.Name, c.time); !(took > 0) {
				t.Errorf("%s takes %v ns", row.Name, took)
			}
			if n := r.Median(row.Name, c.none); (n >= 1) != strings.HasPrefix(row.Name, "encoding/json") {
				t.Errorf("%s: %v %s", row.Name, n, c.none)
			}
		}
		if got := strings.Join(names, ", "); got != c.rows {
			t.Errorf("rows %s, want %s", got, c.rows)
		}
	}
}

func TestPartsAreChecked(t *testing.T) {
	for _, c := range []struct {
		b    Benchmark
		o    Options
		want string
	}{
		{decodeBenchmark, Options{Fields: []int{0}}, "decode: --fields is 0, want 1 to 1000"},
		{detectorsBenchmark, Options{Fields: []int{300}}, "detectors: --fields is 300, want 1 to 256"},
		{detectorsBenchmark, Options{Only: []string{"magic"}}, "detectors: --only is magic, want cusum, cut_forest"},
	} {
		c.o.Runs, c.o.Log = 1, io.Discard

		if _, err := c.b.Run(t.Context(), c.o); !strings.HasPrefix(fmt.Sprint(err), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
