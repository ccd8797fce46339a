package checkpoint

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

func TestNothingIsStored(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		_, err := s.Load(t.Context(), someLog, forever, config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), "nothing is stored") {
			t.Fatalf("Load = %v, want ErrNoCheckpoint: nothing is stored", err)
		}
	})
}

func TestNewestAtMost(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 0, 100, 200) // 0 falls out: two chains are kept
		for _, c := range []struct {
			atMost int64
			want   []int64
		}{{forever, []int64{200}}, {200, []int64{200}}, {199, []int64{100}}, {100, []int64{100}}, {99, nil}, {0, nil}} {
			bench{Store: s.again()}.want(t, c.atMost, c.want...)
		}
	})
}

func TestNeverBack(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.want(t, 0)
		s.save(t, 100, 300, 200, 300, 0)
		s.want(t, forever, 300)
		s.want(t, 299, 100)
	})
}

func TestStatesOfAllSizes(t *testing.T) {
	noise := make([]byte, 5<<20+12345) // does not compress, so it is many chunks
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, state := range [][]byte{nil, {7}, noise[:1<<20], noise, bytes.Repeat([]byte("series"), 1<<20)} {
		each(t, func(t *testing.T, s bench) {
			if err := s.Save(t.Context(), someLog, of(5, config, state)); err != nil {
				t.Fatal(err)
			}
			got, err := s.again().Load(t.Context(), someLog, 5, config)
			if err != nil || len(got) != 1 || !bytes.Equal(got[0].State, state) {
				t.Fatalf("Load of %d bytes = %d checkpoints, %v", len(state), len(got), err)
			}
		})
	}
}

// A state that breaks off is not stored, and what was before it is found.
func TestStateThatBreaksOff(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100)
		if err := s.Store.Save(t.Context(), someLog, at(200).Checkpoint, breaksOff); !errors.Is(err, errBreaks) {
			t.Errorf("Save = %v, want the error of the state", err)
		}
		s.want(t, forever, 100)
		if shelf, ok := s.shelf.(*files); ok {
			if found, err := os.ReadDir(shelf.log(someLog)); err != nil || len(found) != 1 {
				t.Errorf("%d files, %v, want the one of 100", len(found), err)
			}
		}
		s.save(t, 200)
		s.want(t, forever, 200)
	})
}

var errBreaks = errors.New("breaks off")

// breaksOff is a state of which two pieces come that do not compress, and then an error.
func breaksOff(yield func([]byte, error) bool) {
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(noise)
	if yield(noise, nil) && yield(noise, nil) {
		yield(nil, errBreaks)
	}
}

// Another configuration's state is of no use, and does not stand in the way of a new line of states.
func TestOtherConfiguration(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		other := of(200, "other", []byte("other state"))
		_, err := s.Load(t.Context(), someLog, forever, other.Config)
		if !errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), `configuration "c0ffee", want the points of "other"`) {
			t.Fatalf("Load = %v, want ErrNoCheckpoint that names both configurations", err)
		}
		if err := s.Save(t.Context(), someLog, other); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context(), someLog, 200, other.Config); err != nil || string(got[0].State) != "other state" {
			t.Fatalf("Load = %v, %v", got, err)
		}
		s.want(t, forever, 200) // the one before it
	})
}

// A state of the same points under another configuration is handed out, and the one made of it is stored at its offset: whoever still has
// the one before is over.
func TestChangedConfiguration(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 100, 200)
		before := bench{Store: s.again()}
		before.want(t, forever, 200)
		changed := of(200, config+"-changed", []byte("changed state"))
		for range 2 { // it may be repeated
			got, err := s.Load(t.Context(), someLog, forever, changed.Config)
			if err != nil || len(got) != 1 || got[0].Config != config {
				t.Fatalf("Load = %v, %v, want the state of configuration %s", got, err, config)
			}
		}
		for range 2 {
			if err := s.Save(t.Context(), someLog, changed); err != nil {
				t.Fatal(err)
			}
		}
		if err := before.Save(t.Context(), someLog, at(300)); err == nil {
			t.Error("an owner with the configuration before saved without being told")
		}
		got, err := bench{Store: s.again()}.Load(t.Context(), someLog, forever, changed.Config)
		if err != nil || len(got) != 1 || string(got[0].State) != "changed state" {
			t.Errorf("Load = %v, %v, want the changed state", got, err)
		}
	})
}

// A group's offsets were reset below what is stored: a new line begins, and an owner of the old one is told.
func TestEpochAfterReset(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.save(t, 1000, 2000)
		zombie := bench{Store: s.again()}
		zombie.want(t, forever, 2000)
		s.want(t, 10)
		s.save(t, 20, 30, 40)
		s.want(t, forever, 40)
		s.want(t, 39, 30)
		if err := zombie.Save(t.Context(), someLog, at(3000)); err == nil {
			t.Fatal("an owner of the last epoch saved without being told")
		}
		s.want(t, forever, 40)
		next := bench{Store: s.again()}
		next.want(t, forever, 40) // the owner of today, after whoever: goes on in the same epoch
		next.save(t, 35, 50)
		next.want(t, 49, 40)
	})
}

