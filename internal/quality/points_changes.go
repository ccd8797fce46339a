package quality

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// choose returns the rows of a set in the given order.
func choose(s *labelled, rows []int) *labelled {
	c := &labelled{name: s.name, x: make([][]float64, len(rows)), y: make([]bool, len(rows))}
	for i, row := range rows {
		c.x[i], c.y[i] = s.x[row], s.y[row]
	}
	return c
}

func upTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

func shuffleRows(s *labelled, r *rand.Rand) *labelled { return choose(s, r.Perm(len(s.x))) }

func reverseRows(s *labelled, _ *rand.Rand) *labelled {
	rows := upTo(len(s.x))
	slices.Reverse(rows)
	return choose(s, rows)
}

// keepRows keeps those that it is told to.
func keepRows(s *labelled, keep func(row int) bool) *labelled {
	return choose(s, slices.DeleteFunc(upTo(len(s.x)), func(row int) bool { return !keep(row) }))
}

func thinRows(s *labelled, _ *rand.Rand) *labelled {
	return keepRows(s, func(row int) bool { return row%2 == 0 })
}

func cutRows(s *labelled, _ *rand.Rand) *labelled {
	return keepRows(s, func(row int) bool { return row >= len(s.x)*15/100 })
}

func rarer(s *labelled, r *rand.Rand) *labelled {
	return keepRows(s, func(row int) bool { return !s.y[row] || r.Float64() < .2 })
}

// gather moves the anomalies to one place after a third of the rows.
func gather(s *labelled, r *rand.Rand) *labelled {
	place := int(float64(len(s.x)) * (1./3 + r.Float64()/2))
	key := func(row int) float64 {
		if s.y[row] {
			return float64(place) + .5
		}
		return float64(row)
	}
	rows := upTo(len(s.x))
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(key(a), key(b)) })
	return choose(s, rows)
}

// frequent leaves out ordinary rows.
func frequent(s *labelled, r *rand.Rand) *labelled {
	odd := s.anomalies()
	share := 4 * float64(odd) / float64(len(s.x)-odd)
	return keepRows(s, func(row int) bool { return s.y[row] || r.Float64() < share })
}

// inTurn takes rows of two sets by turns, in standard deviations; what one has fewer of fields is 0.
func inTurn(a, b *labelled) *labelled {
	za, zb := standard(a), standard(b)
	fields := max(len(za[0]), len(zb[0]))
	c := &labelled{}
	for i := range 2 * min(len(za), len(zb)) {
		x := make([]float64, fields)
		if i%2 == 0 {
			copy(x, za[i/2])
			c.y = append(c.y, a.y[i/2])
		} else {
			copy(x, zb[i/2])
			c.y = append(c.y, b.y[i/2])
		}
		c.x = append(c.x, x)
	}
	return c
}

// standard returns the rows in deviations from the means.
func standard(s *labelled) [][]float64 {
	fields, n := len(s.x[0]), float64(len(s.x))
	z := make([][]float64, len(s.x))
	for i := range z {
		z[i] = make([]float64, fields)
	}
	for j := range fields {
		mean, square := 0.0, 0.0
		for _, x := range s.x {
			mean += x[j] / n
		}
		for _, x := range s.x {
			square += (x[j] - mean) * (x[j] - mean) / n
		}
		for i, x := range s.x {
			z[i][j] = (x[j] - mean) / (math.Sqrt(square) + 1e-12)
		}
	}
	return z
}

// withRows is s with other values.
func withRows(s *labelled, x [][]float64) *labelled { return &labelled{name: s.name, x: x, y: s.y} }

func halfOfFields(s *labelled, r *rand.Rand) *labelled {
	fields := r.Perm(len(s.x[0]))
	fields = fields[:(len(fields)+1)/2]
	c := make([][]float64, len(s.x))
	for i, x := range s.x {
		for _, j := range fields {
			c[i] = append(c[i], x[j])
		}
	}
	return withRows(s, c)
}

