package sample

import (
	"slices"
	"strconv"
)

// What shows that a value is a counter, by the steps from one number of a series to its next.
const (
	clearSteps  = 20  // of a series that may speak for a counter, where others do too and numbers are whole
	leastPairs  = 100 // of one that speaks alone, or whose numbers are measured; and of all together before there is a doubt
	resetShare  = .1  // of the value before, below which a fall is a reset
	mostGrowing = 10  // of so many series all but one grow
)

// Words in the names of levels, which may rise for as long as a sample lasts.
var levelNames = []string{
	"level", "depth", "size", "used", "usage", "free", "available", "memory", "mem", "lag", "queue", "temp", "temperature", "pressure", "voltage",
	"percent", "pct", "ratio", "age", "price", "position",
}

// growth is how the numbers of a series went.
type growth struct {
	last                        float64
	steps, rises, falls, resets int  // resets are falls, too
	below                       bool // 0, at some time
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
		g.last, g.below = x, g.below || x < 0
	}
	return all
}

// isCounter tells whether no series ever falls, but for rare resets, and nearly all that are long enough grow in most of their steps. Numbers
// that are measured may rise so by themselves: they have to for longer.
func (c *column) isCounter(series map[string]*growth) bool {
	if slices.ContainsFunc(c.words, func(w string) bool { return slices.Contains(levelNames, w) }) {
		return false
	}
	least := clearSteps
	if c.count(isWhole) < len(c.cells) {
		least = leastPairs
	}
	enough, growing, longest := 0, 0, 0
	for _, g := range series {
		if g.below || g.falls > g.resets || g.resets > 1+g.steps/leastPairs {
			return false
		}
		if g.steps < least {
			continue
		}
		enough++
		if g.rises > g.steps/2 {
			growing++
			longest = max(longest, g.steps)
		}
	}
	return (growing > 1 || longest >= leastPairs) && (enough-growing)*mostGrowing <= enough
}

// mayBeCounter tells whether numbers rise most of the time in their series, and all but never fall.
func mayBeCounter(series map[string]*growth) bool {
	steps, rises, falls := 0, 0, 0
	for _, g := range series {
		steps, rises, falls = steps+g.steps, rises+g.rises, falls+g.falls
	}
	return steps >= leastPairs && rises > steps/2 && falls <= steps/leastPairs
}
