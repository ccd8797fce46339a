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

// Numbers are written as people would, and next to each other so that they can be told apart.
func TestNumbersBesideEachOther(t *testing.T) {
	for _, c := range []struct {
		x    float64
		f    Forecast
		want string
	}{
		{5000, Forecast{1443.52, 1317.31, 1569.73}, "5000, 1444 (1317 to 1570)"},
		{99.8, Forecast{99.94879, 99.90818, 99.98939}, "99.8, 99.95 (99.91 to 99.99)"},
		{100.04, Forecast{100.00020, 99.99208, 100.00833}, "100.04, 100 (99.992 to 100.01)"},
		{101329.5, Forecast{101325.005, 101324.91, 101325.10}, "101329.5, 101325 (101324.9 to 101325.1)"},
		{8.65e9, Forecast{8590987803.75, 8578144219.2, 8603831388.3}, "8.65 billion, 8.591 billion (8.578 billion to 8.604 billion)"},
		{-60, Forecast{-39.9195, -43.8772, -35.9617}, "-60, -39.92 (-43.88 to -35.96)"},
		{9e-9, Forecast{2.53393e-9, 2.12797e-9, 2.93989e-9}, "9e-09, 2.534e-09 (2.128e-09 to 2.94e-09)"},
		{1, Forecast{}, "1, 0 (0 to 0)"},
		{20, Forecast{20, 20, 20}, "20, 20 (20 to 20)"},
		{math.Nextafter(1, 2), Forecast{1, 1, 1}, "1.0000000000000002, 1 (1 to 1)"},
		{7, Forecast{3.2e12, 3.1e12, 3.3e12}, "7, 3.2 trillion (3.1 trillion to 3.3 trillion)"},
	} {
		value, expected, low, high := compared(c.x, c.f)
		if got := value + ", " + expected + " (" + low + " to " + high + ")"; got != c.want {
			t.Errorf("%v beside %v is %q, want %q", c.x, c.f, got, c.want)
		}
	}
}

// A change says from what to what, however small it is.
func TestSmallChange(t *testing.T) {
	for c, want := range map[Change]string{
		{Of: "temp", Before: 61, After: 70.25}:               "the mean of temp has changed from 61 to 70.25, and stays there",
		{Of: "temp", Before: 100.02, After: 100.04}:          "the mean of temp has changed from 100.02 to 100.04, and stays there",
		{Of: "x", Spread: true, Before: 4e-6, After: 5.5e-6}: "the standard deviation of x has changed from 4e-06 to 5.5e-06, and stays there",
		{Of: "x", Before: 5, After: 5}:                       "the mean of x has changed from 5 to 5, and stays there",
	} {
		if got := driftReason(c); got != want {
			t.Errorf("reason of %+v = %q, want %q", c, got, want)
		}
	}
}
