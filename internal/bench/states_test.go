package bench

import (
	"io"
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
		"bytes/series": 200, "whole: MB": 300 * 200 / 1e6, "1 %: MB": 3 * 200 / 1e6, "whole: stored MB": 1e-3, "whole: store ms": 1e-3, "pause max ms": 1e-3,
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
