package quality

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gonomaly/gonomaly/detectors"
)

// chart is a control chart with a limit, and its average run length when the mean is off by a number of standard deviations.
type chart struct {
	name  string
	kind  detectors.Config
	limit float64
	exact func(shift float64) float64
}

// charts are those of the tables in Lucas & Saccucci (1990), and CUSUMs of the usual limits.
func charts() []chart {
	var all []chart
	for _, c := range []struct{ weight, limit float64 }{{0.05, 2.615}, {0.1, 2.814}, {0.25, 2.998}, {0.4, 3.054}} {
		all = append(all, chart{
			name: fmt.Sprintf("EWMA, λ = %v, L = %v", c.weight, c.limit), limit: c.limit,
			kind:  &detectors.EWMAChartConfig{Weight: c.weight, Spread: 1, HalfLife: 1000, WarmUp: 100},
			exact: func(shift float64) float64 { return ewmaRunLength(c.weight, c.limit, shift) },
		})
	}
	for _, limit := range []float64{4, 5} {
		all = append(all, chart{
			name: fmt.Sprintf("CUSUM, k = 0.5, h = %v", limit), limit: limit,
			kind:  &detectors.CUSUMConfig{Slack: 0.5, Spread: 1, HalfLife: 1000, WarmUp: 100},
			exact: func(shift float64) float64 { return cusumRunLength(0.5, limit, shift) },
		})
	}
	return all
}

const (
	chartRuns   = 4000
	chartStates = 301 // of a Markov chain: the error falls with their square, and is below 1e-3 of the result
)

// askCharts lets the detectors run until their score is over the limit, and compares how long that took with what theory says.
func askCharts(ctx context.Context, r *Report) error {
	shifts := []float64{0, 0.5, 1, 2, 3}
	header := []string{"chart"}
	for _, shift := range shifts {
		header = append(header, fmt.Sprintf("δ = %v", shift))
	}
	r.text("Average run length, measured over %d runs of standard normal draws with a mean of δ, / exact by Markov chain (Brook & Evans 1972), "+
		"and their difference in standard errors: within 3 is Monte-Carlo error. Target and spread are known.\n", chartRuns)
	var rows [][]string
	most := 0.0
	for _, c := range charts() {
		row := []string{c.name}
		for i, shift := range shifts {
			if err := ctx.Err(); err != nil {
				return err
			}
			mean, deviation, err := c.run(shift, uint64(i))
			if err != nil {
				return err
			}
			exact := c.exact(shift)
			off := (mean - exact) / (deviation / math.Sqrt(chartRuns))
			most = max(most, math.Abs(off))
			row = append(row, fmt.Sprintf("%.2f / %.2f, %+.1f", mean, exact, off))
		}
		rows = append(rows, row)
	}
	r.table(header, rows)
	r.figure("charts.worst", -most)
	return nil
}

// run returns mean and standard deviation of the run lengths.
func (c *chart) run(shift float64, seed uint64) (mean, deviation float64, err error) {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // draws
	p := detectors.Point{X: make([]float64, 1)}
	sum, squares := 0.0, 0.0
	for range chartRuns {
		d, err := c.kind.New(1)
		if err != nil {
			return 0, 0, err
		}
		length := 0.0
		for score := 0.0; score <= c.limit; length++ {
			p.X[0] = shift + random.NormFloat64()
			score, _ = d.Score(p)
			d.Learn(p)
		}
		sum += length
		squares += length * length
	}
	mean = sum / chartRuns
	return mean, math.Sqrt(squares/chartRuns - mean*mean), nil
}

// ewmaRunLength is the average run length of an EWMA chart with limits of ±limit standard deviations of the average, from an average of 0
// on: Lucas & Saccucci (1990), appendix, by the Markov chain of Brook & Evans (1972), "An Approach to the Probability Distribution of CUSUM Run
// Length", Biometrika 59. The interval between the limits is cut into as many states, each with the average in its middle.
func ewmaRunLength(weight, limit, shift float64) float64 {
	edge := limit * math.Sqrt(weight/(2-weight))
	width := 2 * edge / chartStates
	middle := func(i int) float64 { return -edge + (float64(i)+0.5)*width }
	chain := newChain(chartStates, func(from, to int) float64 {
		// From average a the next is in (b, c) when the point is in ((b - (1-weight)·a)/weight, …).
		rest := (1 - weight) * middle(from)
		return below((middle(to)+width/2-rest)/weight-shift) - below((middle(to)-width/2-rest)/weight-shift)
	})
	return chain.runLengths()[chartStates/2]
}

// cusumRunLength is that of a two-sided CUSUM from 0 on. Its sides are never both above zero long enough to matter: with slack above zero the
// rates of their alarms add up (Van Dobben de Bruyn 1968, "Cumulative Sum Tests", section 3; Lucas & Crosier 1982, Technometrics 24).
func cusumRunLength(slack, limit, shift float64) float64 {
	return 1 / (1/cusumSide(slack, limit, shift) + 1/cusumSide(slack, limit, -shift))
}

// cusumSide is that of one side: Brook & Evans (1972), section 2. The first state is [0, width/2), the others have their sum in the middle.
func cusumSide(slack, limit, shift float64) float64 {
	width := 2 * limit / (2*chartStates - 1)
	chain := newChain(chartStates, func(from, to int) float64 {
		at := float64(to-from)*width + slack - shift
		if to == 0 {
			return below(at + width/2)
		}
		return below(at+width/2) - below(at-width/2)
	})
	return chain.runLengths()[0]
}

// below is the probability that a standard normal is at most z.
func below(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }

// chain is I - Q for the transitions Q among the states of a Markov chain before it ends.
type chain [][]float64

func newChain(states int, transition func(from, to int) float64) chain {
	c := make(chain, states)
	for from := range c {
		c[from] = make([]float64, states)
		for to := range c[from] {
			c[from][to] = -transition(from, to)
		}
		c[from][from]++
	}
	return c
}

// runLengths solves (I - Q)·r = 1 for the mean steps to the end from each state, by elimination; the matrix is dominated by its
// diagonal, so that no rows need to be exchanged.
func (c chain) runLengths() []float64 {
	r := make([]float64, len(c))
	for i := range r {
		r[i] = 1
	}
	for i, row := range c {
		for j := i + 1; j < len(c); j++ {
			f := c[j][i] / row[i]
			if f == 0 {
				continue
			}
			for k := i; k < len(c); k++ {
				c[j][k] -= f * row[k]
			}
			r[j] -= f * r[i]
		}
	}
	for i := len(c) - 1; i >= 0; i-- {
		for k := i + 1; k < len(c); k++ {
			r[i] -= c[i][k] * r[k]
		}
		r[i] /= c[i][i]
	}
	return r
}
