package sinks

import (
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

// line returns an alert as one line for a person; the reason has the value and what was expected:
//
//	2026-03-01 12:30:00Z machines m-07 anomaly open: temp is 93.1, expected 65 (61 to 70)…
func line(a *pipeline.Alert) string {
	words := []string{a.Time.UTC().Format(time.DateTime + "Z"), a.Stream}
	if a.Key != "" {
		words = append(words, a.Key)
	}
	words = append(words, string(a.Kind), string(a.Status))
	// A key or a reason may hold anything; it stays on its line and does not move the cursor.
	return strings.Map(printable, strings.Join(words, " ")+": "+a.Reason)
}

func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return ' '
}
