package quality

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// flags has true at the given rows.
func flags(n int, at ...int) []bool {
	f := make([]bool, n)
	for _, i := range at {
		f[i] = true
	}
	return f
}

// interval has true from one row to before another, of 500.
func interval(from, to int) []bool {
	f := make([]bool, 500)
	for i := from; i < to; i++ {
		f[i] = true
	}
	return f
}

// One interval, rows 200 to 299, of 500 rows: it counts up to row 359, so that 500 - 160 = 340 rows are normal.
func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		anomaly      []bool
		alerts       []int
		found, wrong int
		normal       int
		delays       []int
		f1           float64
	}{
		"in time":              {interval(200, 300), []int{204, 230}, 1, 0, 340, []int{4}, 1},
		"too late, not false":  {interval(200, 300), []int{260}, 0, 0, 340, nil, 0},
		"just before, false":   {interval(200, 300), []int{199, 259}, 1, 1, 340, []int{59}, 2. / 3},
		"the return to normal": {interval(200, 300), []int{300, 359, 360}, 0, 1, 340, nil, 0},
		"short":                {interval(200, 210), []int{210}, 0, 0, 430, nil, 0},
		"at the end":           {interval(450, 500), []int{499}, 1, 0, 450, []int{49}, 1},
		"none":                 {make([]bool, 10), []int{1}, 0, 1, 10, nil, 0},
	} {
		var e events
		e.add(c.anomaly, flags(len(c.anomaly), c.alerts...))
		if e.found != c.found || e.wrong != c.wrong || e.normal != c.normal || !slices.Equal(e.delays, c.delays) || math.Abs(e.f1()-c.f1) > 1e-12 {
			t.Errorf("%s: %+v, F1 %v, want %+v", name, e, e.f1(), c)
		}
	}
	e := events{intervals: 4, found: 3, wrong: 2, normal: 4000}
	if got, want := e.f1(), 2*.6*.75/(.6+.75); math.Abs(got-want) > 1e-12 { // precision 3/5, recall 3/4
		t.Errorf("F1 is %v, want %v", got, want)
	}
	if got := e.rate(); got != 0.5 {
		t.Errorf("%v false alerts per 1000, want 0.5", got)
	}
}

// A run in which a sensor jumps, where the fault is, is found by the product's default.
func TestSensorsQuestion(t *testing.T) {
	var b strings.Builder
	b.WriteString("timestamp,a,b,label,change\n")
	for i := range 600 {
		fault := i >= 500
		a := float64(i*7919%101) / 101
		if fault {
			a += 5
		}
		fmt.Fprintf(&b, "2020-01-01 00:00:00,%v,%v,%d,0\n", a, i*104729%103, map[bool]int{true: 1}[fault])
	}
	dir := t.TempDir()
	writeGzip(t, filepath.Join(dir, "sensors", "toy.csv.gz"), b.String())
	r, err := Run(context.Background(), io.Discard, Options{Data: dir, Only: []string{"sensors"}, Seeds: 1, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Figures["sensors.f1.points"]; got != 1 {
		t.Errorf("F1 is %v, want 1", got)
	}
}
