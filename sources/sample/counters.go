package sample

import (
	"math"
	"slices"
	"strconv"
)

// What shows that a value is a counter, by the steps from one number of a series to its next.
const (
	clearSteps  = 20  // of a series that may speak for a counter, where others do too
	leastPairs  = 100 // of one that speaks alone, and of all together before there is a doubt
	resetShare  = .1  // of the value before, below which a fall is a reset
	mostGrowing = 10  // of so many series all but one grow
)

// Words in the names of levels, which may rise for as long as a sample lasts, and of what is added up.
var (
	levelNames = []string{
		"level", "depth", "size", "used", "usage", "free", "available", "memory", "mem", "lag", "queue", "temp", "temperature", "pressure", "voltage",
		"percent", "pct", "ratio", "age", "price", "position",
	}
	sumNames = []string{"total", "count", "counter", "sum", "cumulative", "energy", "wh", "kwh", "mwh", "bytes", "seconds", "odometer", "mileage"}
)

// growth is how the numbers of a series went.
type growth struct {
	last                        float64
	steps, rises, falls, resets int  // resets are falls, too
	below, broken               bool // numbers below 0, and some that are not whole
}

// findCounters takes the values that every series shows to be a counter, and notes those that might be one.
func (g *Guess) findCounters(t *table, groups []string) {
	for _, c := range t.columns {
		if !slices.Contains(g.Values, c.path) {
			continue
		}
		series := c.growths(groups)
		switch {
		case c.isCounter(series):
			g.Counters = append(g.Counters, c.path)
		case mayBeCounter(series):
			g.note("%s only grows: if it is a counter, say counter: true beside kind: metric", c.path)
		}
	}
}

func (c *column) growths(groups []string) map[string]*growth {
	all := map[string]*growth{}
	for i, group := range groups {
		x, err := strconv.ParseFloat(c.cells[i].text, 64)
		if err != nil {
			continue
		}
		g := all[group]
		if g == nil {
			g = &growth{last: x}
			all[group] = g
		} else {
			g.steps++
		}
		if x > g.last {
			g.rises++
		} else if x < g.last {
			g.falls++
			if x < resetShare*g.last {
				g.resets++
			}
		}
		g.last, g.below, g.broken = x, g.below || x < 0, g.broken || x != math.Trunc(x)
	}
	return all
}

// isCounter tells whether no series ever falls, but for rare resets, and nearly all that are long enough grow in most of their steps. What is
// measured may rise so for half a day, and taken for a counter it would be reset with each step of the other half: numbers that are not whole
// need a name that says it, or a reset.
func (c *column) isCounter(series map[string]*growth) bool {
	named := func(names []string) bool {
		return slices.ContainsFunc(c.words, func(w string) bool { return slices.Contains(names, w) })
	}
	enough, growing, longest := 0, 0, 0
	reset, broken := false, false
	for _, g := range series {
		if g.below || g.falls > g.resets || g.resets > 1+g.steps/leastPairs {
			return false
		}
		reset, broken = reset || g.resets > 0, broken || g.broken
		if g.steps < clearSteps {
			continue
		}
		enough++
		if g.rises > g.steps/2 {
			growing++
			longest = max(longest, g.steps)
		}
	}
	sums := !broken || reset || named(sumNames)
	return sums && !named(levelNames) && (growing > 1 || longest >= leastPairs) && (enough-growing)*mostGrowing <= enough
}

// mayBeCounter tells whether numbers rise most of the time in their series, and all but never fall.
func mayBeCounter(series map[string]*growth) bool {
	steps, rises, falls := 0, 0, 0
	for _, g := range series {
		steps, rises, falls = steps+g.steps, rises+g.rises, falls+g.falls
	}
	return steps >= leastPairs && rises > steps/2 && falls <= steps/leastPairs
}
