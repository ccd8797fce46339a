package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Of a large checkpoint every truncation is found, and every one of ten thousand flips of a bit at random; nothing panics. TestDamagedNewest
// does the same to every byte of a small one, on every store.
func TestEveryDamageIsFound(t *testing.T) {
	s := benches["memory"](t)
	r := rand.New(rand.NewPCG(1, 2))
	large := of(200, config, make([]byte, 48<<10))
	for i := range large.State {
		large.State[i] = byte(r.Uint32())
	}
	s.save(t, 100)
	if err := s.Save(t.Context(), someLog, large); err != nil {
		t.Fatal(err)
	}
	stored, err := s.shelf.list(t.Context(), someLog)
	if err != nil {
		t.Fatal(err)
	}
	place := func(b []byte) {
		s.edit(t, someLog, stored[0].epoch, stored[0].pieces[0], func([]byte) []byte { return b })
	}
	good, err := s.shelf.read(t.Context(), someLog, stored[0].epoch, stored[0].pieces[0])
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for n := range good {
		place(good[:n])
		s.want(t, forever, 100)
		found++
	}
	for range 10_000 {
		bad := bytes.Clone(good)
		bit := r.IntN(8 * len(bad))
		bad[bit/8] ^= 1 << (bit % 8)
		place(bad)
		s.want(t, forever, 100)
		found++
	}
	if n := testutil.ToFloat64(s.metrics.damaged); n != float64(found) {
		t.Errorf("%v damages counted, want %d", n, found)
	}
	place(good)
	if got, err := s.Load(t.Context(), someLog, forever, config); err != nil || !bytes.Equal(got[0].State, large.State) {
		t.Errorf("Load of what is whole = %v", err)
	}
}

// Bytes that are sound and lie in the wrong place are damage too: those of another partition, of another offset, of an older checkpoint.
func TestSwapped(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		other := someLog
		other.ID++
		at300 := of(300, config, []byte("the state of another partition"))
		for l, states := range map[pipeline.Log][]pipeline.Stored{
			someLog: {at(100), at(200), after(300, 200)}, // the whole one at 200 is continued
			other:   {at(200), continuing(at300, 200)},
		} {
			for _, c := range states {
				if err := s.Save(t.Context(), l, c); err != nil {
					t.Fatal(err)
				}
			}
		}
		stored, err := s.shelf.list(t.Context(), someLog)
		if err != nil {
			t.Fatal(err)
		}
		others, err := s.shelf.list(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		newest, oldest := stored[0], stored[1].pieces[0]
		read := func(l pipeline.Log, p piece) []byte {
			b, err := s.shelf.read(t.Context(), l, newest.epoch, p)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Clone(b)
		}
		whole, changes, older := read(someLog, newest.pieces[0]), read(someLog, newest.pieces[1]), read(someLog, oldest)
		theirWhole, theirChanges := read(other, others[0].pieces[0]), read(other, others[0].pieces[1])
		for what, c := range map[string]struct {
			whole, changes []byte
			want           []int64
		}{
			"nothing":                          {whole, changes, []int64{200, 300}},
			"the two offsets":                  {changes, whole, []int64{100}},
			"an older one in place of a newer": {older, changes, []int64{100}},
			"the whole of another partition":   {theirWhole, changes, []int64{100}},
			"the changes of another":           {whole, theirChanges, []int64{200}},
		} {
			s.edit(t, someLog, newest.epoch, newest.pieces[0], func([]byte) []byte { return c.whole })
			s.edit(t, someLog, newest.epoch, newest.pieces[1], func([]byte) []byte { return c.changes })
			t.Log(what)
			s.want(t, forever, c.want...)
		}
		s.edit(t, other, others[0].epoch, others[0].pieces[0], func([]byte) []byte { return whole })
		if _, err := s.Load(t.Context(), other, forever, config); !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), "checksum") {
			t.Errorf("Load of a partition with the state of another = %v, want ErrNoCheckpoint that tells of the checksum", err)
		}
	})
}

// A checkpoint of a later version is sound, and of no use: it is passed over, not counted as damage, and stays until two others are stored.
func TestLaterVersion(t *testing.T) {
	later := func(b []byte) []byte {
		b = bytes.Clone(b[:len(b)-crcSize])
		b[4] = version + 1
		return seal(b)
	}
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		stored, err := s.shelf.list(t.Context(), someLog)
		if err != nil {
			t.Fatal(err)
		}
		s.edit(t, someLog, stored[0].epoch, stored[0].pieces[0], later)
		s.want(t, forever, 100)
		if n := testutil.ToFloat64(s.metrics.damaged); n != 0 {
			t.Errorf("%v damages counted, want 0", n)
		}
		s.save(t, 150)
		s.want(t, forever, 150)
		if now, err := s.shelf.list(t.Context(), someLog); err != nil || len(now) != 2 || now[1].end() != 200 {
			t.Errorf("list = %v, %v, want 150 and the later version's 200", now, err)
		}
		s.edit(t, someLog, 2, s.newest(t).pieces[0], later)
		_, err = s.Load(t.Context(), someLog, forever, config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), "written by another version of Gonomaly: version is 12, want 10 or 11") {
			t.Errorf("Load = %v, want ErrNoCheckpoint that tells of the versions", err)
		}
	})
}

