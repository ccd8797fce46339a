package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/internal/duration"
)

// Rate is how many false alarms are asked for: of points, "1 per 10000 points"; or of event time, for each key, "1 per day", or for all keys of
// a partition together, "1 per day per partition".
type Rate struct {
	Alarms, Points float64
	Every          time.Duration `json:",omitempty"` // else Points are 0
	Partition      bool          `json:",omitempty"`
}

// spans are the times that have a name.
var spans = []struct {
	name string
	time time.Duration
}{{"minute", time.Minute}, {"hour", time.Hour}, {"day", 24 * time.Hour}, {"week", 7 * 24 * time.Hour}}

func (r Rate) String() string {
	of := strconv.FormatFloat(r.Points, 'f', -1, 64) + " points"
	if r.Every > 0 {
		of = r.Every.String()
		for _, s := range spans {
			if r.Every == s.time {
				of = s.name
			}
		}
	}
	if r.Partition {
		of += " per partition"
	}
	return strconv.FormatFloat(r.Alarms, 'g', -1, 64) + " per " + of
}

// MarshalText spells the rate as UnmarshalText reads it.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what String writes.
func (r *Rate) UnmarshalText(b []byte) error {
	number, of, _ := strings.Cut(string(b), " per ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) {
		return fmt.Errorf("%q, want a rate such as 1 per 10000 points, or 1 per day", b)
	}
	if points, ok := strings.CutSuffix(strings.TrimSuffix(of, "s"), " point"); ok {
		m, err := strconv.ParseFloat(strings.ReplaceAll(points, ",", ""), 64)
		if err != nil || !(m >= 10*n) || m/n > 1e9 {
			return fmt.Errorf("%q, want between 1 per 10 points and 1 per 1000000000 points", b)
		}
		*r = Rate{Alarms: n, Points: m}
		return nil
	}
	of, partition := strings.CutSuffix(of, " per partition")
	every, err := duration.Parse(of)
	for _, s := range spans {
		if of == s.name {
			every, err = s.time, nil
		}
	}
	if err != nil || every <= 0 || !(n <= 1e9) {
		return fmt.Errorf("%q, want a rate such as 1 per 10000 points, 1 per day, or 1 per 12h per partition", b)
	}
	*r = Rate{Alarms: n, Every: every, Partition: partition}
	return nil
}

// Span is a length of event time, or a number of points: "15m", "2d", "75 points". Exactly one of the two is set.
type Span struct {
	Time   time.Duration
	Points int
}

func (s Span) String() string {
	if s.Points > 0 {
		return strconv.Itoa(s.Points) + " points"
	}
	return s.Time.String()
}

// Plain writes the span without units of which there are none: 6h15m, not 6h15m0s. String has them, for its text is in hashes.
func (s Span) Plain() string {
	text := s.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// MarshalText spells the span as UnmarshalText reads it.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads "15m" or "75 points".
func (s *Span) UnmarshalText(b []byte) error {
	text := string(b)
	if n, ok := strings.CutSuffix(strings.TrimSuffix(text, "s"), " point"); ok {
		points, err := strconv.Atoi(n)
		if err != nil || points < 1 {
			return fmt.Errorf("%q, want at least 1 point", b)
		}
		*s = Span{Points: points}
		return nil
	}
	d, err := duration.Parse(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q, want a time such as 15m, or points such as 75 points", b)
	}
	*s = Span{Time: d}
	return nil
}

// Direction is the side of the expectation that an alert is wanted for.
type Direction string

const (
	Both Direction = "both"
	Up   Direction = "up"
	Down Direction = "down"
)

// has says whether a value above what it is held against, or one below, lies on that side.
func (d Direction) has(above bool) bool { return d == Both || above == (d == Up) }

// known says whether a configuration may have it.
func (d Direction) known() bool { return d == Both || d == Up || d == Down }
