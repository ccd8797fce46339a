package bench

import (
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// A state is stored and comes back whole; each series has its bytes.
func TestStates(t *testing.T) {
	o := Options{Runs: 1, Series: []int{300}, Log: io.Discard}
	r, err := checkpointBenchmark.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for figure, least := range map[string]float64{
		"bytes/series": 150, "whole: MB": 300 * 150 / 1e6, "1 %: MB": 3 * 150 / 1e6, "whole: stored MB": 1e-3, "whole: store ms": 1e-3, "pause max ms": 1e-3,
	} {
		if got := r.Median("300 series", figure); !(got >= least) {
			t.Errorf("%s is %v, want %v or more", figure, got, least)
		}
	}
	if whole, changed := r.Median("300 series", "whole: MB"), r.Median("300 series", "1 %: MB"); changed > whole/10 {
		t.Errorf("one in a hundred comes to %v MB, all to %v", changed, whole)
	}
	if r, err = restoreBenchmark.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := r.Median("300 series", "series/s"); !(got > 0) {
		t.Errorf("%v series a second come back", got)
	}
	o.Series = []int{3}
	if _, err := restoreBenchmark.Run(t.Context(), o); err == nil {
		t.Error("three series are taken")
	}
}

// Alerts go to all three sinks.
func TestAlerts(t *testing.T) {
	o := Options{Runs: 1, Events: 5000, Partitions: 2, Log: io.Discard}
	r, err := alertsBenchmark.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Median("three sinks", "alerts/s"); !(got > 0) {
		t.Errorf("%v alerts a second", got)
	}
	o.Events = 0
	if _, err := alertsBenchmark.Run(t.Context(), o); err == nil {
		t.Error("no alerts are taken")
	}
}

// A shape's records are of its size, and its job reads its fields; every change is one thing.
func TestShapes(t *testing.T) {
	for _, c := range append(changes(), checks()...) {
		n := 0
		for e := range c.shape.events() {
			if len(e.Value) != c.shape.bytes {
				t.Errorf("%s: a record of %d bytes, want %d", c.name, len(e.Value), c.shape.bytes)
			}
			if n++; n == 10 {
				break
			}
		}
		s, err := c.shape.stream()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if (s.Window != nil) != c.shape.windows || len(s.Decode.Values) != c.shape.fields || len(s.Detectors) != c.shape.detectors || s.Detectors[0].Kind != c.shape.kind {
			t.Errorf("%s: the job has %d fields and the detectors %v", c.name, len(s.Decode.Values), s.Detectors)
		}
	}
}

// measuredAs are curves in which each shape takes what cost says.
func measuredAs(cost func(shape) float64) *Result {
	r := &Result{}
	for _, c := range changes() {
		r.Add(c.name, cpu, cost(c.shape))
		r.Add(c.name, toUsual, cost(c.shape)/cost(usualShape))
		r.Add(c.name, eventRate, 1e6)
		r.Add(c.name, resident, 100)
		r.Add(c.name, rawCPU, 0.3)
	}
	return r
}

// On curves that are straight lines the model is exact.
func TestPlan(t *testing.T) {
	kinds := map[string]float64{"metric": 0.1, "points": 0.5} // for each field
	r := measuredAs(func(s shape) float64 {
		cost := 0.5 + 0.001*float64(s.bytes) + 0.02*float64(s.fields) + 0.3*float64(s.detectors) + kinds[s.kind]*float64(s.fields)
		if s.kind == "half_space_trees" {
			cost += 2
		}
		if s.windows {
			cost += 0.2
		}
		if s.partitions == 64 {
			cost += 0.2
		}
		return cost
	})
	for _, c := range []struct {
		shape shape
		want  float64
	}{
		{usualShape, 0.5 + 0.2 + 0.1 + 0.3},
		{shape{keys: 5000, bytes: 2000, fields: 5, detectors: 3, kind: "ewma"}, 0.5 + 2 + 0.1 + 0.9},
		{shape{keys: 5000, bytes: 8000, fields: 5, detectors: 1, kind: "metric"}, 0.5 + 8 + 0.1 + 0.3 + 0.5},
		{shape{keys: 50, bytes: 400, fields: 10, detectors: 1, kind: "points"}, 0.5 + 0.4 + 0.2 + 0.3 + 5},
		{shape{keys: 50, bytes: 400, fields: 10, detectors: 1, kind: "half_space_trees"}, 0.5 + 0.4 + 0.2 + 0.3 + 2},
		{shape{keys: 5000, bytes: 200, fields: 5, detectors: 1, kind: "ewma", partitions: 32}, 0.5 + 0.2 + 0.1 + 0.3 + 0.1}, // 16 take nothing more
		{shape{keys: 5000, bytes: 300, fields: 5, detectors: 1, kind: "ewma", windows: true}, 0.5 + 0.3 + 0.1 + 0.3 + 0.2},
	} {
		stream, err := c.shape.stream()
		if err != nil {
			t.Fatal(err)
		}
		d, err := Plan(r, stream, 5, Load{Rate: 1e6, Bytes: c.shape.bytes, Keys: c.shape.keys, Cores: 64, Partitions: c.shape.partitions})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(d.CPU-c.want) > 1e-9 {
			t.Errorf("%+v takes %v µs an event, want %v", c.shape, d.CPU, c.want)
		}
		cores := c.want / busy // at a million events a second
		if want := int(math.Ceil(cores / 64)); math.Abs(d.Cores-cores) > 1e-9 || d.Processes != want || d.Partitions < d.Processes {
			t.Errorf("%+v: %+v, want %v cores, %d processes", c.shape, d, cores, want)
		}
	}
	stream, err := usualShape.stream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Plan(&Result{}, stream, 5, Load{Rate: 1, Bytes: 1, Keys: 1, Cores: 1}); err == nil {
		t.Error("a model without curves is taken")
	}
	if _, err := Plan(Measured(), stream, 5, Load{Rate: 1e6, Bytes: 200, Keys: 10_000, Cores: 2}); err != nil {
		t.Errorf("the curves that come with Gonomaly: %v", err)
	}
}

// Where many keys were measured to take a little less than the usual number, which is chance, large series do not take less many times over.
func TestPlanOfNoisyCurves(t *testing.T) {
	r := measuredAs(func(s shape) float64 {
		if s.keys == 100_000 {
			return 0.9
		}
		return 1
	})
	s := usualShape
	s.keys, s.windows = 100_000, true
	stream, err := s.stream()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := Plan(r, stream, 5, Load{Rate: 1e6, Bytes: s.bytes, Keys: s.keys, Cores: 64}); err != nil || math.Abs(d.CPU-0.9) > 1e-9 {
		t.Errorf("%v µs an event, %v, want 0.9", d.CPU, err)
	}
}

// The page has the curves that plan goes by.
func TestCapacityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := curvesOnly(Measured()).Table(&table, Plain); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/capacity.md does not have the table of curves.json, which is\n%s", table.String())
	}
}

// curvesOnly is r without what was measured to check the model.
func curvesOnly(r *Result) *Result {
	one := *r
	one.Rows = slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool {
		return !slices.ContainsFunc(changes(), func(c change) bool { return c.name == row.Name })
	})
	return &one
}
