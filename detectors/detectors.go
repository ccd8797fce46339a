// Package detectors holds the online detectors: each takes a stream of points one by one, says how odd a point is, then learns it.
//
// A detector has state but no clock, no goroutine and no I/O, so that the same points always give the same scores, and a state saved
// after any point continues exactly where it stopped. Recovery, replay and backtests rest on that.
package detectors

import (
	"encoding"
	"errors"
)

// Point is what a detector is given: the values of a series at one time.
type Point struct {
	Time int64     // event time, Unix nanoseconds
	X    []float64 // one value a field, all finite: the decoder has refused the others
}

// Detector scores points with a fixed number of fields.
//
// A point is scored before it is learned. A Detector belongs to one goroutine at a time. Score and Learn do not allocate, and keep no
// reference to the point's values.
type Detector interface {
	// Score returns how odd p is; finite, higher is odder, in the detector's own unit. It changes nothing. While the detector has
	// learned too little to tell, ok is false.
	Score(p Point) (score float64, ok bool)

	// Learn takes p into the state.
	Learn(p Point)

	// Left is how many points of the warm-up are left: until it is 0, Score is not ok.
	Left() int

	// Bytes is about how much memory it comes to hold at most.
	Bytes() int

	// Law is what the detector knows in advance of its score's distribution.
	Law

	// AppendBinary appends the whole state, a version byte first. UnmarshalBinary restores it into a Detector of the same
	// configuration; it returns ErrState, and leaves the receiver unusable, when the bytes are not such a state.
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Law is the nominal law of a detector's score on points without anomalies, in decades: -log10 of the probability that a point scores
// at least as high. It need not be exact: a threshold corrects it by the scores it sees. Both functions increase and each is the
// other's inverse; they depend on the configuration alone, not on the state.
type Law interface {
	Decades(score float64) (decades float64) // ≥ 0, finite
	ScoreAt(decades float64) (score float64)
}

// Ranked is a Detector whose score already is made of ranks among its own series' past. Its Law nearly holds whatever the points' distribution, so
// that a threshold has no shape to learn, and corrects what it counts: see threshold.RankTail.
type Ranked interface {
	Ranked()
}

// Compact is a Detector whose state is a few numbers, which lie where the caller has them: so one of them serves many series, and these are no more
// than their numbers.
type Compact interface {
	Detector

	// Words is how many numbers the state is. All of them are 0 at the start.
	Words() int

	// Use makes the detector that of the series whose state it is given, of Words numbers: all its methods read that, and Learn and UnmarshalBinary write
	// it. It does not allocate.
	Use(state []float64)
}

// Explainer is a Detector that can tell the fields' parts in a score. Shares are ≥ 0 and add up to 1; the slice has one entry a field.
type Explainer interface {
	Shares(p Point, shares []float64)
}

// Forecaster is a Detector that expected a value of each field before it saw p. A field that p itself would not call odd lies in
// [low, high].
type Forecaster interface {
	Expect(p Point, field int) (expected, low, high float64, ok bool)
}

// Reasoner is a Detector that can say in a few words why p scores as it does: "nothing within 3 hours was near it". The words
// follow "because" or a comma, and name no field or value.
type Reasoner interface {
	Reason(p Point, field int) string
}

// Restrained is a Detector that knows of points it holds back: odd by what they are, and yet no alarm by what the series has shown before.
type Restrained interface {
	// Held returns what the point that Score was asked of last would have scored but for that, and what it is; 0 where there is nothing. It is
	// called for ordinary points too, and is cheap for them.
	Held() (score float64, by Hold)
}

// Hold is what holds a score back.
type Hold string

// The holds.
const (
	Recurring Hold = "recurring" // the series has had such a value before, now and then, or as odd ones at this hour on most days
	Habit     Hold = "habit"     // it has had points as odd, or left its level as far
	Unproven  Hold = "unproven"  // it has had none as odd, but too few points to know how rare that is
	Lone      Hold = "lone"      // one field of many has left its level, which one of them does by chance
)

// Holds are all of them.
var Holds = []Hold{Recurring, Habit, Unproven, Lone}

// Sharer is a Detector of which some parts follow from its configuration and are never changed. Another returns one of the same
// configuration that has learned nothing, and shares those parts with it. It may be called from several goroutines at once.
type Sharer interface {
	Another() Detector
}

// MaxScore bounds every score: there are always odder points, but neither JSON nor a quantile knows infinity.
const MaxScore = 1e9

// ErrState is what UnmarshalBinary wraps when bytes are not a state of this detector.
var ErrState = errors.New("not a state of this detector")

// Config makes Detectors of one kind. It is decoded from YAML over its defaults, so New sees every value and checks it: what it
// refuses is an *invalid.Value, or several joined.
type Config interface {
	New(fields int) (Detector, error)
}

// left is what n points leave of a warm-up.
func left(warmUp, n uint64) int { return int(warmUp - min(n, warmUp)) } //nolint:gosec // a warm-up is at most 1e9 points
