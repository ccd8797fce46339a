// Package drift holds monitors for lasting changes in the distribution of a stream of numbers. Like a detector, a monitor has state
// but no clock, no randomness and no I/O. A monitor's state is bounded, and its file says by what.
package drift

import (
	"encoding"
	"encoding/binary"
	"math"
	"reflect"
)

// Monitor watches one stream of finite numbers. It belongs to one goroutine; Add does not allocate.
type Monitor interface {
	// Add takes x in and says whether the distribution has changed; after a change the monitor has forgotten what was before it.
	Add(x float64) (c Change, changed bool)

	// Bytes is about how much memory it comes to hold at most.
	Bytes() int

	// AppendBinary appends the whole state, a version byte first. UnmarshalBinary restores it into a Monitor of the same
	// configuration, or returns an error that wraps detectors.ErrState.
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Change is one of the mean, or else of the spread, in the unit of the numbers.
type Change struct {
	Before, After float64
	Spread        bool // Before and After are standard deviations, not means
}

// Config makes Monitors of one kind; New refuses values with *invalid.Value.
type Config interface {
	New() (Monitor, error)
}

// Kinds maps the name of each kind, as a configuration spells it, to a function that returns its defaults.
var Kinds = map[string]func() Config{
	"adwin":        func() Config { return &ADWINConfig{Delta: 0.002, MinWindow: 16} },
	"hddm_a":       func() Config { return &HDDMAConfig{Delta: 1e-5} },
	"hddm_w":       func() Config { return &HDDMWConfig{Delta: 1e-7, Weight: 0.05} },
	"kswin":        func() Config { return &KSWINConfig{Window: 500, Newest: 100, Delta: 1e-4} },
	"page_hinkley": func() Config { return &PageHinkleyConfig{Delta: 0.5, Lambda: 20, WarmUp: 50} },
	"psi":          func() Config { return &PSIConfig{Window: 100, Delta: 1e-7} },
	"seed":         func() Config { return &SEEDConfig{Delta: 0.01, Block: 16} },
	"stepd":        func() Config { return &STEPDConfig{Window: 100, Limit: 4} },
}

// maxValue bounds what a monitor takes in, so that sums of squares stay finite: 1e200 times any count is a float.
const maxValue = 1e100

func clamp(x float64) float64 { return min(max(x, -maxValue), maxValue) }

// sizeOf is the size of a T in memory, without what it points to.
func sizeOf[T any]() int { return int(reflect.TypeFor[T]().Size()) }

// maxInertia is the autocorrelation, from one point to the next, that is still taken for noise.
const maxInertia = 0.95

// deviation returns the standard deviation of n points, given the sums of their squared deviations from the mean and of their squared
// steps. A metric's own inertia is no change, so it is that of independent points whose mean would be as uncertain: with an
// autocorrelation r at one step that falls geometrically, σ·√((1+r)/(1-r)); the mean squared step is 2σ²(1-r).
func deviation(n, square, steps float64) float64 {
	if square == 0 {
		return 0
	}
	r := min(max(1-steps/(2*square), 0), maxInertia)
	return math.Sqrt(square / n * (1 + r) / (1 - r))
}

// appendFloats and floats are the parts of a binary state: 8 bytes a number, little endian.
func appendFloats(b []byte, vs ...float64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// floats reads from the front of b what appendFloats wrote; ok is false unless all are finite.
func floats(b []byte, vs ...*float64) (ok bool) {
	ok = true
	for i, v := range vs {
		*v = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		ok = ok && math.Abs(*v) <= math.MaxFloat64
	}
	return ok
}

// count, value and squares say whether a restored number can be a number of points, a value or mean, or a sum of squares.
func count(v float64) bool   { return v >= 0 && v <= 1<<53 && v == math.Trunc(v) }
func value(v float64) bool   { return math.Abs(v) <= 2*maxValue } // rounding may carry a mean beyond the values
func squares(v float64) bool { return v >= 0 && v <= 1<<53*4*maxValue*maxValue }
