// Package sample looks at the first records of a file or a topic and guesses how a stream would decode them: where the time stands and
// how it is written, what names a series, which values there are to watch. The guess is a starting point for a person, who sees in
// Notes what was not certain; the same records always give the same guess.
package sample

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources"
)

// Rows is how many records are looked at unless one asks otherwise: enough to see the keys of a large fleet twice, of which intervals and quiet
// times follow. It takes a second or so.
const Rows = 20000

// Records as large as these, together, are enough of them; of large ones, that have many fields, a tenth of the records is still looked at.
const (
	enoughBytes = 16 << 20
	leastShare  = 10
)

// bound is how many records are looked at, and of what size together.
type bound struct {
	records, bytes         int // wanted at most, and enough
	haveRecords, haveBytes int
}

// boundOf splits the bound of n records among parts.
func boundOf(n, parts int) bound {
	return bound{records: (n + parts - 1) / parts, bytes: enoughBytes / parts}
}

func (b *bound) add(value []byte) {
	b.haveRecords, b.haveBytes = b.haveRecords+1, b.haveBytes+len(value)
}

func (b *bound) full() bool {
	return b.haveRecords >= b.records || b.haveBytes >= b.bytes && b.haveRecords >= b.records/leastShare
}

// Guess is how the records seem to be made.
type Guess struct {
	Format           string         // as in decode.Config
	Columns          []string       // of CSV records in a topic, which have no header: c1, c2, …
	Where            []decode.Where // the kind of records that it is of, where there are several
	Time             decode.Time
	Key              []string // paths of the fields that name a series; none: the record's own key, or one series only
	Values           []string // paths of the numeric fields, in the order in which records have them
	Counters         []string // those of Values that are counters beyond doubt
	Missing          bool     // some of Values are missing in records that have others
	NumbersAsStrings bool

	Interval   time.Duration // median time between two records of a series; 0 where there are no two
	Rest       time.Duration // the longest, but for one in a thousand
	Silence    time.Duration // after which a series that stopped is worth telling of; 0 where that cannot be said
	WhySilence string        // for a person: what it was derived from, or why it is 0
	Rows       int           // records looked at
	Notes      []string      // for a person: what was left out or is not certain
}

// File looks at up to n records of a file as sources.OpenFile reads it, or of standard input for "-".
func File(ctx context.Context, path string, n int) (_ Guess, err error) {
	r, err := sources.OpenFile(ctx, path, decode.Config{})
	if err != nil {
		return Guess{}, fmt.Errorf("sample: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := checkHeader(r.Header()); err != nil {
		return Guess{}, fmt.Errorf("sample %s: %w", path, err)
	}
	var rows []row
	for b := boundOf(n, 1); !b.full(); {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Guess{}, fmt.Errorf("sample: %w", err)
		}
		b.add(rec.Value)
		rows = append(rows, row{value: string(rec.Value), stamp: rec.Timestamp})
	}
	g, err := guess(rows)
	if err != nil {
		return Guess{}, fmt.Errorf("sample %s: %w", path, err)
	}
	if g.Format == "csv" {
		return Guess{}, fmt.Errorf("sample %s: no JSON objects and no CSV with a header", path)
	}
	if g.Time.Field == "" {
		g.note("no field holds a time: rows count as one second apart")
		g.Silence, g.WhySilence = 0, "no field holds a time"
	}
	return g, nil
}

// checkHeader refuses the first line of a CSV file where that cannot be the columns' names.
func checkHeader(names []string) error {
	if len(names) == 1 {
		for separator, name := range map[string]string{";": "semicolons", "\t": "tabs", "|": "bars"} {
			if strings.Contains(names[0], separator) {
				return fmt.Errorf("one column %q: want commas between columns, not %s", names[0], name)
			}
		}
	}
	numbers, times := 0, 0
	for _, name := range names {
		if isNumberText(cell{text, name}) {
			numbers++
		} else if slices.ContainsFunc(layouts, func(layout string) bool { _, ok := parseTime(cell{text, name}, decode.Time{Layout: layout}); return ok }) {
			times++
		}
	}
	if numbers > 0 && (numbers == len(names) || times > 0) { // names that are times alone may be those of a wide table
		return fmt.Errorf("the first line is %q: want the names of the columns", names)
	}
	return nil
}

