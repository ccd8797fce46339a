package detectors

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// remember feeds values at rows 0, 1, 2…, and returns the next row.
func remember(m *memory, floor float64, life int, xs ...float64) (row uint64) {
	for _, x := range xs {
		m.learn(m.place(x), x, floor, row, horizon, life)
		row++
	}
	return row
}

func (m *memory) held() []float32 { return m.value[:m.n] }

func TestMemoryNearest(t *testing.T) {
	var m memory
	if d, i := m.nearest(m.place(1), 1); !math.IsInf(d, 1) || i != -1 {
		t.Errorf("nearest of nothing = %v, %d", d, i)
	}
	remember(&m, 0.5, 0, 10, 30, 20, 20.25) // the last is within the floor of 20
	if want := []float32{10, 20, 30}; !slices.Equal(m.held(), want) {
		t.Fatalf("remembered %v, want %v", m.held(), want)
	}
	if m.visits[1] != 2 {
		t.Errorf("%d visits to 20, want 2", m.visits[1])
	}
	for _, c := range []struct {
		x, distance float64
		index       int
	}{{0, 10, 0}, {10, 0, 0}, {14, 4, 0}, {15, 5, 1}, {16, 4, 1}, {31, 1, 2}} {
		if d, i := m.nearest(m.place(c.x), c.x); d != c.distance || i != c.index {
			t.Errorf("nearest to %v = %v, %d, want %v, %d", c.x, d, i, c.distance, c.index)
		}
	}
}

// A full memory merges the closest two, and keeps the one with the more room on its other side; the ends stay.
func TestMemoryThins(t *testing.T) {
	spaced := make([]float64, remembered)
	for i := range spaced {
		spaced[i] = float64(10 * i)
	}
	for _, c := range []struct {
		name    string
		x, gone float64
	}{
		{"the newcomer, nearer to its other neighbour", 102, 102}, // gaps 2 and 8 against 10 and 2: 100 has more room
		{"beside the least", 1, 1},
		{"beside the greatest", 10*remembered - 11, 10*remembered - 11},
	} {
		var m memory
		remember(&m, 0, 0, append(slices.Clone(spaced), c.x)...)
		if len(m.held()) != remembered || slices.Contains(m.held(), float32(c.gone)) {
			t.Errorf("%s: %d values remembered, %v among them: %v", c.name, m.n, c.gone, slices.Contains(m.held(), float32(c.gone)))
		}
		if i := slices.Index(m.visits[:m.n], 2); i < 0 {
			t.Errorf("%s: the visits of the two were not added up", c.name)
		}
	}
}

// Whether a memory knows how close its values are or looks at all of them, it keeps the same ones.
func TestMemoryJoins(t *testing.T) {
	for _, c := range []struct {
		name string
		next func(*rand.Rand, float64) float64
	}{
		{"noise", func(r *rand.Rand, _ float64) float64 { return r.NormFloat64() }},
		{"ties", func(r *rand.Rand, _ float64) float64 { return float64(r.IntN(200)) }},
		{"a walk", func(r *rand.Rand, x float64) float64 { return x + r.NormFloat64() }},
		{"heavy tails", func(r *rand.Rand, _ float64) float64 { return 1 / (r.Float64() - 0.5) }},
	} {
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same values each time
		var quick, slow memory
		x, known := 0.0, 0
		for row := range uint64(50_000) {
			x = c.next(random, x)
			for _, m := range []*memory{&quick, &slow} {
				m.learn(m.place(x), x, 0.01, row, horizon, 1000)
			}
			slow.least = 0
			if quick.least > 0 {
				known++
			}
			if !bytes.Equal(quick.append(nil), slow.append(nil)) {
				t.Fatalf("%s, row %d: %v remembered, want %v", c.name, row, quick.held(), slow.held())
			}
		}
		if known < 25_000 {
			t.Errorf("%s: only for %d of 50,000 rows it is known how close the values are", c.name, known)
		}
	}
}

// With a life of 1,000 rows a visit, a value visited once is forgotten before one visited three times; without, both stay a horizon.
func TestMemoryForgets(t *testing.T) {
	for _, c := range []struct {
		life, rows int
		want       []float32
	}{
		{1000, 900, []float32{1, 2, 3, 4}},
		{1000, 1500, []float32{2, 3, 4}}, // 3 and 4 are visited all the time
		{1000, 3500, []float32{3, 4}},
		{0, 19000, []float32{1, 2, 3, 4}},
		{0, 21000, []float32{3, 4}},
		{0, 140000, []float32{3, 4}}, // twice round the 16 bits of a row
	} {
		var m memory
		row := remember(&m, 0.1, c.life, 2, 2, 2, 1)
		for range c.rows / 2 {
			for _, x := range []float64{3, 4} {
				m.learn(m.place(x), x, 0.1, row, horizon, c.life)
				row++
			}
		}
		if !slices.Equal(m.held(), c.want) {
			t.Errorf("life %d, after %d rows: %v remembered, want %v", c.life, c.rows, m.held(), c.want)
		}
	}
}

// The last two values are kept however long ago they were, and go as soon as there are others.
func TestMemoryKeepsTwo(t *testing.T) {
	var m memory
	row := remember(&m, 0.1, 0, 1, 2)
	for range 70000 {
		m.learn(m.place(2), 2, 0.1, row, horizon, 0)
		row++
	}
	if want := []float32{1, 2}; !slices.Equal(m.held(), want) {
		t.Fatalf("remembered %v, want %v", m.held(), want)
	}
	for range 5 {
		m.learn(m.place(3), 3, 0.1, row, horizon, 0)
		row++
	}
	if want := []float32{2, 3}; !slices.Equal(m.held(), want) {
		t.Errorf("remembered %v, want %v", m.held(), want)
	}
}
