package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a share of points: "1 per 10000 points".
type Rate struct{ Alarms, Points float64 }

// PerPoint is the rate as a probability, in (0, 1).
func (r Rate) PerPoint() float64 { return r.Alarms / r.Points }

func (r Rate) String() string {
	return strconv.FormatFloat(r.Alarms, 'g', -1, 64) + " per " + strconv.FormatFloat(r.Points, 'f', -1, 64) + " points"
}

// MarshalText spells the rate as UnmarshalText reads it.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "1 per 10000 points".
func (r *Rate) UnmarshalText(b []byte) error {
	f := strings.Fields(string(b))
	if len(f) != 4 || f[1] != "per" || (f[3] != "points" && f[3] != "point") {
		return fmt.Errorf("%q, want a rate such as 1 per 10000 points", b)
	}
	n, err1 := strconv.ParseFloat(f[0], 64)
	m, err2 := strconv.ParseFloat(strings.ReplaceAll(f[2], ",", ""), 64)
	if err1 != nil || err2 != nil || !(n > 0) || !(m >= 10*n) || m/n > 1e9 {
		return fmt.Errorf("%q, want between 1 per 10 points and 1 per 1000000000 points", b)
	}
	*r = Rate{n, m}
	return nil
}

// Span is a length of event time, or a number of points: "15m", "75 points". Exactly one of the two is set.
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
	d, err := time.ParseDuration(text)
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