// widened adds n fields that say nothing, each of a law of its own, or as many as there are to -n.
func widened(n int, law func(*rand.Rand) func() float64) pointChange {
	return func(s *labelled, r *rand.Rand) *labelled {
		more := n
		if n < 0 {
			more = max(0, -n-len(s.x[0]))
		}
		draws := make([]func() float64, more)
		for j := range draws {
			draws[j] = law(r)
		}
		c := make([][]float64, len(s.x))
		for i, x := range s.x {
			c[i] = slices.Clone(x)
			for _, draw := range draws {
				c[i] = append(c[i], draw())
			}
		}
		return withRows(s, c)
	}
}

func normalDraws(r *rand.Rand) func() float64 { return r.NormFloat64 }

func sometimesOne(r *rand.Rand) func() float64 {
	often := .5 * math.Pow(r.Float64(), 2)
	return func() float64 { return math.Floor(r.Float64() + often) }
}

// projected makes other fields, each a sum of all with random weights, and adds noise of so many deviations. Where n is 0 there are as many fields as before.
func projected(n int, noise float64) pointChange {
	return func(s *labelled, r *rand.Rand) *labelled {
		z := standard(s)
		fields := n
		if n == 0 {
			fields = len(z[0])
		}
		weights := directions(len(z[0]), fields, n == 0, r)
		c := make([][]float64, len(z))
		for i, x := range z {
			c[i] = make([]float64, fields)
			for k, w := range weights {
				c[i][k] = noise * r.NormFloat64()
				for j, v := range x {
					c[i][k] += w[j] * v
				}
			}
		}
		return withRows(s, c)
	}
}

// directions are n of length one; at right angles if so asked.
func directions(fields, n int, right bool, r *rand.Rand) [][]float64 {
	w := make([][]float64, n)
	for k := range w {
		w[k] = make([]float64, fields)
		for j := range w[k] {
			w[k][j] = r.NormFloat64()
		}
		if right {
			for _, before := range w[:k] { // Gram and Schmidt
				dot := 0.0
				for j, v := range before {
					dot += v * w[k][j]
				}
				for j, v := range before {
					w[k][j] -= dot * v
				}
			}
		}
		square := 0.0
		for _, v := range w[k] {
			square += v * v
		}
		for j := range w[k] {
			w[k][j] /= math.Sqrt(square)
		}
	}
	return w
}

// rectified makes 64 fields of whole numbers, like pixels: half of the values are 0.
func rectified(s *labelled, r *rand.Rand) *labelled {
	offsets := make([]float64, 64)
	for k := range offsets {
		offsets[k] = r.NormFloat64()
	}
	c := projected(64, .1)(s, r)
	for _, x := range c.x {
		for k := range x {
			x[k] = math.Round(4 * max(0, x[k]+offsets[k]))
		}
	}
	return c
}

// binned makes five 0-1 fields of each, of which the one is 1 whose fifth of the values it lies in; of at most 12 fields.
func binned(s *labelled, _ *rand.Rand) *labelled {
	const bins = 5
	fields := min(12, len(s.x[0]))
	c := make([][]float64, len(s.x))
	for i := range c {
		c[i] = make([]float64, bins*fields)
	}
	for j := range fields {
		sorted := make([]float64, len(s.x))
		for i, x := range s.x {
			sorted[i] = x[j]
		}
		slices.Sort(sorted)
		for i, x := range s.x {
			bin := 0
			for bin < bins-1 && x[j] > sorted[(bin+1)*len(sorted)/bins] {
				bin++
			}
			c[i][bins*j+bin] = 1
		}
	}
	return withRows(s, c)
}

// eachValue changes each value, given in deviations from the mean.
func eachValue(change func(z float64, r *rand.Rand) float64) pointChange {
	return func(s *labelled, r *rand.Rand) *labelled {
		z := standard(s)
		for _, x := range z {
			for j, v := range x {
				x[j] = change(v, r)
			}
		}
		return withRows(s, z)
	}
}

// wander adds to each field a wave of its own that comes once to four times.
func wander(s *labelled, r *rand.Rand) *labelled {
	z := standard(s)
	for j := range z[0] {
		turns, phase := 1+3*r.Float64(), r.Float64()
		for i, x := range z {
			x[j] += math.Sin(2 * math.Pi * (phase + turns*float64(i)/float64(len(z))))
		}
	}
	return withRows(s, z)
}
