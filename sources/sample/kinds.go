package sample

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// A field that tells kinds of records apart has few different texts, and a kind that is worth a stream is not rare.
const (
	mostKinds  = 20
	leastOfOne = .01 // of all records
)

// Words in the names of fields that say of what kind a record is.
var kindNames = []string{"type", "kind", "event", "action"}

// guessOfKind is the guess of the most frequent kind of records that has values, where a text that all records have, and that is not called
// as keys are, tells kinds apart. Of several such texts it is one that is called so, or the one that tells the fewest.
func (t *table) guessOfKind() (g Guess, ok bool) {
	var tell []*column
	for _, c := range t.columns {
		if n := c.distinct(); t.most(c.count(isText)) && n > 1 && n <= mostKinds && c.keyHint() == 0 {
			tell = append(tell, c)
		}
	}
	other := func(c *column) int {
		if slices.ContainsFunc(c.words, func(w string) bool { return slices.Contains(kindNames, w) }) {
			return 0
		}
		return c.distinct()
	}
	slices.SortStableFunc(tell, func(a, b *column) int { return cmp.Compare(other(a), other(b)) })
	for _, c := range tell {
		kinds := map[string][]row{}
		for i, r := range t.rows { // in their order
			if cell := c.cells[i]; isText(cell) {
				kinds[cell.text] = append(kinds[cell.text], r)
			}
		}
		for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
			return cmp.Or(cmp.Compare(len(kinds[b]), len(kinds[a])), cmp.Compare(a, b))
		}) {
			if float64(len(kinds[kind])) < leastOfOne*float64(t.len()) {
				break
			}
			if g, ok = readTable(kinds[kind]).guess(); ok {
				g.Where = []decode.Where{{Field: c.path, Is: decode.Fields{kind}}}
				g.note("records are of %d kinds, by %s: %s; those that are %s are taken, and each of the others wants a stream, and a group, of its own",
					len(kinds), c.path, told(kinds), kind)
				return g, true
			}
		}
	}
	return Guess{}, false
}

// told lists kinds with how many records each has.
func told(kinds map[string][]row) string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, fmt.Sprintf("%s %d", kind, len(kinds[kind])))
	}
	return strings.Join(all, ", ")
}
