package detectors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
)

// huge bounds the values that models take in, so that squares and sums of them stay finite: what lies beyond counts as huge.
const huge = 1e150

// mostPoints is more than any stream has: a century at a billion a second.
const mostPoints = 1 << 62

// clip brings x, a number, into [-bound, bound]. The built-in min and max, which mind NaN and -0, would cost an EWMA a tenth of
// its time.
func clip(x, bound float64) float64 {
	if x > bound {
		return bound
	}
	if x < -bound {
		return -bound
	}
	return x
}

// reader takes a saved state apart. It remembers the first thing that does not fit, after which everything reads as zero, so that a
// decoder may read on and ask once. Nothing is allocated on behalf of a state: the configuration has fixed all sizes.
type reader struct {
	b   []byte
	err error
}

// newReader begins with the version byte.
func newReader(b []byte, version byte) *reader {
	r := &reader{b: b}
	if got := r.uint8(); r.err == nil && got != version {
		r.fail("version %d, want %d", got, version)
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrState}, args...)...)
	}
}

// zeros is what a failed reader reads, as much as is ever taken at once.
var zeros [20]byte

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.fail("it ends too early")
	}
	if r.err != nil {
		return zeros[:n]
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) uint8() uint8   { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

// count reads a number of points that appendCount wrote, of which more are to be counted without ending at 0 again.
func (r *reader) count() uint64 {
	n := r.uint64()
	if n > mostPoints {
		r.fail("%d points, want at most %d", n, uint64(mostPoints))
	}
	return n
}

// generator restores a generator of random numbers.
func (r *reader) generator(g *rand.PCG) {
	const size = 20 // bytes that a PCG writes
	if err := g.UnmarshalBinary(r.take(size)); err != nil {
		r.fail("%w", err)
	}
}

// float64 reads a number within [low, high], bounds that NaN and the infinities lie outside of.
func (r *reader) float64(low, high float64) float64 {
	x := math.Float64frombits(r.uint64())
	if r.err == nil && !(low <= x && x <= high) {
		r.fail("%v, want %v to %v", x, low, high)
	}
	return x
}

// float32 is float64 for the shorter kind.
func (r *reader) float32(low, high float32) float32 {
	x := math.Float32frombits(r.uint32())
	if r.err == nil && !(low <= x && x <= high) {
		r.fail("%v, want %v to %v", x, low, high)
	}
	return x
}

// end returns what was wrong, be it only that bytes are left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}

// appendCount writes a number of points, at most what count reads.
func appendCount(b []byte, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(b, min(n, mostPoints))
}

func appendFloat64(b []byte, x float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
}

func appendFloat32(b []byte, x float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
}

// sizeOf is the size of a T in memory, without what it points to.
func sizeOf[T any]() int { return int(reflect.TypeFor[T]().Size()) }
