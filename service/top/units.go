package top

import (
	"fmt"
	"math"
	"time"
)

// none stands for a number that is not known.
const none = "–"

// Span is a length of time to two digits or so: what is looked at is whether it is seconds, minutes or days.
func Span(seconds float64) string {
	if math.IsNaN(seconds) {
		return none
	}
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	const day = 24 * 60 * 60
	d := time.Duration(min(seconds, 1e9) * float64(time.Second)) // 30 years are enough
	switch {
	case seconds == 0:
		return "0 s"
	case seconds < 0.001:
		return sign + "<1 ms"
	case seconds < 1:
		return fmt.Sprintf("%s%d ms", sign, d.Milliseconds())
	case seconds < 60:
		return fmt.Sprintf("%s%.1f s", sign, seconds)
	case seconds < 60*60:
		return fmt.Sprintf("%s%dm %02ds", sign, int(d.Minutes()), int(d.Seconds())%60)
	case seconds < 2*day:
		return fmt.Sprintf("%s%dh %02dm", sign, int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%s%.0f d", sign, seconds/day)
}

// amount is a number of things, with thousands apart.
func amount(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	digits := fmt.Sprintf("%.0f", math.Abs(x))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if x < 0 {
		return "-" + digits
	}
	return digits
}

// rate is how often something happens: what is rare has a decimal.
func rate(c count, seconds float64) string {
	x := c.Rate * seconds
	switch {
	case !c.Known:
		return none
	case x == 0:
		return "0"
	case x < 10:
		return fmt.Sprintf("%.1f", x)
	}
	return amount(x)
}

func perSecond(c count) string { return rate(c, 1) }
func perMinute(c count) string { return rate(c, 60) }

func size(x float64) string {
	const mega, giga = 1 << 20, 1 << 30
	switch {
	case math.IsNaN(x):
		return none
	case x < giga:
		return fmt.Sprintf("%.0f MiB", x/mega)
	}
	return fmt.Sprintf("%.1f GiB", x/giga)
}

func cores(x float64) string {
	if math.IsNaN(x) {
		return none
	}
	return fmt.Sprintf("%.0f %%", 100*x)
}
