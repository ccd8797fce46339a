package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// peak is the largest value of a line: those with the largest come first in a legend, where there may be no room for all.
func (l line) peak() float64 {
	most := math.Inf(-1)
	for _, s := range l.values {
		if x := float64(s.Value); x == x {
			most = max(most, x)
		}
	}
	return most
}

// graph draws lines over time, with their legend below.
func (v views) graph(c *canvas, p *pane, b box, all []line) {
	d := p.FieldConfig.Defaults
	all = slices.DeleteFunc(all, func(l line) bool { return len(l.values) == 0 })
	slices.SortStableFunc(all, func(a, b line) int { return cmp.Or(cmp.Compare(b.peak(), a.peak()), cmp.Compare(a.name, b.name)) })
	b.h -= c.legends(b, all) + 18 // and the times
	stacked := d.Custom.Stacking.Mode == "normal"
	sums := make([]map[model.Time]float64, len(all)) // what a line stands at, and where it is stacked what it stands on
	ground := map[model.Time]float64{}
	low, high := 0.0, 0.0
	for i, l := range all {
		sums[i] = map[model.Time]float64{}
		for _, s := range l.values {
			y := float64(s.Value)
			if stacked && y == y {
				y += ground[s.Timestamp]
				ground[s.Timestamp] = y
			}
			sums[i][s.Timestamp] = y
			if !math.IsNaN(y) && !math.IsInf(y, 0) {
				low, high = min(low, y), max(high, y)
			}
		}
	}
	ticks := scale(low, high, d.Unit)
	low, high = ticks[0], ticks[len(ticks)-1]
	left := 0.0
	for _, t := range ticks {
		left = max(left, broad(inUnit(t, d.Unit), 10.5))
	}
	plot := box{b.x + left + 8, b.y + 6, b.w - left - 8, b.h - 6}
	x := func(t model.Time) float64 {
		return plot.x + plot.w*t.Time().Sub(v.from).Seconds()/v.to.Sub(v.from).Seconds()
	}
	y := func(value float64) float64 { return plot.y + plot.h*(high-value)/(high-low) }
	for _, t := range ticks {
		c.add(`<path d="M%s %sh%s" stroke="%s"/>`, place(plot.x), place(y(t)), place(plot.w), edge)
		c.words(plot.x-6, y(t)+4, `text-anchor="end" font-size="10.5" fill="`+pale+`"`, inUnit(t, d.Unit))
	}
	v.times(c, plot, x)
	if d.Custom.ThresholdsStyle.Mode == "dashed" {
		for _, s := range d.Thresholds.Steps {
			if s.Value != nil && *s.Value >= low && *s.Value <= high {
				c.add(`<path d="M%s %sh%s" stroke="%s" stroke-dasharray="7 5"/>`, place(plot.x), place(y(*s.Value)), place(plot.w), alarm)
			}
		}
	}
	for i, l := range slices.Backward(all) { // the first lies above the others
		below := map[model.Time]float64{}
		if stacked {
			for _, s := range l.values {
				below[s.Timestamp] = sums[i][s.Timestamp] - float64(s.Value)
			}
		}
		opacity := "0.1"
		if stacked {
			opacity = "0.4"
		} else if len(all) > crowd {
			opacity = "" // where Grafana fills them all, none is told from another
		}
		c.curve(v.step(), l.values, palette[i%len(palette)], opacity, func(t model.Time) (float64, float64, float64) {
			return x(t), y(sums[i][t]), y(max(below[t], low))
		})
	}
}

// crowd is how many lines are filled down to the ground.
const crowd = 4

