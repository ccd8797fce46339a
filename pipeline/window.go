package pipeline

import (
	"fmt"
	"math"
	"slices"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// window is one open tumbling window of one series: the interval [start, start+every) of event time. The samples of a small one are kept as
// they are, side by side: where series are many, to add one is to wait for their memory, and a row of numbers is less of it than what is
// gathered of each value.
type window struct {
	start     int64 // Unix nanoseconds
	count     int
	samples   []float64   // of a small window, one after the other
	values    []aggregate // of one that is not: one for each value of a sample
	quantiles []quantile  // the same, those that are asked for of each value
	increase  []float64   // of each value, a counter, where its rate is asked for
}

// small is the number of samples from which on they are gathered.
const small = exactQuantile

// aggregate gathers one value within a window.
type aggregate struct {
	sum, min, max float64
	mean, m2      float64 // Welford (1962), "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4(3)
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

// quantiles are those that are asked for.
func (c *WindowConfig) quantiles() (ps []float64) {
	for _, name := range c.Aggregate {
		if p, is := quantileOf[name]; is {
			ps = append(ps, p)
		}
	}
	return ps
}

var quantileOf = map[string]float64{aggP50: 0.5, aggP99: 0.99}

func newWindow(c *WindowConfig, start int64, values int) *window {
	w := &window{start: start}
	if slices.Contains(c.Aggregate, aggRate) {
		w.increase = make([]float64, values)
	}
	return w
}

// begin empties w, for the window that starts at start.
func (w *window) begin(start int64) {
	w.start, w.count = start, 0
	w.samples, w.values, w.quantiles = w.samples[:0], w.values[:0], w.quantiles[:0]
	clear(w.increase)
}

// add takes a sample in. before is the series' sample before it, whose counters grow to its, or nil: a counter's increase spans windows.
func (w *window) add(values, before []float64, c *WindowConfig) {
	w.count++
	if before != nil {
		for i := range w.increase {
			w.increase[i] += increase(before[i], values[i])
		}
	}
	if len(w.values) > 0 {
		w.gather(values, w.count)
		return
	}
	w.samples = append(w.samples, values...)
	if w.count == small {
		w.grow(len(values), c.quantiles())
	}
}

// increase of a counter: after a reset it has grown from 0, as Prometheus' rate has it.
func increase(from, to float64) float64 {
	if to >= from {
		return to - from
	}
	return to
}

// grow gathers the samples of a window that was small.
func (w *window) grow(values int, ps []float64) {
	for i := range values {
		w.values = append(w.values, w.of(i, values))
		for _, p := range ps {
			var column [small]float64
			w.quantiles = append(w.quantiles, startQuantile(p, w.column(i, values, &column)))
		}
	}
	w.samples = w.samples[:0]
}

// gather takes sample n in.
func (w *window) gather(values []float64, n int) {
	for i, x := range values {
		w.values[i].add(x, n)
	}
	each := len(w.quantiles) / len(values)
	for i := range w.quantiles {
		w.quantiles[i].add(values[i/each])
	}
}

func (a *aggregate) add(x float64, n int) {
	a.sum += x
	a.min = min(a.min, x)
	a.max = max(a.max, x)
	delta := x - a.mean
	a.mean += delta / float64(n)
	a.m2 += delta * (x - a.mean)
}

// of is what is gathered of value i of so many.
func (w *window) of(i, values int) aggregate {
	if len(w.samples) == 0 {
		return w.values[i]
	}
	a := aggregate{min: math.Inf(1), max: math.Inf(-1)}
	for n := 1; i < len(w.samples); n++ {
		a.add(w.samples[i], n)
		i += values
	}
	return a
}

// column has value i of the samples of a small window, in order of size.
func (w *window) column(i, values int, into *[small]float64) []float64 {
	column := into[:0]
	for ; i < len(w.samples); i += values {
		column = append(column, w.samples[i])
	}
	slices.Sort(column)
	return column
}

// quantile is an estimate of the p-quantile of value i; in a small window the value of rank ceil(p·n).
func (w *window) quantile(i, values int, p float64) float64 {
	each := len(w.quantiles) / values
	for _, q := range w.quantiles[i*each : (i+1)*each] {
		if q.p == p {
			return q.value()
		}
	}
	var into [small]float64
	column := w.column(i, values, &into)
	return column[max(0, int(math.Ceil(p*float64(len(column))))-1)]
}

// appendFields appends the window's point, of so many values, to x, in the order of WindowConfig.fields.
func (w *window) appendFields(x []float64, values int, c *WindowConfig) []float64 {
	if slices.Contains(c.Aggregate, aggCount) {
		x = append(x, float64(w.count))
	}
	for i := range values {
		a := w.of(i, values)
		for _, name := range c.Aggregate {
			switch name {
			case aggCount:
			case aggP50, aggP99:
				x = append(x, finite(w.quantile(i, values, quantileOf[name])))
			case aggRate:
				x = append(x, finite(w.increase[i]/c.Every.Seconds()))
			default:
				x = append(x, a.of(name, w.count))
			}
		}
	}
	return x
}

func (a *aggregate) of(name string, n int) float64 {
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
