// Package doctor has the first look of all runbooks: it asks Kafka, Redis, the disk and running instances how they do, and tells what it
// finds, each with its figure and with what is to be done about it. To ask and to judge are two: facts are gathered side by side, each
// question within a bounded time and whatever became of the others; what they mean is a function of the facts and of the configuration.
package doctor

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/service/top"
)

// Level says how bad a finding is.
type Level int

// The levels. One that is bad keeps records from being judged or alerts from being told, or loses what is known.
const (
	Good Level = iota
	Warning
	Bad
)

var levels = [...]struct{ name, sign string }{Good: {"good", "✓"}, Warning: {"warning", "!"}, Bad: {"bad", "✗"}}

func (l Level) String() string               { return levels[l].name }
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was found.
type Finding struct {
	Area   string `json:"area"`
	Level  Level  `json:"level"`
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty"` // never empty of what is bad
}

// Report is what there is to tell.
type Report struct {
	Findings []Finding
	Took     time.Duration
}

// Count is how many findings are of a level.
func (r *Report) Count(l Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Text has a line for each finding, and below it what to do.
func (r *Report) Text() string {
	var b strings.Builder
	width, area := 0, ""
	for _, f := range r.Findings {
		width = max(width, len(f.Area))
	}
	for _, f := range r.Findings {
		shown := f.Area
		if f.Area == area { // said once
			shown = ""
		}
		area = f.Area
		fmt.Fprintf(&b, "%s %-*s  %s\n", levels[f.Level].sign, width, shown, f.Says)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "  %-*s  → %s\n", width, "", f.Remedy)
		}
	}
	fmt.Fprintf(&b, "\n%d ✗, %d !, %d ✓ in %.1f s\n", r.Count(Bad), r.Count(Warning), r.Count(Good), r.Took.Seconds())
	return b.String()
}

// JSON is the same for machines.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.Marshal(struct {
		Bad      int       `json:"bad"`
		Warnings int       `json:"warnings"`
		Good     int       `json:"good"`
		Seconds  float64   `json:"seconds"`
		Findings []Finding `json:"findings"`
	}{r.Count(Bad), r.Count(Warning), r.Count(Good), r.Took.Seconds(), r.Findings})
	return append(b, '\n'), err
}

// findings are those of one area.
type findings struct {
	area string
	all  []Finding
}

func (f *findings) good(format string, args ...any) { f.add(Good, "", format, args...) }
func (f *findings) warn(remedy, format string, args ...any) {
	f.add(Warning, remedy, format, args...)
}
func (f *findings) bad(remedy, format string, args ...any) { f.add(Bad, remedy, format, args...) }

func (f *findings) add(l Level, remedy, format string, args ...any) {
	f.all = append(f.all, Finding{f.area, l, oneLine(fmt.Sprintf(format, args...)), remedy})
}

// oneLine is for errors that join several.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// most is how many of one kind are named one by one.
const most = 5

// list names the first few of many.
func list(all []string) string {
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

// many is a number with its noun: 1 record, 2 records.
func many(n int, noun string) string { return many64(int64(n), noun) }

func many64(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// brief is a duration as gonomaly top has it.
func brief(d time.Duration) string { return top.Span(d.Seconds()) }
