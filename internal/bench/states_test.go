package bench

import (
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/gonomaly/gonomaly/config"
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

// A shape's records are of its size, and its job reads its fields; every change is one thing.
func TestShapes(t *testing.T) {
	for _, c := range changes() {
		n := 0
		for e := range c.shape.events() {
			if len(e.Value) != c.shape.bytes {
				t.Errorf("%s: a record of %d bytes, want %d", c.name, len(e.Value), c.shape.bytes)
			}
			if n++; n == 10 {
				break
			}
		}
		t.Setenv("BENCH_KEYS", strconv.Itoa(c.shape.keys))
		for name, value := range map[string]string{"BROKERS": "localhost:9092", "DIRECTORY": "x", "TOPIC": "x", "GROUP": "x", "STORE": "file"} {
			t.Setenv("BENCH_"+name, value)
		}
		got, err := config.Parse("job", []byte(c.shape.job()), os.LookupEnv)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if s := got.Streams[0]; len(s.Decode.Values) != c.shape.fields || len(s.Detectors) != c.shape.detectors || s.Detectors[0].Kind != c.shape.kind {
			t.Errorf("%s: the job has %d fields and the detectors %v", c.name, len(s.Decode.Values), s.Detectors)
		}
	}
}
