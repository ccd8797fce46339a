package pipeline

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errState is what restoring a worker wraps when bytes are not its state.
var errState = errors.New("not a state of this stream")

// The state's primitives are little-endian and of fixed size; texts and blobs are preceded by their length.

func appendInt(b []byte, v int64) []byte {
	return binary.LittleEndian.AppendUint64(b, uint64(v)) //nolint:gosec // the bits are wanted, not the value
}

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendPart appends a component's own state behind its length.
func appendPart(b []byte, part encoding.BinaryAppender) ([]byte, error) {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b, err := part.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	n := len(b) - at - 4
	if n > math.MaxUint32 {
		return nil, fmt.Errorf("state of %T has %d bytes, want less than 4 GiB", part, n)
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(n)) //nolint:gosec // checked above
	return b, nil
}

// stateReader reads a state from front to back. Its first error stays, and everything read after it is zero; no length is believed
// before it is compared with what is left.
type stateReader struct {
	b       []byte
	version byte // of the worker's state
	err     error
}

func (r *stateReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errState, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

func (r *stateReader) take(n int) []byte {
	if r.err == nil && (n < 0 || n > len(r.b)) {
		r.fail("%d bytes wanted, %d left", n, len(r.b))
	}
	if r.err != nil {
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *stateReader) int() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.LittleEndian.Uint64(b)) //nolint:gosec // the bits are wanted, not the value
	}
	return 0
}

func (r *stateReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *stateReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail("a number of varying length that does not end")
		return 0
	}
	r.take(size)
	return n
}

// frequency is that of so many hits in an age.
func (r *stateReader) frequency(hits uint8, age uint64) frequency {
	f := newFrequency(hits, age)
	if f.n() != hits || f.age() != age {
		r.fail("%d hits in age %d", hits, age)
	}
	return f
}

// count reads a number of things that take at least size bytes each.
func (r *stateReader) count(size int) int {
	n := r.int()
	if n < 0 || n > int64(len(r.b)/max(size, 1)) {
		r.fail("%d entries of at least %d bytes in %d bytes", n, size, len(r.b))
		return 0
	}
	return int(n)
}

// number reads any number.
func (r *stateReader) number() float64 {
	if b := r.take(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// float reads a finite number.
func (r *stateReader) float() float64 {
	v := r.number()
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail("a number is %v", v)
		return 0
	}
	return v
}

func (r *stateReader) text() string { return string(r.bytes()) }

// bytes reads a text that is kept no longer than the state.
func (r *stateReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("a text of %d bytes, %d left", n, len(r.b))
		return nil
	}
	return r.take(int(n)) //nolint:gosec // at most len(r.b)
}

// part reads what appendPart wrote; nil skips it.
func (r *stateReader) part(into encoding.BinaryUnmarshaler) {
	head := r.take(4)
	if head == nil {
		return
	}
	if b := r.take(int(binary.LittleEndian.Uint32(head))); r.err == nil && into != nil {
		if err := into.UnmarshalBinary(b); err != nil {
			r.fail("%T: %v", into, err)
		}
	}
}
