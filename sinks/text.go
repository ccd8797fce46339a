package sinks

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline"
)

// Formats of a line.
const (
	formatJSON = "json"
	formatText = "text"
)

func checkFormat(format string) error {
	if format != formatJSON && format != formatText {
		return &invalid.Value{Name: "format", Value: format, Want: "json or text"}
	}
	return nil
}

// lines returns alerts as lines of the format, each with its newline.
func lines(format string, ds []*Delivery) (b []byte) {
	for _, d := range ds {
		if format == formatText {
			b = append(b, line(&d.Alert)...)
		} else {
			b = append(b, d.Data...)
		}
		b = append(b, '\n')
	}
	return b
}

// line returns an alert as one line for a person, with the field that has the largest share in it:
//
//	2026-03-01 12:30:00 machines m-07 anomaly open temp 93.1 (expected 61 … 70): reason
func line(a *pipeline.Alert) string {
	words := []string{a.Time.UTC().Format(time.DateTime), a.Stream}
	if a.Key != "" {
		words = append(words, a.Key)
	}
	words = append(words, string(a.Kind), string(a.Status))
	if len(a.Values) > 0 {
		field := slices.MaxFunc(slices.Sorted(maps.Keys(a.Values)), func(x, y string) int { return cmp.Compare(a.Shares[x], a.Shares[y]) })
		words = append(words, field, number(a.Values[field]))
		if e, ok := a.Expected[field]; ok {
			words = append(words, fmt.Sprintf("(expected %s … %s)", number(e.Low), number(e.High)))
		}
	}
	// A key or a reason may hold anything; it stays on its line and does not move the cursor.
	return strings.Map(printable, strings.Join(words, " ")+": "+a.Reason)
}

func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return ' '
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }
