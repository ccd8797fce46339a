package detectors

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"
)

// troubled is noise with a trouble after each 500 points, which lasts for 200: values that are stuck, levels that are others, and extremes.
func troubled(n int) []Point {
	troubles := []func(p, before Point, i int){
		func(p, before Point, _ int) { p.X[0] = before.X[0] },
		func(p, before Point, _ int) { copy(p.X, before.X) },
		func(p, _ Point, _ int) { clear(p.X) },
		func(p, _ Point, _ int) { p.X[1] += 1e6 },
		func(p, _ Point, i int) { p.X[i%fields] *= math.Pow(10, float64(i%38)) },
		func(p, _ Point, i int) { p.X[i%fields] = math.MaxFloat64 * float64(i%3-1) },
	}
	ps := points(n, 2)
	for i := 500; i < n; i++ {
		if i%700 >= 500 {
			troubles[i/700%len(troubles)](ps[i], ps[i-1], i)
		}
	}
	return ps
}

// A state saved after any point continues as if it had never been saved; it may be restored over another state.
func TestRestoreContinues(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d, restored := fresh(), fresh()
		ps := troubled(4200)
		for i, p := range ps {
			if i < 300 || i%29 == 0 {
				if err := restored.UnmarshalBinary([]byte(state(t, d))); err != nil {
					t.Fatalf("restore after %d points: %v", i, err)
				}
			}
			score, ok := d.Score(p)
			scoreRestored, okRestored := restored.Score(p)
			if score != scoreRestored || ok != okRestored {
				t.Fatalf("after %d points the restored detector scores %v, the other %v", i, scoreRestored, score)
			}
			d.Learn(p)
			restored.Learn(p)
			if (i < 300 || i%29 == 0) && state(t, d) != state(t, restored) {
				t.Fatalf("after %d points the restored detector went its own way", i)
			}
		}
	})
}

// Bytes that are no state are refused: none of them panics, or passes for another's state.
func TestBadStateIsAnError(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d, _ := warm(t, fresh)
		good := state(t, d)
		refuse := func(what string, b []byte) {
			t.Helper()
			if err := fresh().UnmarshalBinary(b); !errors.Is(err, ErrState) {
				t.Errorf("%s: %v, want ErrState", what, err)
			}
		}
		step := max(1, len(good)/500)
		for n := 0; n < len(good); n += step {
			refuse("cut off", []byte(good[:n]))
		}
		refuse("a byte too many", []byte(good+"\x00"))
		refuse("unknown version", []byte("\xff"+good[1:]))
		for other, config := range Kinds {
			o := newDetector[Detector](t, config(), fields+1)
			learn4 := Point{X: []float64{1, 2, 3, 4}}
			o.Learn(learn4)
			refuse("a state of "+other+" with four fields", []byte(state(t, o)))
		}
	})
}

// A state full of not-a-numbers or infinities is refused, wherever a float stands in it.
func TestStateHoldsOnlyFiniteFloats(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d, _ := warm(t, fresh)
		good := []byte(state(t, d))
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			b := slices.Clone(good)
			for i := len(b) % 8; i < len(b); i += 8 {
				binary.LittleEndian.PutUint64(b[i:], math.Float64bits(bad))
			}
			copy(b, good[:min(32, len(good)/4)])
			if err := fresh().UnmarshalBinary(b); !errors.Is(err, ErrState) {
				t.Errorf("a state full of %v: %v, want ErrState", bad, err)
			}
		}
	})
}

// Whatever a state's counts claim, restoring it allocates little.
func TestHostileStateAllocatesLittle(t *testing.T) {
	each(t, func(t *testing.T, fresh func() Detector) {
		d, _ := warm(t, fresh)
		good := []byte(state(t, d))
		target := fresh()
		var before, after runtime.MemStats
		for i := 1; i < len(good); i += max(1, len(good)/200) {
			b := slices.Clone(good)
			for j := i; j < min(i+8, len(b)); j++ {
				b[j] = 0xff
			}
			runtime.ReadMemStats(&before)
			err := target.UnmarshalBinary(b)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Fatalf("0xff from byte %d: %d bytes allocated (%v)", i, got, err)
			}
		}
	})
}

// TestCountOfPoints: no number of points that is read ends at 0 again, and one that grew beyond is written as what can be read.
func TestCountOfPoints(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want uint64
		ok   bool
	}{
		{appendCount([]byte{1}, 7), 7, true},
		{appendCount([]byte{1}, mostPoints+20), mostPoints, true},
		{binary.LittleEndian.AppendUint64([]byte{1}, math.MaxUint64), math.MaxUint64, false},
	} {
		r := newReader(c.b, 1)
		if got := r.count(); got != c.want || (r.end() == nil) != c.ok {
			t.Errorf("%v reads as %d (%v), want %d", c.b, got, r.end(), c.want)
		}
	}
}

// FuzzUnmarshal feeds changed states to every kind: what is accepted must work.
func FuzzUnmarshal(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(Kinds))
	for k, kind := range kinds {
		d, err := Kinds[kind]().New(fields)
		if err != nil {
			f.Fatal(err)
		}
		for i, p := range points(120, 9) {
			if i%40 == 0 {
				b, err := d.AppendBinary(nil)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(byte(k), b)
			}
			d.Learn(p)
		}
	}
	ps := points(20, 10)
	f.Fuzz(func(t *testing.T, k byte, b []byte) {
		kind := kinds[int(k)%len(kinds)]
		d := newDetector[Detector](t, Kinds[kind](), fields)
		if err := d.UnmarshalBinary(b); err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("%s: %v, want ErrState", kind, err)
			}
			return
		}
		for _, p := range ps {
			if score, _ := d.Score(p); !(score >= 0 && score <= MaxScore) {
				t.Fatalf("%s scores %v", kind, score)
			}
			d.Learn(p)
		}
		if err := newDetector[Detector](t, Kinds[kind](), fields).UnmarshalBinary([]byte(state(t, d))); err != nil {
			t.Fatalf("%s does not read what it wrote: %v", kind, err)
		}
	})
}

func BenchmarkState(b *testing.B) {
	for _, kind := range slices.Sorted(maps.Keys(Kinds)) {
		b.Run(kind, func(b *testing.B) {
			d, err := Kinds[kind]().New(fields)
			if err != nil {
				b.Fatal(err)
			}
			learn(d, points(4096, 7))
			saved, err := d.AppendBinary(nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ReportMetric(float64(len(saved)), "B/state")
			for b.Loop() {
				saved, _ = d.AppendBinary(saved[:0])
				if err := d.UnmarshalBinary(saved); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func state(t *testing.T, d Detector) string {
	t.Helper()
	b, err := d.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
