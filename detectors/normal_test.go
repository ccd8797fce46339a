package detectors

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// The tail is gonum's as far as that has digits, and beyond goes on as z²/2 does; its inverse brings z back.
func TestNormalTail(t *testing.T) {
	for z := 0.0; z <= 37; z += 0.25 {
		if got, want := logNormalTail(z), math.Log(2*distuv.UnitNormal.CDF(-z)); math.Abs(got-want) > 1e-10*max(1, -want) {
			t.Errorf("logNormalTail(%v) = %v, want %v", z, got, want)
		}
	}
	for z := 1e-3; z <= MaxScore; z *= 1.3 {
		if back := normalAt(logNormalTail(z)); math.Abs(back-z) > 1e-10*max(1, z) {
			t.Errorf("normalAt(logNormalTail(%v)) = %v", z, back)
		}
	}
}

// What lies within z and what lies beyond add up to 1; of so many fields, Decades is by the same formula as where only logarithms reach.
func TestNormalBulk(t *testing.T) {
	for z := 1e-6; z < 25; z += 0.125 {
		if got, want := logNormalBulk(z), logComplement(logNormalTail(z)); math.Abs(got-want) > 1e-10*math.Abs(want) {
			t.Errorf("logNormalBulk(%v) = %v, want %v", z, got, want)
		}
		for _, n := range []float64{1, 5, 100} {
			if got, want := normal(n).Decades(z), max(-sidak(logNormalTail(z), n)/math.Ln10, 0); math.Abs(got-want) > 1e-10*want+1e-15 {
				t.Errorf("normal(%v).Decades(%v) = %v, want %v", n, z, got, want)
			}
		}
	}
}

// Of n dice, the probability that one shows a six is 1 - (5/6)^n.
func TestSidak(t *testing.T) {
	for _, n := range []float64{1, 2, 10, 1000} {
		got, want := sidak(math.Log(1.0/6), n), math.Log(1-math.Pow(5.0/6, n))
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("sidak(log 1/6, %v) = %v, want %v", n, got, want)
		}
		// For very small p it is n·p, whose logarithm is exact where p itself is not.
		if got, want := sidak(-500, n), -500+math.Log(n); math.Abs(got-want) > 1e-12 {
			t.Errorf("sidak(-500, %v) = %v, want %v", n, got, want)
		}
	}
}

// ScoreAt and Decades are inverse, on both sides of where another formula begins, and there they meet.
func TestNormalInverse(t *testing.T) {
	for _, n := range []float64{1, 5, 100} {
		law := normal(n)
		for d := 1e-6; d <= 300; d *= 1.1 {
			if back := law.Decades(law.ScoreAt(d)); math.Abs(back-d) > 1e-8*d {
				t.Errorf("normal(%v).Decades(ScoreAt(%v)) = %v", n, d, back)
			}
		}
		edge := -sidak(math.Log(rare), n) / math.Ln10
		if low, high := law.ScoreAt(edge*(1-1e-9)), law.ScoreAt(edge*(1+1e-9)); !(low < high) || high-low > 1e-7 {
			t.Errorf("of %v, ScoreAt goes from %v to %v about %v decades", n, low, high, edge)
		}
	}
	if s := normal(5).ScoreAt(0); s != 0 {
		t.Errorf("ScoreAt(0) = %v, want 0", s)
	}
}

func BenchmarkNormalScoreAt(b *testing.B) {
	for b.Loop() {
		normal(5).ScoreAt(4) // of five fields, 1 in 10,000
	}
}
