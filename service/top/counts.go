package top

import (
	"maps"
	"slices"
	"strings"
)

// change is what an instance's counters have moved by between two looks.
type change struct {
	now, before *Scrape
	seconds     float64 // between the two; 0 where there is only one
}

// started is when the process began, which tells a restart from a look at the same one.
const started = "process_start_time_seconds"

func between(before, now *Scrape) change {
	c := change{now: now}
	if before == nil || before.Err != nil || now.Err != nil {
		return c
	}
	c.seconds = now.At.Sub(before.At).Seconds()
	was, _ := before.value(started)
	is, _ := now.value(started)
	if was == is {
		c.before = before
	}
	return c
}

// count is a counter, summed over series.
type count struct {
	Total float64
	Rate  float64 // per second
	Known bool    // the rate is: there were two looks
}

func (c *count) add(other count) {
	c.Total += other.Total
	c.Rate += other.Rate
	c.Known = c.Known || other.Known
}

// counts sums a counter by what by says of its labels. A counter that stands below where it stood began anew, at 0, as does one that was not
// there before.
func (c change) counts(name string, by func(labels) string) map[string]count {
	was := map[string]float64{}
	if c.before != nil {
		c.before.Each(name, func(l labels, x float64) { was[key(l)] = x })
	}
	found := map[string]count{}
	c.now.Each(name, func(l labels, x float64) {
		n := count{Total: x}
		if c.seconds > 0 {
			moved := x
			if old := was[key(l)]; old <= x {
				moved -= old
			}
			n.Rate, n.Known = moved/c.seconds, true
		}
		sum := found[by(l)]
		sum.add(n)
		found[by(l)] = sum
	})
	return found
}

// sum is a counter over all its series.
func (c change) sum(name string) count { return c.counts(name, func(labels) string { return "" })[""] }

// key tells series of one metric apart.
func key(l labels) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l)) {
		b.WriteString(name + "\x00" + l[name] + "\x00")
	}
	return b.String()
}

func label(name string) func(labels) string { return func(l labels) string { return l[name] } }