// curve draws a line, and the area between it and what it stands on, unless it has no opacity. Where values are missing it is interrupted; one that is alone is a dot.
func (c *canvas) curve(step time.Duration, values []model.SamplePair, colour, opacity string, at func(model.Time) (x, top, bottom float64)) {
	var lines, areas strings.Builder
	for len(values) > 0 {
		if math.IsNaN(float64(values[0].Value)) {
			values = values[1:]
			continue
		}
		n := 1
		for n < len(values) && values[n].Timestamp.Sub(values[n-1].Timestamp) < 2*step && !math.IsNaN(float64(values[n].Value)) {
			n++
		}
		run := values[:n]
		values = values[n:]
		var above, below [][2]string
		for _, s := range run {
			x, top, bottom := at(s.Timestamp)
			above, below = append(above, [2]string{place(x), place(top)}), append(below, [2]string{place(x), place(bottom)})
		}
		if n == 1 {
			fmt.Fprintf(&lines, "M%s %sh.1", above[0][0], above[0][1])
			continue
		}
		slices.Reverse(below)
		line := along(above)
		lines.WriteString("M" + line)
		areas.WriteString("M" + line + "L" + along(below) + "Z")
	}
	if opacity != "" {
		c.add(`<path d="%s" fill="%s" fill-opacity="%s"/>`, areas.String(), colour, opacity)
	}
	c.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round"/>`, lines.String(), colour)
}

// along leads from point to point. Of a level stretch only the ends are needed.
func along(points [][2]string) string {
	var way []string
	for i, p := range points {
		if i == 0 || i == len(points)-1 || points[i-1][1] != p[1] || points[i+1][1] != p[1] {
			way = append(way, p[0]+" "+p[1])
		}
	}
	return strings.Join(way, "L")
}

// legends names the lines below them, and says how high that is.
func (c *canvas) legends(b box, all []line) (height float64) {
	const high, size = 17, 11
	type entry struct {
		x    float64
		text string
	}
	var rows [][]entry
	x := b.w
	for i, l := range all {
		name := cut(l.name, size, b.w-24)
		wide := broad(name, size) + 28
		if x+wide > b.w {
			if len(rows) == 3 {
				if most := b.w - 104; rows[2][len(rows[2])-1].x+broad(rows[2][len(rows[2])-1].text, size) > most {
					rows[2], i = rows[2][:len(rows[2])-1], i-1
					x = most
				}
				rows[2] = append(rows[2], entry{x, fmt.Sprintf("and %d more", len(all)-i)})
				all = all[:i]
				break
			}
			rows, x = append(rows, nil), 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], entry{x, name})
		x += wide
	}
	n := 0
	for i, row := range rows {
		y := b.y + b.h - float64(len(rows)-1-i)*high
		for _, e := range row {
			if n < len(all) {
				c.add(`<path d="M%s %sh12" stroke="%s" stroke-width="3"/>`, place(b.x+e.x), place(y-4), palette[n%len(palette)])
			}
			n++
			c.words(b.x+e.x+17, y, `font-size="11"`, e.text)
		}
	}
	return float64(len(rows)) * high
}

// times marks the axis of time.
func (v views) times(c *canvas, plot box, x func(model.Time) float64) {
	every := time.Minute
	for _, e := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 12 * time.Hour} {
		if every = e; v.to.Sub(v.from)/e <= 6 {
			break
		}
	}
	for t := v.from.Truncate(every).Add(every); !t.After(v.to); t = t.Add(every) {
		at := x(model.TimeFromUnixNano(t.UnixNano()))
		c.add(`<path d="M%s %sv%s" stroke="%s"/>`, place(at), place(plot.y), place(plot.h), edge)
		c.words(min(at, plot.x+plot.w-13), plot.y+plot.h+14, `text-anchor="middle" font-size="10.5" fill="`+pale+`"`, t.UTC().Format("15:04"))
	}
}

// scale is some numbers around a range that are round in a unit.
func scale(low, high float64, unit string) []float64 {
	if high <= low {
		high = low + 1
	}
	raw := (high - low) / 4
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, by := range []float64{1, 2, 2.5, 5, 10} {
		if step*by >= raw*(1-1e-6) {
			step *= by
			break
		}
	}
	switch {
	case unit == "bytes":
		step = math.Exp2(math.Ceil(math.Log2(raw)))
	case unit == "s" && raw > 10:
		for _, step = range []float64{15, 30, 60, 120, 300, 600, 1800, 3600, 2 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 14 * 86400, 91 * 86400} {
			if step >= raw {
				break
			}
		}
	}
	var ticks []float64
	for i := math.Floor(low / step); ; i++ {
		ticks = append(ticks, i*step)
		if i*step >= high-step/1e6 {
			return ticks
		}
	}
}
