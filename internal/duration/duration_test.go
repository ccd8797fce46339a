package duration

import (
	"regexp"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "500ms": 500 * time.Millisecond, "15m": 15 * time.Minute, "1h30m": 90 * time.Minute,
		"1d": day, "14d": 14 * day, "336h": 14 * day, "2w": 14 * day, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour,
		"1w2d3h4m5s": 9*day + 3*time.Hour + 4*time.Minute + 5*time.Second, "0.5s1d": day + 500*time.Millisecond,
		"106751d": 106751 * day, // the last whole day of an int64 of nanoseconds
	} {
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("Parse(%q) = %v, %v, want %v", text, got, err, want)
		}
		if text != "0" && !regexp.MustCompile("^"+Pattern+"$").MatchString(text) {
			t.Errorf("Pattern does not match %q", text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "d", "14", "1d0", "14 d", "-1d", "1dd", "1y", "1..5d", "106752d", "15251w", "106751d24h", "9999999999999999999d", "1e3d"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, got)
		}
	}
}

// FuzzParse holds Parse against time.ParseDuration, where that reads a text without a sign.
func FuzzParse(f *testing.F) {
	f.Add("1h30m")
	f.Add("1w2d")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if want, theirs := time.ParseDuration(text); theirs == nil && text[0] != '-' && text[0] != '+' && (err != nil || got-want > 10 || want-got > 10) {
			t.Errorf("Parse(%q) = %v, %v, want %v", text, got, err, want)
		}
		if got < 0 {
			t.Errorf("Parse(%q) = %v, want no negative time", text, got)
		}
	})
}
