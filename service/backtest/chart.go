package backtest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// chart gathers what a report draws of one file. Of a file with many series it keeps the first ones, of many fields the first ones:
// it is a picture, the figures are in the scores.
type chart struct {
	fields []string
	series []*lines
}

// lines are those of one key. Each slice has one entry a point, but for values and bands, which have one a field first. Of many points
// there are two entries for each few, with the least and the largest of them: so a file of any length is drawn from bounded memory, and no
// spike gets lost.
type lines struct {
	Key      string
	points   int // added
	each     int // points to two entries; 1 while each has an entry of its own
	times    []int64
	values   [][]float32
	low      [][]float32
	high     [][]float32
	surprise []float32 // NaN in warm-up
	limit    float32
	alerts   []mark
}

type mark struct {
	at     int64
	status pipeline.Status
	text   string
}

const (
	chartSeries = 6
	chartFields = 4
	chartPoints = 1 << 15 // of a line, at most: many for each column of pixels that a report has
)

func (c *chart) add(t pipeline.Trace, fields []string) {
	if c.fields == nil {
		c.fields = fields[:min(len(fields), chartFields)]
	}
	i := slices.IndexFunc(c.series, func(l *lines) bool { return l.Key == t.Key })
	if i < 0 {
		if len(c.series) == chartSeries {
			return
		}
		i = len(c.series)
		n := len(c.fields)
		c.series = append(c.series, &lines{Key: t.Key, values: make([][]float32, n), low: make([][]float32, n), high: make([][]float32, n), each: 1})
	}
	l := c.series[i]
	if len(l.times) == chartPoints && l.points%l.each == 0 {
		l.halve()
	}
	switch {
	case l.each == 1:
		l.times = append(l.times, t.Time)
	case l.points%l.each == 0:
		l.times = append(l.times, t.Time, t.Time)
	default:
		l.times[len(l.times)-1] = t.Time
	}
	nan := float32(math.NaN())
	for f := range c.fields {
		low, high := nan, nan
		if forecast, ok := t.Expected(f); ok {
			low, high = narrow(forecast.Low), narrow(forecast.High)
		}
		l.values[f] = l.add(l.values[f], narrow(t.X[f]))
		l.low[f], l.high[f] = l.add(l.low[f], low), l.add(l.high[f], high)
	}
	surprise := nan
	if t.Scored {
		surprise = float32(t.Surprise)
	}
	l.surprise = l.add(l.surprise, surprise)
	l.points++
	l.limit = float32(t.Wanted)
	if t.Told == pipeline.Open || t.Told == pipeline.Update {
		text := fmt.Sprintf("%s at %s, score %.4g, limit %.4g", t.Told, stamp(t.Time), t.Score, t.Limit)
		l.alerts = append(l.alerts, mark{t.Time, t.Told, text})
	}
}

// add is append for a point's x: of several points to two entries all but the first move these.
func (l *lines) add(xs []float32, x float32) []float32 {
	switch n := len(xs); {
	case l.each == 1:
		return append(xs, x)
	case l.points%l.each == 0:
		return append(xs, x, x)
	default:
		xs[n-2], xs[n-1] = least(xs[n-2], x), largest(xs[n-1], x)
		return xs
	}
}

// halve puts two entries in the place of each four, and has twice as many points go to two from now on.
func (l *lines) halve() {
	for i := 0; i < len(l.times); i += 4 {
		l.times[i/2], l.times[i/2+1] = l.times[i], l.times[i+3]
	}
	l.times = l.times[:len(l.times)/2]
	halve := func(xs []float32) []float32 {
		for i := 0; i < len(xs); i += 4 {
			a, b, c, d := xs[i], xs[i+1], xs[i+2], xs[i+3]
			xs[i/2], xs[i/2+1] = least(least(a, b), least(c, d)), largest(largest(a, b), largest(c, d))
		}
		return xs[:len(xs)/2]
	}
	for f := range l.values {
		l.values[f], l.low[f], l.high[f] = halve(l.values[f]), halve(l.low[f]), halve(l.high[f])
	}
	l.surprise = halve(l.surprise)
	l.each = max(4, 2*l.each)
}

// least is the smaller one, where none is NaN: else the other.
func least(x, y float32) float32 {
	if y < x || x != x {
		return y
	}
	return x
}

// largest is the larger one, where none is NaN: else the other.
func largest(x, y float32) float32 {
	if y > x || x != x {
		return y
	}
	return x
}

