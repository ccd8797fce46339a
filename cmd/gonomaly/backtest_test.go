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
