package quality

import (
	"math"
	"testing"
)

// Average run lengths as published: of EWMA charts by Lucas & Saccucci (1990), table 3, as Montgomery, "Introduction to Statistical Quality
// Control", table 9.11, has them; of the two-sided CUSUM his table 9.3. Three digits are given, or one after the point.
func TestRunLengthsAsPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	for _, c := range []struct {
		name      string
		exact     func(shift float64) float64
		published map[float64]float64
	}{
		{"EWMA .1, 2.814", func(s float64) float64 { return ewmaRunLength(0.1, 2.814, s) },
			map[float64]float64{0: 500, 0.5: 31.3, 1: 10.3, 2: 4.4, 3: 2.9}},
		{"EWMA .05, 2.615", func(s float64) float64 { return ewmaRunLength(0.05, 2.615, s) },
			map[float64]float64{0: 500, 0.5: 28.8, 1: 11.4, 2: 5.2, 3: 3.5}},
		{"EWMA .25, 2.998", func(s float64) float64 { return ewmaRunLength(0.25, 2.998, s) },
			map[float64]float64{0: 500, 0.5: 48.2, 1: 11.1, 2: 3.6, 3: 2.3}},
		{"EWMA .4, 3.054", func(s float64) float64 { return ewmaRunLength(0.4, 3.054, s) },
			map[float64]float64{0: 500, 0.5: 71.2, 1: 14.3, 2: 3.5, 3: 2.0}},
		{"CUSUM h = 4", func(s float64) float64 { return cusumRunLength(0.5, 4, s) },
			map[float64]float64{0: 168, 0.5: 26.6, 1: 8.38, 2: 3.34, 3: 2.19}},
		{"CUSUM h = 5", func(s float64) float64 { return cusumRunLength(0.5, 5, s) },
			map[float64]float64{0: 465, 0.5: 38.0, 1: 10.4, 2: 4.01, 3: 2.57}},
	} {
		for shift, want := range c.published {
			tolerance := 0.005 * want // L is rounded to three digits after the point
			if want < 100 {
				tolerance = max(tolerance, 0.051)
			}
			if got := c.exact(shift); math.Abs(got-want) > tolerance {
				t.Errorf("%s at a shift of %v: %v, want %v", c.name, shift, got, want)
			}
		}
	}
}

// With a weight of 1 the chart judges each point alone: 1/(2·Φ(-3)) = 370.4.
func TestRunLengthOfShewhart(t *testing.T) {
	if got := ewmaRunLength(1, 3, 0); math.Abs(got-370.398) > 0.01 {
		t.Errorf("%v, want 370.398", got)
	}
}

// The detectors run as long as theory says.
func TestChartsRunAsLong(t *testing.T) {
	for _, c := range charts() {
		for _, shift := range []float64{1, 3} {
			mean, deviation, err := c.run(shift, 1)
			if exact := c.exact(shift); err != nil || math.Abs(mean-exact) > 4*deviation/math.Sqrt(chartRuns) {
				t.Errorf("%s at a shift of %v: %v ± %v, %v, want %v", c.name, shift, mean, deviation/math.Sqrt(chartRuns), err, exact)
			}
		}
	}
}