// narrow keeps a finite number finite.
func narrow(x float64) float32 { return float32(min(max(x, -math.MaxFloat32), math.MaxFloat32)) }

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.DateTime) }

// Size of one panel of a report in the units of its SVG, which are about pixels.
const (
	width  = 1200
	height = 150
)

// panel is one field of one series, or its surprise, ready to be drawn: SVG paths.
type panel struct {
	Name          string
	Line, Band    string
	LimitY        float64 // of the surprise's limit; 0 where there is none
	Top, Bottom   string  // values at the panel's edges
	First, Last   string  // times at its ends
	Marks         []drawn
	Width, Height int
	IsSurprise    bool
}

type drawn struct {
	X      float64
	Text   string
	Update bool
}

// Panels draws every field, and below them the surprise.
func (l *lines) Panels(fields []string) []panel {
	var panels []panel
	for f, name := range fields {
		panels = append(panels, l.draw(width, name, l.values[f], l.low[f], l.high[f], false))
	}
	return append(panels, l.draw(width, "surprise (decades)", l.surprise, nil, nil, true))
}

func (l *lines) draw(width int, name string, values, low, high []float32, surprise bool) panel {
	bottom, top := extent(values)
	if surprise {
		bottom, top = 0, max(top, l.limit*1.2)
	}
	if !(top > bottom) {
		bottom, top = bottom-1, top+1
	}
	n := len(l.times)
	first, last := l.times[0], l.times[n-1]
	x := func(t int64) float64 {
		if last == first {
			return float64(width) / 2
		}
		return float64(width) * (float64(t) - float64(first)) / (float64(last) - float64(first))
	}
	y := func(v float32) float64 {
		at := height * (1 - (float64(v)-float64(bottom))/(float64(top)-float64(bottom)))
		return min(max(at, -20), height+20)
	}
	p := panel{
		Name: name, Width: width, Height: height, IsSurprise: surprise,
		Top: fmt.Sprintf("%.4g", top), Bottom: fmt.Sprintf("%.4g", bottom), First: stamp(first), Last: stamp(last),
	}
	if surprise {
		p.LimitY = y(l.limit)
	}
	p.Line = path(l.times, values, x, y)
	if low != nil {
		p.Band = band(l.times, low, high, x, y)
	}
	for _, m := range l.alerts {
		p.Marks = append(p.Marks, drawn{x(m.at), m.text, m.status == pipeline.Update})
	}
	return p
}

// extent is the range of the finite values.
func extent(values []float32) (low, high float32) {
	low, high = float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range values {
		if v == v {
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high {
		return 0, 0
	}
	return low, high
}

// column is what falls on one column of pixels.
type column struct {
	at        float64
	low, high float32
	n         int
}

// columns reduces a line to the smallest and largest value of each column of pixels: no spike gets lost.
func columns(times []int64, values []float32, x func(int64) float64) []column {
	var cs []column
	for i, v := range values {
		at := math.Floor(x(times[i]))
		if v != v {
			continue
		}
		if k := len(cs) - 1; k >= 0 && cs[k].at == at {
			cs[k].low, cs[k].high = min(cs[k].low, v), max(cs[k].high, v)
			cs[k].n++
			continue
		}
		cs = append(cs, column{at, v, v, 1})
	}
	return cs
}

func path(times []int64, values []float32, x func(int64) float64, y func(float32) float64) string {
	var b strings.Builder
	letter := byte('M')
	for _, c := range columns(times, values, x) {
		fmt.Fprintf(&b, "%c%.0f %.1f", letter, c.at, y(c.low))
		if c.high > c.low {
			fmt.Fprintf(&b, "V%.1f", y(c.high))
		}
		letter = 'L'
	}
	return b.String()
}

// band is the area between two lines: along the upper one, and back along the lower one.
func band(times []int64, low, high []float32, x func(int64) float64, y func(float32) float64) string {
	upper, lower := columns(times, high, x), columns(times, low, x)
	if len(upper) < 2 || len(lower) < 2 {
		return ""
	}
	var b strings.Builder
	letter := byte('M')
	for _, c := range upper {
		fmt.Fprintf(&b, "%c%.0f %.1f", letter, c.at, y(c.high))
		letter = 'L'
	}
	for _, c := range slices.Backward(lower) {
		fmt.Fprintf(&b, "L%.0f %.1f", c.at, y(c.low))
	}
	return b.String() + "Z"
}
