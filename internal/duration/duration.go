// Package duration reads lengths of time as people write them in a configuration: as Go does, and in days and weeks.
package duration

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Pattern is the regular expression of what Parse reads, but for a bare 0.
const Pattern = `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+`

// hours are those of the units that Go does not know. A day is 24 hours, in event time, which has no time zone.
var hours = map[string]time.Duration{"d": 24, "w": 7 * 24}

// Parse reads what time.ParseDuration does without a sign, and days and weeks: "15m", "14d", "2w", "1d12h". Its errors begin with the
// text.
func Parse(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	sum := time.Duration(0)
	for rest := text; rest != "" || text == ""; {
		number := rest[:span(rest, "0123456789.")]
		rest = rest[len(number):]
		unit := rest[:strings.IndexAny(rest+"0", "0123456789.")]
		rest = rest[len(unit):]
		times, ours := hours[unit]
		if ours {
			unit = "h"
		} else {
			times = 1
		}
		d, err := time.ParseDuration(number + unit)
		if err != nil || number == "" || unit == "" || d > (math.MaxInt64-sum)/times {
			return 0, fmt.Errorf("%q, want a time of at most 290 years, such as 15m or 14d", text)
		}
		sum += times * d
	}
	return sum, nil
}

// span is the length of the front of s that consists of characters of set.
func span(s, set string) int { return len(s) - len(strings.TrimLeft(s, set)) }