// A chain is read as far as it is whole and wanted.
func TestChain(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		s.want(t, forever)
		for _, c := range []pipeline.Stored{at(100), after(110, 100), after(120, 110), at(200), after(210, 200), after(220, 210), after(230, 220)} {
			if err := s.Save(t.Context(), someLog, c); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			atMost int64
			want   []int64
		}{
			{forever, []int64{200, 210, 220, 230}}, {229, []int64{200, 210, 220}}, {200, []int64{200}}, {199, []int64{100, 110, 120}}, {105, []int64{100}}, {99, nil},
		} {
			bench{Store: s.again()}.want(t, c.atMost, c.want...)
		}
		if err := s.Save(t.Context(), someLog, at(300)); err != nil {
			t.Fatal(err)
		}
		s.want(t, 299, 200, 210, 220, 230)
		s.want(t, 199) // the oldest chain is gone
	})
}

// What continues something else than the newest is refused, and what is stored already is left out.
func TestChainIsUnbroken(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		for _, c := range []pipeline.Stored{after(20, 10)} {
			if err := s.Save(t.Context(), someLog, c); !errors.Is(err, pipeline.ErrBroken) {
				t.Errorf("Save of the first, which continues %d: %v, want ErrBroken", c.After, err)
			}
		}
		s.save(t, 100)
		for _, c := range []struct {
			pipeline.Stored
			want error
		}{
			{after(110, 90), pipeline.ErrBroken}, {after(110, 100), nil}, {after(110, 100), nil}, {after(120, 100), pipeline.ErrBroken},
			{after(105, 100), nil}, {after(120, 110), nil},
		} {
			if err := s.Save(t.Context(), someLog, c.Stored); !errors.Is(err, c.want) {
				t.Errorf("Save of %d, which continues %d: %v, want %v", c.Offset, c.After, err, c.want)
			}
		}
		s.want(t, forever, 100, 110, 120)
	})
}

// A piece that continues what another owner has continued in the moment between a look at the pointer and its flip is refused by the shelf.
func TestChainOfTwoOwners(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if _, ok := s.shelf.(*files); ok {
			t.Skip("files serve one process")
		}
		s.save(t, 100)
		if err := s.Save(t.Context(), someLog, after(110, 100)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.shelf.put(t.Context(), someLog, 1, 120, 100, pipeline.InPieces([]byte("piece"))); !errors.Is(err, pipeline.ErrBroken) {
			t.Errorf("what continues 100 after another continued it: %v, want ErrBroken", err)
		}
		s.want(t, forever, 100, 110)
	})
}

func TestLogsAreApart(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		logs := []pipeline.Log{
			{Group: "a", Partition: pipeline.Partition{Topic: "t", TopicID: "x", ID: 0}},
			{Group: "a", Partition: pipeline.Partition{Topic: "t", TopicID: "x", ID: 1}},
			{Group: "a", Partition: pipeline.Partition{Topic: "t", TopicID: "y", ID: 0}},
			{Group: "b", Partition: pipeline.Partition{Topic: "t", ID: 0}},
			{Group: "b:t", Partition: pipeline.Partition{Topic: "u", ID: 0}},
			{Group: "b", Partition: pipeline.Partition{Topic: "t:u", ID: 0}},
			{Group: "../{b}/,", Partition: pipeline.Partition{Topic: "..", ID: 0}},
		}
		for i, l := range logs {
			if err := s.Save(t.Context(), l, at(int64(i))); err != nil {
				t.Fatal(err)
			}
		}
		for i, l := range logs {
			if c, err := s.Load(t.Context(), l, forever, config); err != nil || c[0].Offset != int64(i) {
				t.Errorf("Load(%v) = %v, %v, want %d", l, c, err, i)
			}
		}
	})
}

func TestManyLogsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		var wg sync.WaitGroup
		for id := range int32(8) {
			wg.Go(func() {
				l := pipeline.Log{Group: "g", Partition: pipeline.Partition{Topic: "t", ID: id}}
				for o := range int64(20) {
					if err := s.Save(t.Context(), l, at(o)); err != nil {
						t.Error(err)
					}
					if c, err := s.Load(t.Context(), l, forever, config); err != nil || c[0].Offset != o {
						t.Errorf("Load = %v, %v, want %d", c, err, o)
					}
				}
			})
		}
		wg.Wait()
	})
}

// Two processes that both believe they own a log may race; what is stored never moves back and is always whole.
func TestTwoOwnersRace(t *testing.T) {
	each(t, func(t *testing.T, s bench) {
		if _, ok := s.shelf.(*files); ok {
			t.Skip("files serve one process")
		}
		var wg sync.WaitGroup
		for range 4 {
			owner := bench{Store: s.again()}
			wg.Go(func() {
				for o := int64(1); o <= 30; o++ {
					if err := owner.Save(t.Context(), someLog, at(o)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s.want(t, forever, 30)
		s.want(t, 29, 29)
	})
}