// row is a record.
type row struct {
	key, value string
	stamp      int64 // Unix nanoseconds
	partition  int32
}

// isBinary tells whether a record is no text.
func isBinary(r row) bool { return !utf8.ValidString(r.value) || strings.ContainsRune(r.value, 0) }

// guess looks at records in the order of their partition. Where no number is in most of them, but in those of one kind, it is of that kind.
func guess(rows []row) (Guess, error) {
	if len(rows) == 0 {
		return Guess{}, errors.New("no records")
	}
	t := readTable(rows)
	g, sound := t.guess()
	if !sound {
		if one, ok := t.guessOfKind(); ok {
			return one, nil
		}
	}
	if len(g.Values) == 0 {
		if slices.ContainsFunc(rows, isBinary) {
			return Guess{}, fmt.Errorf("%d records are neither JSON objects nor CSV: Avro, Protobuf and what is compressed or encrypted by the producer are not read", len(rows))
		}
		return Guess{}, fmt.Errorf("no numeric field in %d records", t.len())
	}
	return g, nil
}

// guess is that of all records; sound says that they have values.
func (t *table) guess() (g Guess, sound bool) {
	g = Guess{Format: t.format, Rows: t.len()}
	if t.format == "csv" {
		for _, c := range t.columns {
			g.Columns = append(g.Columns, c.path)
		}
	}
	if t.bad > 0 {
		g.note("%d of %d records are not %s: they would be dead letters", t.bad, t.len()+t.bad, t.format)
	}
	times := g.findTime(t)
	g.findKey(t, times)
	sound = g.findValues(t)
	groups := t.groups(g.Key)
	g.Interval, g.Rest = intervals(times, groups)
	g.findSilence(t, times, groups)
	g.findCounters(t, groups)
	return g, sound
}

// findValues takes every number that is there in all records but a few, but for times and keys, and with these every other that is there, or
// missing, in more than half. Where there is none in nearly all it settles for numbers written as strings, or else, which is not sound, for those that half of
// the records have.
func (g *Guess) findValues(t *table) (sound bool) {
	var texts, some []string
	gaps := map[string]int{} // of values: records without it
	for _, c := range t.columns {
		numbers := c.count(isNumber)
		wrong := c.count(isWrong)
		missing := t.len() - numbers - wrong
		switch {
		case c.used:
		case t.most(numbers) && c.isEpoch():
			g.note("%s holds times and is left out", c.path)
		case t.most(numbers) && c.isID():
			g.note("%s looks like an identifier and is left out", c.path)
		case t.most(numbers):
			g.Values = append(g.Values, c.path)
			if wrong > 0 {
				g.note("%s is no number in %d of %d records: they would be dead letters", c.path, wrong, t.len())
			}
			gaps[c.path] = missing
			if c.isLabel() {
				g.note("%s looks like a label: to leave it out, say --exclude %s", c.path, c.path)
			}
		case numbers > t.len()/2 && t.most(numbers+missing) && !c.isEpoch() && !c.isID():
			some = append(some, c.path)
			gaps[c.path] = missing
		case numbers > 0:
			g.note("%s is a number in %d of %d records only and is left out", c.path, numbers, t.len())
		case t.most(c.count(isNumberText)):
			texts = append(texts, c.path)
		}
	}
	sound = len(g.Values) > 0
	g.Values = append(g.Values, some...)
	for _, v := range g.Values {
		switch n := gaps[v]; {
		case n > 0 && len(g.Values) > 1:
			g.Missing = true
			g.note("%s is missing in %d of %d records: its last value stands in", v, n, t.len())
		case n > 0:
			g.note("%s is missing in %d of %d records: they would be dead letters", v, n, t.len())
		}
	}
	switch {
	case len(g.Values) == 0 && len(texts) > 0:
		g.Values, g.NumbersAsStrings, sound = texts, true, true
	case len(texts) > 0:
		g.note("%q hold numbers as strings and are left out: with numbers_as_strings they could be values", texts)
	}
	return sound
}

func (g *Guess) note(format string, args ...any) {
	g.Notes = append(g.Notes, fmt.Sprintf(format, args...))
}
