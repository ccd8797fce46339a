package pipeline

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// window is one open tumbling window of one series: the interval [start, start+every) of event time.
type window struct {
	start  int64 // Unix nanoseconds
	count  int
	values []aggregate // one for each value of a sample
}

// aggregate gathers one value within a window.
type aggregate struct {
	sum, min, max float64
	mean, m2      float64 // Welford (1962), "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4(3)

	increase float64 // of a counter

	p50, p99 *quantile // nil unless asked for
}

// Aggregates that a window may be asked for.
const (
	aggCount  = "count"
	aggSum    = "sum"
	aggMean   = "mean"
	aggMin    = "min"
	aggMax    = "max"
	aggStddev = "stddev"
	aggP50    = "p50"
	aggP99    = "p99"
	aggRate   = "rate"
)

var aggregates = []string{aggCount, aggSum, aggMean, aggMin, aggMax, aggStddev, aggP50, aggP99, aggRate}

func (c *WindowConfig) check() error {
	switch {
	case (c.Every > 0) == (c.Last > 0):
		return &invalid.Value{Name: "window", Value: fmt.Sprintf("every %v, last %d", c.Every, c.Last), Want: "exactly one of every and last"}
	case c.Every < 0:
		return &invalid.Value{Name: "window.every", Value: c.Every, Want: "> 0"}
	case c.Last != 0 && (c.Last < 2 || c.Last > 64):
		return &invalid.Value{Name: "window.last", Value: c.Last, Want: "2 to 64"}
	case c.Lateness < 0:
		return &invalid.Value{Name: "window.lateness", Value: c.Lateness, Want: "≥ 0s"}
	case c.Last > 0 && len(c.Aggregate) > 0:
		return &invalid.Value{Name: "window.aggregate", Value: c.Aggregate, Want: "no aggregates with last: its points are the samples themselves"}
	case c.Every > 0 && len(c.Aggregate) == 0:
		return &invalid.Value{Name: "window.aggregate", Value: "empty", Want: fmt.Sprintf("some of %v", aggregates)}
	}
	for i, a := range c.Aggregate {
		if !slices.Contains(aggregates, a) {
			return &invalid.Value{Name: fmt.Sprintf("window.aggregate[%d]", i), Value: a, Want: fmt.Sprintf("one of %v", aggregates)}
		}
		if slices.Contains(c.Aggregate[:i], a) {
			return &invalid.Value{Name: fmt.Sprintf("window.aggregate[%d]", i), Value: a, Want: "each aggregate once"}
		}
	}
	return nil
}

// fields names the fields of the points that windows over values give, in their order.
func (c *WindowConfig) fields(values []string) []string {
	var fields []string
	if c.Last > 0 {
		for _, v := range values {
			for i := c.Last - 1; i > 0; i-- {
				fields = append(fields, fmt.Sprintf("%s[-%d]", v, i))
			}
			fields = append(fields, v)
		}
		return fields
	}
	if slices.Contains(c.Aggregate, aggCount) {
		fields = append(fields, aggCount)
	}
	for _, v := range values {
		for _, a := range c.Aggregate {
			if a != aggCount {
				fields = append(fields, v+"."+a)
			}
		}
	}
	return fields
}

// startOf is the start of the window that t lies in; windows are aligned to 1970.
func (c *WindowConfig) startOf(t int64) int64 {
	every := int64(c.Every)
	start := t - t%every
	if t < start {
		start -= every // Go's remainder has the sign of t
	}
	return start
}

func newWindow(c *WindowConfig, start int64, values int) *window {
	w := &window{values: make([]aggregate, values)}
	for i := range w.values {
		a := &w.values[i]
		if slices.Contains(c.Aggregate, aggP50) {
			a.p50 = &quantile{}
		}
		if slices.Contains(c.Aggregate, aggP99) {
			a.p99 = &quantile{}
		}
	}
	w.begin(start)
	return w
}

// begin empties w, for the window that starts at start.
func (w *window) begin(start int64) {
	w.start, w.count = start, 0
	for i := range w.values {
		a := &w.values[i]
		*a = aggregate{min: math.Inf(1), max: math.Inf(-1), p50: a.p50, p99: a.p99}
		if a.p50 != nil {
			*a.p50 = quantile{p: 0.5}
		}
		if a.p99 != nil {
			*a.p99 = quantile{p: 0.99}
		}
	}
}

// add takes a sample in. before is the series' sample before it, nil for its first: a counter's increase spans windows.
func (w *window) add(values, before []float64) {
	w.count++
	for i, x := range values {
		a := &w.values[i]
		a.add(x, w.count)
		switch {
		case before == nil:
		case x >= before[i]:
			a.increase += x - before[i]
		default:
			a.increase += x // after a reset the counter has grown from 0, as Prometheus' rate has it
		}
	}
}

func (a *aggregate) add(x float64, n int) {
	a.sum += x
	a.min = min(a.min, x)
	a.max = max(a.max, x)
	delta := x - a.mean
	a.mean += delta / float64(n)
	a.m2 += delta * (x - a.mean)
	if a.p50 != nil {
		a.p50.add(x)
	}
	if a.p99 != nil {
		a.p99.add(x)
	}
}

// appendFields appends the window's point to x, in the order of WindowConfig.fields.
func (w *window) appendFields(x []float64, c *WindowConfig) []float64 {
	if slices.Contains(c.Aggregate, aggCount) {
		x = append(x, float64(w.count))
	}
	for i := range w.values {
		a := &w.values[i]
		for _, name := range c.Aggregate {
			if name != aggCount {
				x = append(x, a.of(name, w.count, c.Every))
			}
		}
	}
	return x
}

func (a *aggregate) of(name string, n int, every time.Duration) float64 {
	switch name {
	case aggSum:
		return finite(a.sum)
	case aggMean:
		return finite(a.mean)
	case aggMin:
		return a.min
	case aggMax:
		return a.max
	case aggStddev:
		return finite(math.Sqrt(a.m2 / float64(n)))
	case aggP50:
		return finite(a.p50.value())
	case aggP99:
		return finite(a.p99.value())
	case aggRate:
		return finite(a.increase / every.Seconds())
	}
	panic("aggregate that check let through: " + name)
}

// finite keeps sums of finite values finite: detectors are promised that.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0 // inf - inf, when values near the largest float64 cancel
	}
	return min(max(x, -math.MaxFloat64), math.MaxFloat64)
}