// newest is the newest chain.
func (s bench) newest(t *testing.T) chain {
	t.Helper()
	stored, err := s.shelf.list(t.Context(), someLog)
	if err != nil || len(stored) == 0 {
		t.Fatalf("list = %v, %v", stored, err)
	}
	return stored[0]
}

// A checkpoint of the version before goes on, under any configuration that makes the same points.
func TestVersionBefore(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if err := s.Save(t.Context(), someLog, of(100, "points-hash", []byte("state"))); err != nil {
			t.Fatal(err)
		}
		stored := s.newest(t)
		s.edit(t, someLog, stored.epoch, stored.pieces[0], before)
		for config, want := range map[string]bool{"points-hash": true, "points-other": true, "other-hash": false} {
			if states, err := s.Load(t.Context(), someLog, forever, config); (err == nil && len(states) == 1) != want {
				t.Errorf("Load under %s = %v, %v, want that it can be used: %v", config, states, err, want)
			}
		}
	})
}

// Whatever byte of the newest is wrong, the one before it is found, it is said, and what follows replaces the damaged one.
func TestDamagedNewest(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		stored, err := s.shelf.list(t.Context(), someLog)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.shelf.read(t.Context(), someLog, stored[0].epoch, stored[0].pieces[0])
		if err != nil {
			t.Fatal(err)
		}
		damages := map[string]func([]byte) []byte{
			"removed":   func([]byte) []byte { return nil },
			"truncated": func(b []byte) []byte { return b[:len(b)-1] },
			"empty":     func([]byte) []byte { return []byte{} },
			"longer":    func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		}
		for i := range b {
			damages[fmt.Sprintf("byte %d", i)] = func(b []byte) []byte {
				b = bytes.Clone(b)
				b[i] ^= 0x10
				return b
			}
		}
		for what, damage := range damages {
			if what == "removed" && !strings.Contains(t.Name(), "redis") {
				continue // a file removed is not listed either
			}
			s.edit(t, someLog, stored[0].epoch, stored[0].pieces[0], damage)
			before := testutil.ToFloat64(s.metrics.damaged)
			s.want(t, forever, 100)
			if n := testutil.ToFloat64(s.metrics.damaged) - before; n != 1 {
				t.Fatalf("%s: %v damages counted, want 1", what, n)
			}
			if what != "removed" {
				s.edit(t, someLog, stored[0].epoch, stored[0].pieces[0], func([]byte) []byte { return b })
				continue
			}
			key := s.shelf.(*shelves).chunks(someLog, stored[0].epoch, stored[0].pieces[0])[0]
			if err := s.shelf.(*shelves).client.Set(t.Context(), key, b, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		s.edit(t, someLog, stored[0].epoch, stored[0].pieces[0], func([]byte) []byte { return []byte("rubbish") })
		s.want(t, forever, 100)
		s.save(t, 150)
		s.want(t, forever, 150)
	})
}

func TestMissingChunk(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if _, ok := s.shelf.(*shelves); !ok {
			t.Skip("this store does not cut a checkpoint into chunks")
		}
		noise := make([]byte, 3<<20+1)
		_, _ = rand.NewChaCha8([32]byte{2}).Read(noise)
		s.save(t, 100)
		if err := s.Save(t.Context(), someLog, of(200, config, noise)); err != nil {
			t.Fatal(err)
		}
		stored, err := s.shelf.list(t.Context(), someLog)
		if err != nil || stored[0].pieces[0].chunks != 4 {
			t.Fatalf("list = %v, %v, want 4 chunks", stored, err)
		}
		n := 0
		s.edit(t, someLog, 1, stored[0].pieces[0], func(b []byte) []byte {
			if n++; n == 3 {
				return nil
			}
			return b
		})
		s.want(t, forever, 100)
	})
}

func TestBothDamaged(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		stored, _ := s.shelf.list(t.Context(), someLog)
		for _, c := range stored {
			s.edit(t, someLog, c.epoch, c.pieces[0], func(b []byte) []byte { return b[:len(b)-1] })
		}
		_, err := s.Load(t.Context(), someLog, forever, config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), "offset 200") || !strings.Contains(err.Error(), "checksum") {
			t.Fatalf("Load = %v, want ErrNoCheckpoint that tells of the checksum", err)
		}
		s.save(t, 50)
		s.want(t, forever, 50)
	})
}

// Of a damaged chain the sound part is used; the next owner begins anew, with a whole checkpoint.
func TestDamagedChain(t *testing.T) {
	for damaged, want := range [][]int64{{50, 60}, {100}, {100, 110}} {
		each(t, func(t *testing.T, s bench) {
			for _, c := range []pipeline.Stored{at(50), after(60, 50), at(100), after(110, 100), after(120, 110)} {
				if err := s.Save(t.Context(), someLog, c); err != nil {
					t.Fatal(err)
				}
			}
			stored, err := s.shelf.list(t.Context(), someLog)
			if err != nil {
				t.Fatal(err)
			}
			s.edit(t, someLog, stored[0].epoch, stored[0].pieces[damaged], func(b []byte) []byte {
				b = bytes.Clone(b)
				b[len(b)/2] ^= 1
				return b
			})
			s.want(t, forever, want...)
			last := want[len(want)-1]
			if err := s.Save(t.Context(), someLog, after(130, last)); !errors.Is(err, pipeline.ErrBroken) {
				t.Errorf("Save of what continues a damaged chain: %v, want ErrBroken", err)
			}
			s.save(t, 130)
			s.want(t, forever, 130)
		})
	}
}
