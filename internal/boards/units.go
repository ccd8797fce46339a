package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// written is a value in one of Grafana's units, as Grafana writes it: the number, and its unit.
func written(x float64, unit string) (number, of string) {
	switch unit {
	case "s":
		return seconds(x)
	case "percentunit":
		if x > 0.99 && x < 1 { // a promise that is nearly kept is not one that is
			return strconv.FormatFloat(math.Floor(10_000*x)/100, 'f', 2, 64), "%"
		}
		return digits(100 * x), "%"
	case "bytes":
		return scaled(x, 1024, "B", "KiB", "MiB", "GiB")
	case "Bps":
		return scaled(x, 1000, "B/s", "kB/s", "MB/s", "GB/s")
	}
	of = map[string]string{"rps": "req/s", "cps": "c/s", "cpm": "c/m", "ops": "ops/s"}[unit]
	number, large := scaled(x, 1000, "", "K", "Mil", "Bil")
	return number, strings.TrimSpace(large + " " + of)
}

// inUnit is both in one.
func inUnit(x float64, unit string) string {
	number, of := written(x, unit)
	if of == "%" {
		return number + of
	}
	return strings.TrimSpace(number + " " + of)
}

func scaled(x, by float64, units ...string) (number, of string) {
	i := 0
	for i < len(units)-1 && math.Abs(x) >= by {
		x /= by
		i++
	}
	return digits(x), units[i]
}

func seconds(x float64) (number, of string) {
	const minute, hour, day, week, year = 60, 3600, 86400, 7 * 86400, 365 * 86400
	if x == 0 {
		return "0", "s"
	}
	for _, u := range []struct {
		below, of float64
		name      string
	}{{1e-3, 1e-6, "µs"}, {1, 1e-3, "ms"}, {minute, 1, "s"}, {hour, minute, "min"}, {day, hour, "h"}, {2 * week, day, "days"}, {year, week, "weeks"}} {
		if math.Abs(x) < u.below {
			return digits(x / u.of), u.name
		}
	}
	return digits(x / year), "years"
}

// digits are three that matter, and what stands before the point.
func digits(x float64) string {
	decimals := 2
	switch a := math.Abs(x); {
	case a >= 100 || a == math.Trunc(a):
		decimals = 0
	case a >= 10:
		decimals = 1
	case a < 0.01:
		return fmt.Sprintf("%.2g", x)
	}
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
