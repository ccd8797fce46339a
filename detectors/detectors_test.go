package detectors

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const fields = 3

// each runs a law over every kind, with its defaults.
func each(t *testing.T, law func(t *testing.T, fresh func() Detector)) {
	for kind, config := range Kinds {
		t.Run(kind, func(t *testing.T) {
			law(t, func() Detector { return newDetector[Detector](t, config(), fields) })
		})
	}
}

// points returns n points, a minute apart, of noise around distinct levels; the same for the same seed.
func points(n int, seed uint64) []Point {
	r := rand.New(rand.NewPCG(seed, 0))
	ps := make([]Point, n)
	for i := range ps {
		ps[i] = Point{Time: int64(i) * int64(time.Minute), X: make([]float64, fields)}
		for j := range ps[i].X {
			ps[i].X[j] = 100*float64(j) + r.NormFloat64()
		}
	}
	return ps
}

func learn(d Detector, ps []Point) {
	for _, p := range ps {
		d.Learn(p)
	}
}

// warm returns a detector that has learned enough to score, and what it learned.
func warm(t *testing.T, fresh func() Detector) (Detector, []Point) {
	t.Helper()
	d, ps := fresh(), points(600, 1)
	learn(d, ps)
	if _, ok := d.Score(ps[0]); !ok {
		t.Fatal("still in warm-up after 600 points")
	}
	return d, ps
}

func TestScoreChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d := fresh()
		for _, p := range points(300, 1) {
			before := state(t, d)
			first, ok := d.Score(p)
			again, okAgain := d.Score(p)
			if first != again || ok != okAgain || state(t, d) != before {
				t.Fatalf("Score(%v) = %v, %v, then %v, %v", p, first, ok, again, okAgain)
			}
			d.Learn(p)
		}
	})
}

// What is left of the warm-up falls by one with each point, and at 0 there is a score.
func TestLeft(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d := fresh()
		all := d.Left()
		for i, p := range points(600, 1) {
			if got, want := d.Left(), max(0, all-i); got != want {
				t.Fatalf("Left() = %d after %d points, want %d", got, i, want)
			}
			if _, ok := d.Score(p); ok != (d.Left() == 0) {
				t.Fatalf("Score is ok: %v after %d points, with %d left", ok, i, d.Left())
			}
			d.Learn(p)
		}
	})
}

// What is learned does not depend on what was scored, so that folding again in recovery may leave scores out.
func TestLearnNeedsNoScore(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		scored, silent := fresh(), fresh()
		for i, p := range points(700, 2) {
			if i%3 > 0 {
				scored.Score(p)
			}
			scored.Learn(p)
			silent.Learn(p)
		}
		if state(t, scored) != state(t, silent) {
			t.Error("scoring has left its mark")
		}
	})
}

func TestSameSeedSameScores(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		a, b := fresh(), fresh()
		for i, p := range points(700, 2) {
			scoreA, okA := a.Score(p)
			scoreB, okB := b.Score(p)
			if scoreA != scoreB || okA != okB {
				t.Fatalf("point %d scores %v, %v by one and %v, %v by its twin", i, scoreA, okA, scoreB, okB)
			}
			a.Learn(p)
			b.Learn(p)
		}
	})
}

// What shares parts with another does so unnoticed: it has learned nothing, and goes the way of one that was made by itself.
func TestAnotherIsAsNew(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		first, ps := warm(t, fresh)
		s, ok := first.(Sharer)
		if !ok {
			t.Skip("shares nothing")
		}
		another, alone := s.Another(), fresh()
		for i, p := range ps {
			if i%2 == 0 {
				first.Score(ps[len(ps)-1-i])
				first.Learn(ps[len(ps)-1-i])
			}
			got, okGot := another.Score(p)
			want, okWant := alone.Score(p)
			if got != want || okGot != okWant {
				t.Fatalf("point %d scores %v, %v, by one made alone %v, %v", i, got, okGot, want, okWant)
			}
			another.Learn(p)
			alone.Learn(p)
		}
		if state(t, another) != state(t, alone) {
			t.Error("another has another state than one made alone")
		}
	})
}

