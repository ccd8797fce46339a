package sample

import (
	"slices"
	"strings"
)

// Words in the names of key fields. The strong ones name a thing that lasts, however many of them a sample shows; an id or a name may
// as well be of the single record, and has to come again.
var (
	strongKeys = []string{
		"machine", "device", "host", "hostname", "sensor", "node", "instance", "server", "asset", "turbine", "pump", "vehicle", "meter", "station",
		"pod", "container", "service", "endpoint", "user", "customer", "account", "tenant", "client", "store", "shop", "symbol", "metric", "series",
	}
	weakKeys = []string{"key", "id", "name", "source", "tag"}
)

// keyHint is how much a name promises a key, from 0.
func (c *column) keyHint() int {
	contains := func(names []string) bool {
		return slices.ContainsFunc(c.words, func(w string) bool { return slices.Contains(names, w) })
	}
	switch {
	case contains(strongKeys):
		return 2
	case contains(weakKeys):
		return 1
	}
	return 0
}

// isID tells whether numbers are names of something, and not amounts: whole, and called so.
func (c *column) isID() bool {
	return (slices.Contains(c.words, "id") || c.keyHint() == 2 && len(c.words) == 1) && c.count(isWhole) == len(c.cells)
}

func isWhole(c cell) bool { return isNumber(c) && !strings.ContainsAny(c.text, ".eE") }

// findKey picks the record's own key where records have one that comes again, or else the fields that name a series: those whose name says
// so, and as many of them as it takes to make times rise within each series; where they do not, a text beside them that does.
func (g *Guess) findKey(t *table, times []int64) {
	fields, sure := t.keyFields(times)
	if g.ownKey(t, fields, sure) {
		fields = nil
	}
	for _, c := range fields {
		g.Key = append(g.Key, c.path)
		c.used = true
	}
	if len(g.Key) == 0 {
		for _, c := range t.columns {
			n := c.distinct()
			switch {
			case c.used || !t.most(c.count(isText)) || n == 1:
			case n <= mostGroups && repeats(n, t.len()):
				g.note("%s has %d different texts: if each names a series, say key: %s", c.path, n, c.path)
			case n > mostGroups && float64(n) < seldom*float64(t.len()):
				g.note("%s has %d different texts in %d records: if each names a series, say key: %s, and scope: partition beside the detector's kind, which judges keys with few records together",
					c.path, n, t.len(), c.path)
			}
		}
	}
	if g.Time.Field != "" && rising(times, t.groups(g.Key)) < enoughRising {
		g.note("times do not always rise within a series: some are out of order, or the key is another")
	}
}

// mostGroups is how many different texts a field may have to be told of as a key that might be.
const mostGroups = 1000

// seldom is the share of different texts among those of records below which some come again often enough to be names.
const seldom = .8

// isLabel tells whether numbers say what a person thinks of a record, and are nothing to watch.
func (c *column) isLabel() bool {
	named := slices.ContainsFunc(c.words, func(w string) bool { return slices.Contains(labelNames, w) })
	return named && c.count(func(x cell) bool { return isNumber(x) && x.text != "0" && x.text != "1" }) == 0
}

var labelNames = []string{"label", "class", "target", "anomaly", "outlier", "fault"}

// ownKey tells whether the records' own keys are to be the key, though fields might.
func (g *Guess) ownKey(t *table, fields []*column, sure bool) bool {
	distinct, same := map[string]bool{}, len(fields) == 1 // same: the one field repeats the record's key
	for i, r := range t.rows {
		if r.key == "" {
			return false
		}
		distinct[r.key] = true
		same = same && fields[0].cells[i].text == r.key
	}
	if same {
		return false // the field says as much, in a file too
	}
	if !repeats(len(distinct), t.len()) {
		if len(fields) == 0 {
			g.note("nearly every record has a key of its own: without a key field each is a series")
		}
		return len(fields) == 0
	}
	if sure {
		g.note("series are named by the record's own key, not by %s", fields[0].path)
	}
	return true
}

// enoughRising is the share of records later than the one before them in their series that makes a key plausible: a few are late.
const enoughRising = .95

// keyFields returns the fields that would make the key, and whether they are sure by their names.
func (t *table) keyFields(times []int64) (key []*column, sure bool) {
	var hinted, plain []*column
	for _, c := range t.columns {
		named, whole, distinct := t.most(c.count(isText)), t.most(c.count(isWhole)), c.distinct()
		switch {
		case c.used || (!named && !whole):
		case c.keyHint() == 2 && (named || c.isID()), c.keyHint() == 1 && repeats(distinct, t.len()) && (named || c.isID()):
			hinted = append(hinted, c)
		case named && distinct > 1 && repeats(distinct, t.len()):
			plain = append(plain, c)
		}
	}
	slices.SortStableFunc(hinted, func(a, b *column) int { return b.keyHint() - a.keyHint() })
	share := 0.0
	for _, c := range hinted {
		if share >= enoughRising {
			break
		}
		if with := rising(times, t.groups(paths(append(key, c)))); len(key) == 0 || with > share {
			key, share = append(key, c), with
		}
	}
	sure = len(key) > 0
	if rising(times, t.groups(paths(key))) >= enoughRising {
		return key, sure
	}
	for _, c := range plain {
		if with := append(slices.Clip(key), c); rising(times, t.groups(paths(with))) >= enoughRising {
			return with, sure
		}
	}
	return key, sure
}

// repeats tells whether so many different names come again often enough, among so many records, to name series.
func repeats(distinct, records int) bool { return distinct == 1 || distinct <= records/5 }

func paths(columns []*column) (all []string) {
	for _, c := range columns {
		all = append(all, c.path)
	}
	return all
}

func (c *column) distinct() int {
	seen := map[string]bool{}
	for _, x := range c.cells {
		seen[x.text] = true
	}
	return len(seen)
}

// groups returns each record's series: its key fields, or its own key where there are none.
func (t *table) groups(key []string) []string {
	all := make([]string, t.len())
	for i, r := range t.rows {
		all[i] = r.key
		if len(key) > 0 {
			all[i] = ""
			for _, path := range key {
				all[i] += t.byPath[path].cells[i].text + "\x00"
			}
		}
	}
	return all
}

// rising is the share of records, among those with one before them in their group, that are later than it; 1 where there are none.
func rising(times []int64, groups []string) float64 {
	last := map[string]int64{}
	later, all := 0.0, 0.0
	for i, at := range times {
		if before, ok := last[groups[i]]; ok {
			all++
			if at > before {
				later++
			}
		}
		last[groups[i]] = at
	}
	if all == 0 {
		return 1
	}
	return later / all
}
