package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/service/backtest"
)

// The bar says which file is played, how much of it is, and how fast; where nobody looks it says nothing.
func TestBar(t *testing.T) {
	for _, off := range []bool{false, true} {
		var out strings.Builder
		b := &bar{w: &out, file: -1, off: off}
		p := backtest.Progress{File: "d/x.csv", Files: 2, Rows: 1000, Done: 100, Size: 1000}
		b.show(p)
		b.begin, b.shown = b.begin.Add(-10*time.Second), time.Time{}
		p.Rows, p.Done = 5_000_000, 500
		b.show(p)
		b.end()
		want := regexp.MustCompile(`1/2 x\.csv, 5000000 rows, [1-9]\d* thousand a second +50%`)
		if off && out.Len() > 0 || !off && !want.MatchString(out.String()) {
			t.Errorf("off is %v, and the bar says %q", off, out.String())
		}
	}
}

// A wrong unit of the time is told: all that would show it are dates of 1970.
func TestBacktestSaysThatTheUnitIsWrong(t *testing.T) {
	config := write(t, "g.yaml", "streams: [{name: a, topics: [a], decode: {format: json, time: {field: ts, unit: ms}, values: [v]}, detectors: [{kind: ewma}]}]\n")
	out := must(t, "backtest", "-c", config, "--input", write(t, "a.jsonl", `{"ts":1767225600,"v":1}`), "--out", t.TempDir())
	if want := "1 rows, 1 points, 0 alerts; 1 of 1 series were learning to the end; times seem to be read in a wrong unit: ts is 1767225600, which in milliseconds is 1970-01-21T"; !strings.Contains(out, want) {
		t.Errorf("backtest prints %s, want %s", out, want)
	}
}