func TestSpikeScoresHighest(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d := fresh()
		ps := points(1000, 3)
		learn(d, ps[:900])
		highest := 0.0
		for _, p := range ps[900:] {
			score, ok := d.Score(p)
			if !ok {
				t.Fatal("still in warm-up after 900 points")
			}
			highest = max(highest, score)
			d.Learn(p)
		}
		for j := range fields {
			spike := points(1, 4)[0]
			spike.Time = ps[999].Time + int64(time.Minute)
			spike.X[j] += 50
			if score, _ := d.Score(spike); score <= highest {
				t.Errorf("spike in field %d scores %v, noise up to %v", j, score, highest)
			}
		}
	})
}

// A score is finite and at most MaxScore, whatever finite values and times come in whatever order, and the state can be restored.
func TestExtremesStayFinite(t *testing.T) {
	extremes := []float64{0, math.Copysign(0, -1), 1, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e300, -1e-300, 1e38}
	each(t, func(t *testing.T, fresh func() Detector) {
		r := rand.New(rand.NewPCG(5, 0))
		d := fresh()
		p := Point{X: make([]float64, fields)}
		for i := range 2000 {
			p.Time = int64(r.Uint64())
			for j := range p.X {
				p.X[j] = extremes[r.IntN(len(extremes))]
			}
			if score, _ := d.Score(p); !(score >= 0 && score <= MaxScore) {
				t.Fatalf("point %d, %v, scores %v", i, p.X, score)
			}
			d.Learn(p)
		}
		if err := fresh().UnmarshalBinary([]byte(state(t, d))); err != nil {
			t.Errorf("restore: %v", err)
		}
	})
}

// infinite says of a number that it is, or that it is none.
func infinite(x float64) bool { return !(math.Abs(x) <= math.MaxFloat64) }

// What is said of a point are finite numbers as well: JSON knows no others. Values of very different sizes, after noise and beside a field that never
// varied, are harder than extremes alone.
func TestExtremesAreExplained(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		for _, size := range []float64{1e6, 1e20, 1e38, 1e200, math.MaxFloat64} {
			d, r := fresh(), rand.New(rand.NewPCG(8, 0))
			shares := make([]float64, fields)
			for i := range 1000 {
				p := Point{Time: int64(i) * int64(time.Minute), X: make([]float64, fields)}
				for j := range p.X {
					if p.X[j] = 5; j == 0 {
						p.X[j] = r.NormFloat64()
					}
					if i > 600 && r.IntN(16) == 0 {
						p.X[j] = size * r.Float64() * float64(1-2*r.IntN(2))
					}
				}
				if _, ok := d.Score(p); !ok {
					d.Learn(p)
					continue
				}
				if e, ok := d.(Explainer); ok {
					e.Shares(p, shares)
					sum := 0.0
					for _, s := range shares {
						sum += s
					}
					if !near(sum, 1, 1e-9) {
						t.Fatalf("Shares(%v) = %v: sum %v, want 1", p, shares, sum)
					}
				}
				for j := range fields {
					f, ok := d.(Forecaster)
					if !ok {
						break
					}
					if expected, low, high, ok := f.Expect(p, j); ok && (infinite(expected) || infinite(low) || infinite(high)) {
						t.Fatalf("Expect(%v, %d) = %v, %v, %v", p, j, expected, low, high)
					}
				}
				d.Learn(p)
			}
		}
	})
}

// Decades and ScoreAt increase, from 0 on, and each is the other's inverse.
func TestLawIsInvertible(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d := fresh()
		if got := d.Decades(d.ScoreAt(0)); math.Abs(got) > 1e-9 {
			t.Errorf("Decades(ScoreAt(0)) = %v, want 0", got)
		}
		last := math.Inf(-1)
		for decades := 0.0; decades <= 12; decades += 0.05 {
			score := d.ScoreAt(decades)
			if !(score > last) || score > MaxScore {
				t.Fatalf("ScoreAt(%v) = %v, and a step before %v", decades, score, last)
			}
			if back := d.Decades(score); !near(back, decades, 1e-9) {
				t.Fatalf("Decades(ScoreAt(%v)) = %v", decades, back)
			}
			last = score
		}
		last = -1
		for _, score := range []float64{-1, 0, .1, .2, .4, .6, .8, .9, 1, 2, 5, 10, 20, 30, 40, 100, 1e4, 1e6, MaxScore} {
			decades := d.Decades(score)
			if !(decades >= 0) || math.IsInf(decades, 0) || decades < last {
				t.Fatalf("Decades(%v) = %v, of a lower score %v", score, decades, last)
			}
			last = decades
		}
	})
}

