// Package figure writes numbers as people would.
package figure

import (
	"math"
	"strconv"
)

// Significant digits.
const (
	Usual = 4  // of a number, unless more are needed
	Exact = 17 // tell any two numbers apart
)

// Short is Written with the usual digits.
func Short(x float64) string { return Written(x, Usual) }

// Written writes a number with so many significant digits: whole from 1,000 up, in billions where it is large, and with no exponent but for the
// largest and the very small.
func Written(x float64, digits int) string {
	switch size := math.Abs(x); {
	case size >= 1e15 || size < 1e-4 && size > 0:
		return strconv.FormatFloat(x, 'g', digits, 64)
	case size >= 1e12:
		return Written(x/1e12, digits) + " trillion"
	case size >= 1e9:
		return Written(x/1e9, digits) + " billion"
	case size >= 1000:
		digits = max(digits, 1+int(math.Log10(size)))
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return strconv.FormatFloat(x, 'g', digits, 64)
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// Apart writes two numbers with as many digits as tell them from each other: 100.04 beside 100.02 must not be read as 100 beside 100.
func Apart(x, y float64) (string, string) {
	for digits := Usual; ; digits++ {
		if a, b := Written(x, digits), Written(y, digits); a != b || x == y || digits == Exact {
			return a, b
		}
	}
}
