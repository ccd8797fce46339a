package threshold

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gonomaly/gonomaly/detectors"
)

func TestRestoreContinues(t *testing.T) {
	next, tail := laws["Student t3"](rand.New(rand.NewPCG(1, 4))), NewTail()
	for i := range 3000 {
		var restored Tail
		if err := restored.UnmarshalBinary(state(t, &tail)); err != nil {
			t.Fatalf("restore after %d points: %v", i, err)
		}
		u := decades(next())
		tail.Learn(u)
		restored.Learn(u)
		if restored != tail {
			t.Fatalf("after %d points the restored tail went its own way: %+v, want %+v", i, restored, tail)
		}
	}
	for name, tail := range tails() {
		if err := new(Tail).UnmarshalBinary(state(t, tail)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadStateIsAnError(t *testing.T) {
	fresh := NewTail()
	good := state(t, &fresh)
	bad := [][]byte{nil, good[:len(good)-1], append(state(t, &fresh), 0), append([]byte{9}, good[1:]...)}
	for field := range 6 + rungs {
		words := []uint32{math.Float32bits(float32(math.NaN())), math.Float32bits(float32(math.Inf(1))), math.Float32bits(-1), math.Float32bits(1e30)}
		if field >= 6 {
			words = []uint32{0, math.MaxUint32} // of a rung
		}
		for _, v := range words {
			b := state(t, &fresh)
			binary.LittleEndian.PutUint32(b[1+4*field:], v)
			bad = append(bad, b)
		}
	}
	for _, b := range bad {
		tail := NewTail()
		if err := tail.UnmarshalBinary(b); !errors.Is(err, detectors.ErrState) || tail != NewTail() {
			t.Errorf("UnmarshalBinary(%x): %v, %+v, want ErrState and no change", b, err, tail)
		}
	}
}

// FuzzTail: what is taken for a state of this version is saved as the same bytes, keeps the laws of P, and stays a state whatever is learned.
func FuzzTail(f *testing.F) {
	for _, tail := range tails() {
		f.Add(state(f, tail), 3.0)
	}
	f.Fuzz(func(t *testing.T, b []byte, u float64) {
		var tail Tail
		if tail.UnmarshalBinary(b) != nil {
			return
		}
		if again := state(t, &tail); b[0] == tailVersion && string(again) != string(b) {
			t.Fatalf("%x is saved as %x", b, again)
		}
		if !(u >= 0 && u <= math.MaxFloat64) {
			return
		}
		for range 20 {
			p, q := tail.P(u), tail.P(u/2)
			if !(p > 0 && p <= q && q <= 1) {
				t.Fatalf("P(%v) = %v, P(%v) = %v of %+v", u, p, u/2, q, tail)
			}
			tail.Learn(u)
			if err := new(Tail).UnmarshalBinary(state(t, &tail)); err != nil {
				t.Fatalf("after Learn(%v): %v", u, err)
			}
		}
	})
}

func state(t testing.TB, tail *Tail) []byte {
	t.Helper()
	b, err := tail.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
