// Package threshold estimates online how rare a score is, so that all detectors share one scale and an operator can ask for a rate of
// false alarms instead of a limit.
//
// A detector states a nominal law for its score, and by it a score becomes decades: u = -log10 of the nominal p-value. A Tail starts
// from that law and bends it towards the scores of one series, as they come. What it returns are decades too, of the p-value that the
// series itself supports.
package threshold

import (
	"encoding"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
)

// Law is that of the decades u of one series' scores, as it is learned: a Tail, or a RankTail.
type Law interface {
	Decades(u float64) float64 // -log10 of the probability of a point with at least u
	At(p float64) float64      // the least u whose probability is at most p, in (0, 1]
	Learn(u float64)
	Ordinary(u float64) bool // whether points of at most u decades are so frequent that none of the others makes a difference between them
	Bytes() int              // of memory
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// For returns the law that scores of d begin with.
func For(d detectors.Detector) Law { return ForIn(d, &Tail{}) }

// ForIn returns the same; where it is a Tail, in t's place.
func ForIn(d detectors.Detector, t *Tail) Law {
	if _, ranked := d.(detectors.Ranked); ranked {
		r := NewRankTail()
		return &r
	}
	*t = NewTail()
	return t
}

// Combine returns the decades of the weighted harmonic mean of p-values, each in (0, 1], with one weight above 0 each; 0 if there are
// none. Only the weights' proportions count.
//
// Where detectors depend on one another, as they do on one series, neither the smallest p-value nor Fisher's product is a p-value; the
// harmonic mean nearly is when it is small (Wilson 2019, "The harmonic mean p-value for combining dependent tests", PNAS 116(4), eq.
// 1). The Cauchy combination test (Liu & Xie 2020, "Cauchy Combination Test", JASA 115(529), section 2) is the same there, for cot(πp) is
// 1/(πp) but for p²; near 1 it falls without bound, and detectors that have nothing to say of a point say 1. What the mean lacks, a Tail of
// the combination corrects.
func Combine(ps, weights []float64) (decades float64) {
	if len(ps) == 0 {
		return 0
	}
	sum, all := 0.0, 0.0
	for i, p := range ps {
		sum += weights[i] / max(p, minP) // with a floor, so that the sum stays finite
		all += weights[i]
	}
	return max(0, math.Log10(sum/all))
}
