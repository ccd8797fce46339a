package sample

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// layouts of a textual time, in the order in which they are tried; "" is RFC 3339. Of day and month the day is taken to come first.
var layouts = []string{
	"", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	"2006-01-02", "2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02", "02/01/2006 15:04:05", "02/01/2006 15:04", "02/01/2006",
	"01/02/2006 15:04:05", "01/02/2006 15:04", "01/02/2006", "02.01.2006 15:04:05", "02.01.2006 15:04", "02.01.2006",
	"02/Jan/2006:15:04:05 -0700", time.RFC1123Z, time.RFC1123, time.ANSIC,
}

// units of a numeric time, with the nanoseconds in each. Magnitude tells them apart: a time between 2000 and 2100 is one in one unit only.
var units = []struct {
	name  string
	nanos int64
}{{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}

const (
	year2000 int64 = 946684800e9
	year2100 int64 = 4102444800e9
)

// Names of time fields: those that are one as a whole, and words that make a name one.
var (
	timeNames = []string{"timestamp", "ts", "time", "event time", "datetime", "date time", "epoch"}
	timeWords = []string{"timestamp", "ts", "time", "date", "datetime", "epoch", "at", "when", "day"}
)

// timeHint is how much a name promises a time: 0 nothing, 2 all.
func (c *column) timeHint() int {
	switch {
	case slices.Contains(timeNames, strings.Join(c.words, " ")):
		return 2
	case slices.ContainsFunc(c.words, func(w string) bool { return slices.Contains(timeWords, w) }):
		return 1
	}
	return 0
}

// findTime returns each record's time, Unix nanoseconds: of the field whose name promises most, the first of several; without one the
// record's own. A number needs a name that promises something, text that reads as a time does not.
func (g *Guess) findTime(t *table) []int64 {
	times := make([]int64, t.len())
	for i, r := range t.rows {
		times[i] = r.stamp
	}
	var best *column
	for _, c := range t.columns {
		how, ok := c.readsTime(t)
		if ok && (best == nil || c.timeHint() > best.timeHint()) {
			best, g.Time = c, how
		}
	}
	if best == nil {
		return times
	}
	best.used = true
	read := 0
	for i := range times {
		c, has := best.cells[i]
		at, ok := parseTime(c, g.Time)
		switch {
		case has && ok:
			times[i] = at
			if read++; read == 1 {
				for j := range i { // those without, before the first that has one
					times[j] = at
				}
			}
		case read > 0:
			times[i] = times[i-1]
		}
	}
	if n := t.len() - read; n > 0 {
		g.note("%s is no time in %d of %d records: they would be dead letters", best.path, n, t.len())
	}
	if zoned := strings.ContainsAny(g.Time.Layout, "Z") || strings.Contains(g.Time.Layout, "-07") || strings.Contains(g.Time.Layout, "MST"); g.Time.Layout != "" && !zoned {
		g.note("%s has no time zone: taken as UTC", best.path)
	}
	if other := (decode.Time{Layout: strings.Replace(g.Time.Layout, "02/01/", "01/02/", 1)}); other.Layout != g.Time.Layout && best.all(t, other) {
		g.note("%s may have its month before its day: then the layout is %s", best.path, other.Layout)
	}
	return times
}

// readsTime tells how the column reads as a time, where it does.
func (c *column) readsTime(t *table) (how decode.Time, ok bool) {
	if !t.most(len(c.cells)) {
		return how, false
	}
	for _, layout := range layouts {
		if how = (decode.Time{Field: c.path, Layout: layout}); c.all(t, how) {
			return how, true
		}
	}
	for _, u := range units {
		if how = (decode.Time{Field: c.path, Unit: u.name}); c.timeHint() > 0 && c.all(t, how) {
			return how, true
		}
	}
	return decode.Time{}, false
}

// isEpoch tells whether the column holds numeric times, by name and magnitude.
func (c *column) isEpoch() bool {
	return c.timeHint() > 0 && slices.ContainsFunc(units, func(u struct {
		name  string
		nanos int64
	}) bool {
		return c.count(func(x cell) bool { _, ok := parseTime(x, decode.Time{Unit: u.name}); return ok }) == len(c.cells)
	})
}

func (c *column) all(t *table, how decode.Time) bool {
	return t.most(c.count(func(x cell) bool { _, ok := parseTime(x, how); return ok }))
}

// parseTime reads a cell as decode does; a number is a time only between 2000 and 2100.
func parseTime(c cell, how decode.Time) (nanos int64, ok bool) {
	if how.Unit == "" {
		layout := how.Layout
		if layout == "" {
			layout = time.RFC3339
		}
		at, err := time.Parse(layout, c.text)
		return at.UnixNano(), err == nil && c.kind == text && at.Year() >= 1970 && at.Year() <= 2261
	}
	for _, u := range units {
		if u.name == how.Unit && (isNumber(c) || isNumberText(c)) {
			n, err := strconv.ParseFloat(strings.TrimSpace(c.text), 64)
			if whole, e := strconv.ParseInt(strings.TrimSpace(c.text), 10, 64); e == nil && whole >= year2000/u.nanos && whole < year2100/u.nanos {
				return whole * u.nanos, true
			}
			n *= float64(u.nanos)
			return int64(n), err == nil && n >= float64(year2000) && n < float64(year2100)
		}
	}
	return 0, false
}

// intervals are the median and the longest of the positive differences between a record's time and that of the one before it in its group, but
// for one in a thousand: clocks err, and a machine that was away for a month is none that rests for so long.
func intervals(times []int64, groups []string) (median, longest time.Duration) {
	last := map[string]int64{}
	var steps []int64
	for i, at := range times {
		if before, ok := last[groups[i]]; ok && at > before {
			steps = append(steps, at-before)
		}
		last[groups[i]] = at
	}
	if len(steps) == 0 {
		return 0, 0
	}
	slices.Sort(steps)
	return time.Duration(steps[len(steps)/2]), time.Duration(steps[len(steps)-1-len(steps)/1000])
}