func TestSharesAddUpToOne(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d, ps := warm(t, fresh)
		e, ok := d.(Explainer)
		if !ok {
			t.Skip("explains nothing")
		}
		check := func(p Point) []float64 {
			shares := make([]float64, fields)
			e.Shares(p, shares)
			sum := 0.0
			for _, s := range shares {
				if !(s >= 0) {
					t.Fatalf("Shares(%v) = %v", p, shares)
				}
				sum += s
			}
			if !near(sum, 1, 1e-9) {
				t.Fatalf("Shares(%v) = %v: sum %v, want 1", p, shares, sum)
			}
			return shares
		}
		for _, p := range ps[:100] {
			check(p)
		}
		for j := range fields {
			spike := Point{Time: ps[len(ps)-1].Time, X: slices.Clone(ps[0].X)}
			spike.X[j] += 50
			if shares := check(spike); slices.Max(shares) != shares[j] {
				t.Errorf("shares of a spike in field %d: %v", j, shares)
			}
		}
	})
}

func TestExpectedLiesInItsBand(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d, _ := warm(t, fresh)
		f, ok := d.(Forecaster)
		if !ok {
			t.Skip("expects nothing")
		}
		inside, ps := 0, points(1000, 8)
		for _, p := range ps {
			for j := range fields {
				expected, low, high, ok := f.Expect(p, j)
				if !ok || !(low <= expected && expected <= high) {
					t.Fatalf("Expect(%v, %d) = %v in [%v, %v], %v", p, j, expected, low, high, ok)
				}
				if low <= p.X[j] && p.X[j] <= high {
					inside++
				}
			}
		}
		if share := float64(inside) / float64(fields*len(ps)); share < .98 {
			t.Errorf("%v of noise lies in the band, want ≥ .98", share)
		}
	})
}

func TestScoreAndLearnDoNotAllocate(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d := fresh()
		ps := points(6000, 6)
		learn(d, ps[:1000])
		i := 1000
		if n := testing.AllocsPerRun(4900, func() { d.Score(ps[i]); d.Learn(ps[i]); i++ }); n > 0 {
			t.Errorf("%v allocations a point, want 0", n)
		}
	})
}

// One compact detector does for many series what one for each would do, and no more than its numbers are a series' own.
func TestCompactServesMany(t *testing.T) {
	served := 0
	each(t, func(t *testing.T, fresh func() Detector) {
		one, ok := fresh().(Compact)
		if !ok {
			return
		}
		served++
		const series = 3
		var own [series]Detector
		var states [series][]float64
		for i := range series {
			own[i], states[i] = fresh(), make([]float64, one.Words())
		}
		for i, p := range points(2000, 5) {
			d := own[i%series]
			one.Use(states[i%series])
			score, ok := one.Score(p)
			if want, wantOK := d.Score(p); score != want || ok != wantOK || one.Left() != d.Left() {
				t.Fatalf("point %d: Score = %v, %v with %d left, want %v, %v with %d", i, score, ok, one.Left(), want, wantOK, d.Left())
			}
			one.Learn(p)
			d.Learn(p)
			if state(t, one) != state(t, d) {
				t.Fatalf("after point %d the state is another", i)
			}
			if i%50 == 0 {
				if err := one.UnmarshalBinary([]byte(state(t, one))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := testing.AllocsPerRun(100, func() { one.Use(states[0]) }); n > 0 {
			t.Errorf("Use allocates %v times, want 0", n)
		}
	})
	if served == 0 {
		t.Error("no detector is compact")
	}
}

func BenchmarkPoint(b *testing.B) {
	for _, kind := range slices.Sorted(maps.Keys(Kinds)) {
		b.Run(kind, func(b *testing.B) {
			d, err := Kinds[kind]().New(fields)
			if err != nil {
				b.Fatal(err)
			}
			ps := points(4096, 7)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.Score(ps[i%len(ps)])
				d.Learn(ps[i%len(ps)])
			}
		})
	}
}
