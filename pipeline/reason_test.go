package pipeline

import (
	"math"
	"testing"
)

// How rare a point is, is said with as many digits as are known of it.
func TestShareOfOrdinaryPoints(t *testing.T) {
	for one, want := range map[float64]string{
		1:       "about 1 ordinary point in 1",
		1229:    "about 1 ordinary point in 1200",
		73253:   "about 1 ordinary point in 73000",
		999999:  "about 1 ordinary point in 1000000",
		2345678: "about 1 ordinary point in 2.3 million",
		2e9:     "less than 1 ordinary point in a billion",
	} {
		if got := share(math.Log10(one)); got != want {
			t.Errorf("share of one in %v = %q, want %q", one, got, want)
		}
	}
}
