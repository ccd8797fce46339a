package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Problem is one thing that is wrong with a configuration, and how to put it right.
type Problem struct {
	File   string
	Line   int // from 1
	Column int // from 1, in characters
	Path   string
	// Message says what is wrong, the value, what is allowed, and what may have been meant.
	Message string
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems is everything that is wrong with a configuration, in the order of the file.
type Problems []Problem

// Error has one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
}

// didYouMean names the candidate that word most likely stands for, as the end of a message, or is empty.
func didYouMean(word string, candidates []string) string {
	if best := nearest(word, candidates); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// nearest is the candidate within a third of word's letters, or two of a short word (two letters swapped), case aside. A word cut short
// or run on counts as one slip. Of several candidates it is the first in the alphabet.
func nearest(word string, candidates []string) string {
	const longest = 64 // letters; a longer word is no slip of the finger, and the distance is quadratic
	if word == "" || len(word) > longest {
		return ""
	}
	letters := len([]rune(word))
	best, limit := "", max(1, letters/3)+1
	if letters >= 4 {
		limit = max(limit, 3)
	}
	word = strings.ToLower(word)
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		lower := strings.ToLower(c)
		d := levenshtein.ComputeDistance(word, lower)
		if min(len(word), len(lower)) >= 2 && (strings.HasPrefix(word, lower) || strings.HasPrefix(lower, word)) {
			d = min(d, 1)
		}
		if d < limit {
			best, limit = c, d
		}
	}
	return best
}
