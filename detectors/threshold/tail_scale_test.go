package threshold

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// tails are estimates of all shapes.
func tails() map[string]*Tail {
	out := map[string]*Tail{"nothing": {}}
	*out["nothing"] = NewTail()
	for name, law := range laws {
		next, tail := law(rand.New(rand.NewPCG(1, 3))), NewTail()
		for range 3000 {
			tail.Learn(decades(next()))
		}
		out[name] = &tail
	}
	for _, u := range []float64{0, 1, 50, 1e18} {
		tail := NewTail()
		for range 30_000 {
			tail.Learn(u)
		}
		out[fmt.Sprintf("always %v", u)] = &tail
	}
	return out
}

func TestPDecreases(t *testing.T) {
	for name, tail := range tails() {
		if p := tail.P(0); p != 1 {
			t.Errorf("%s: P(0) = %v, want 1", name, p)
		}
		last := 0.0
		for u := 1e-3; u < 1e18; u *= 1.02 {
			d, p := tail.Decades(u), tail.P(u)
			if d < last || d == last && d < maxDecades || !(p > 0 && p <= 1) {
				t.Fatalf("%s: Decades(%v) = %v after %v, P = %v", name, u, d, last, p)
			}
			last = d
		}
	}
}

func TestAtIsTheInverseOfP(t *testing.T) {
	for name, tail := range tails() {
		for d := 0.0; d <= 9; d += 0.01 {
			if got := tail.Decades(tail.At(math.Pow(10, -d))); math.Abs(got-d) > 1e-9 {
				t.Errorf("%s: Decades(At(1e-%v)) = %v", name, d, got)
			}
		}
	}
}

func TestNominalAtFirst(t *testing.T) {
	tail := NewTail()
	for _, u := range []float64{0, 0.3, 1, 1.02, 2, 8} {
		if got := tail.Decades(u); math.Abs(got-u) > 1e-6 {
			t.Errorf("Decades(%v) = %v of a law that has seen nothing, want the same", u, got)
		}
	}
}

// One excess of 3 decades, by hand. The tail starts at 1 + 0.1·log10(e) = 1.0434 decades with a share of 0.0905; 3 lie z = 4.505 scales
// beyond, rarer than 2e-3, and so count as z = ln(0.0905/0.002) = 3.812 or more. For shape 0 the gradients of log S are z by ln scale and z²/2
// by shape; the inverse information times them is 2z - z²/2 and z²/2 - z, and the gain 1/(100·0.0905) = 0.1105, but at most 0.1.
func TestLearnByHand(t *testing.T) {
	tail := NewTail()
	tail.Learn(3)
	z := math.Log(math.Exp(-0.1) * 0.1 / 0.002)
	if tail.n != 101 {
		t.Errorf("n = %v, want 101", tail.n)
	}
	for _, v := range []struct {
		name string
		got  float32
		want float64
	}{
		{"t", tail.t, 1 + 0.01*math.Log10E*0.9/0.1},
		{"mass", tail.mass, 0.099}, // of 0.0905 + 0.01·(1 - 0.0905) = 0.0996, more than it may be
		{"scale", tail.scale, math.Log10E * math.Exp(0.1*(2*z-z*z/2))},
		{"shape", tail.shape, 0.1 * (z*z/2 - z)},
	} {
		if math.Abs(float64(v.got)-v.want) > 1e-6*v.want {
			t.Errorf("%s = %v, want %v", v.name, v.got, v.want)
		}
	}
}

// The smallest steps of an old tail are not lost in its digits: by those that an ordinary point makes, all of it falls as far as it should.
func TestSmallestSteps(t *testing.T) {
	tail := NewTail()
	tail.n = maxSeen
	before := tail
	tail.Learn(0.1)
	gain := 1 / maxN
	for _, step := range []struct {
		name      string
		got, want float64
	}{
		{"t", float64(before.t - tail.t), gain * math.Log10E},
		{"mass", float64(before.mass - tail.mass), gain * float64(before.mass)},
		// In steps of 10^-k of its gain, and with those below it: 2·log10(e)·p/(2 + p·n) of a rung, where p·n is 100 of the first, 10 of the others.
		{"rung 0", before.rung[0].decades() - tail.rung[0].decades(), 2 * math.Log10E * 1e-2 / 102},
		{"rung 3", before.rung[3].decades() - tail.rung[3].decades(), 2 * math.Log10E * (1e-2/102 + (1e-3+1e-4+1e-5)/12)},
	} {
		if math.Abs(step.got-step.want) > 0.003*step.want {
			t.Errorf("%s falls by %v, want %v", step.name, step.got, step.want)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	next, tail := laws["Student t3"](rand.New(rand.NewPCG(1, 5))), NewTail()
	if n := testing.AllocsPerRun(1000, func() { u := decades(next()); tail.P(u); tail.Learn(u); tail.At(1e-4) }); n > 0 {
		t.Errorf("%v allocations a point, want 0", n)
	}
}

// Of ordinary points it makes no difference how ordinary they are, which spares callers to find out.
func TestOrdinaryPointsAreAlike(t *testing.T) {
	for name, law := range laws {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(2, 3))
			next := law(r)
			tail := NewTail()
			ordinary := 0
			for range 20_000 {
				u := decades(next())
				if tail.Ordinary(u) {
					ordinary++
					if d := tail.Decades(u); !(d <= 1+1e-9) {
						t.Fatalf("Decades(%v) = %v of an ordinary point, want at most 1", u, d)
					}
					other := tail
					other.Learn(u + r.Float64()*(float64(tail.t)-u))
					tail.Learn(u)
					if tail != other {
						t.Fatalf("learned %+v of %v, and of another ordinary point %+v", tail, u, other)
					}
					continue
				}
				tail.Learn(u)
			}
			if ordinary < 10_000 {
				t.Errorf("%d of 20000 points are ordinary, want most", ordinary)
			}
		})
	}
}

func BenchmarkTail(b *testing.B) {
	next := laws["normal"](rand.New(rand.NewPCG(1, 6)))
	us := make([]float64, 4096)
	for i := range us {
		us[i] = decades(next())
	}
	b.Run("Learn", func(b *testing.B) {
		b.ReportAllocs()
		tail := NewTail()
		for i := 0; b.Loop(); i++ {
			tail.Learn(us[i%len(us)])
		}
	})
	b.Run("Decades", func(b *testing.B) {
		b.ReportAllocs()
		tail := NewTail()
		for i := 0; b.Loop(); i++ {
			tail.Decades(us[i%len(us)])
		}
	})
	b.Run("P", func(b *testing.B) {
		b.ReportAllocs()
		tail := NewTail()
		for i := 0; b.Loop(); i++ {
			tail.P(us[i%len(us)])
		}
	})
}
