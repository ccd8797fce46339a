package pipeline

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/detectors"
)

// Whatever names come and go, each series keeps its own, and no more than twice their room is taken, but for a piece.
func TestKeys(t *testing.T) {
	const most = 5000
	r := rand.New(rand.NewPCG(1, 2))
	var k keys
	slots := column[slot]{each: 1}
	for range most {
		slots.add()
	}
	want := map[uint32]string{}
	drawn := func(longest int) string {
		return fmt.Sprintf("%d-%s", r.Uint32(), strings.Repeat("x", r.IntN(longest)))
	}
	for round := range 60_000 {
		id := r.Uint32N(most)
		if round > 40_000 {
			id %= 50 // all others stay away for good
		}
		if _, there := want[id]; there {
			k.remove(slots.at(id).key, &slots)
			delete(want, id)
		}
		if round%3 > 0 {
			key := drawn(1 + round/60)
			want[id] = key
			k.add([]byte(key), id, &slots)
		}
		if round%1000 == 999 {
			live, held := 0, 0
			for id, key := range want {
				if got := string(k.at(slots.at(id).key)); got != key {
					t.Fatalf("round %d: the key of %d is %q, want %q", round, id, got, key)
				}
				live += keySize(len(key))
			}
			for _, p := range k.pieces {
				held += cap(p.b)
			}
			if held > 2*live+3*keyPieceSize {
				t.Fatalf("round %d: %d bytes are held for %d", round, held, live)
			}
		}
	}
	k = keys{}
	longest := strings.Repeat("k", maxKey)
	for id := range uint32(200) {
		k.add([]byte(longest), id, &slots)
	}
	for id := range uint32(200) {
		if got := string(k.at(slots.at(id).key)); got != longest {
			t.Fatalf("the longest key of %d is %q", id, got)
		}
	}
}

// Keys whose hashes are one are told apart, whichever of them comes and goes.
func TestKeysOfOneHash(t *testing.T) {
	ewma := DetectorConfig{Kind: "ewma", Params: &detectors.EWMAConfig{HalfLife: 100, WarmUp: 30}}
	model, err := ewma.Params.New(1)
	if err != nil {
		t.Fatal(err)
	}
	w := newTable(&plan{
		config: Config{Detectors: []DetectorConfig{ewma}}, columns: [][]int{nil}, fields: []string{"v"}, models: []detectors.Detector{model},
	})
	first := map[uint32]string{} // by hash
	var same []string
	for i := 0; len(same) == 0; i++ { // 2^16 names or so
		name := strconv.Itoa(i)
		hash := w.hashOf([]byte(name))
		if other, ok := first[hash]; ok {
			same = []string{other, name, "another"}
		}
		first[hash] = name
	}
	for _, gone := range same {
		for i, name := range same {
			w.add([]byte(name)).points = int64(i)
		}
		s, _ := w.find([]byte(gone))
		w.remove(s)
		for i, name := range same {
			if s, ok := w.find([]byte(name)); ok == (name == gone) || ok && s.points != int64(i) {
				t.Errorf("%s is there: %v, when %s is gone", name, ok, gone)
			}
		}
		for id := range w.all {
			w.remove(w.series(id))
		}
		if w.index.n != 0 {
			t.Errorf("%d series are left, want none", w.index.n)
		}
	}
	if n := w.slots.n; n != len(same) {
		t.Errorf("%d slots were made for %d series at a time", n, len(same))
	}
}

// No column of a stream whose series are compact has a pointer in it: the garbage collector does not walk them.
func TestSlotsHaveNoPointers(t *testing.T) {
	var walk func(at string, of reflect.Type)
	walk = func(at string, of reflect.Type) {
		switch of.Kind() {
		case reflect.Struct:
			for i := range of.NumField() {
				walk(at+"."+of.Field(i).Name, of.Field(i).Type)
			}
		case reflect.Array:
			walk(at, of.Elem())
		case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
			t.Errorf("%s is a %v", at, of)
		}
	}
	walk("slot", reflect.TypeFor[slot]())
	if n := sizeOf[slot](); n != 96 {
		t.Errorf("a slot has %d bytes, want 96", n)
	}
}
