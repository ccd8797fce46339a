package drift

import (
	"math"
	"testing"
)

// With the 75th block neighbours that are alike become one: of a constant all of them, of two constants that lie apart those of each.
func TestSEEDMergesWhatIsAlike(t *testing.T) {
	m := newMonitor(t, "seed").(*SEED)
	for range compressTerm*int(m.block) - 1 {
		m.Add(3)
	}
	if len(m.blocks) != compressTerm-1 {
		t.Fatalf("%d blocks before the last is full, want %d", len(m.blocks), compressTerm-1)
	}
	m.Add(3)
	if len(m.blocks) != 1 || m.blocks[0].n != compressTerm*m.block || m.blocks[0].mean != 3 {
		t.Errorf("blocks %+v, want one of all points", m.blocks)
	}

	// Half of 16 blocks of 0 and of 2: the deviation of all is 1, and ε' of the fifteen boundaries at most 15·0.016 = 0.24.
	m = newMonitor(t, "seed").(*SEED)
	for i := range 16 {
		m.blocks = append(m.blocks, bucket{n: m.block, mean: float64(i / 8 * 2)})
	}
	m.compress()
	if len(m.blocks) != 2 || m.blocks[0].mean != 0 || m.blocks[1].mean != 2 || m.blocks[0].n != 8*m.block {
		t.Errorf("blocks %+v, want one of each half", m.blocks)
	}
}

// Blocks of which none is like its neighbours stay within the bound, and within what may be restored.
func TestSEEDMemoryIsBounded(t *testing.T) {
	m := newMonitor(t, "seed").(*SEED)
	for i := range 1000 {
		m.blocks = append(m.blocks, bucket{n: m.block, mean: float64(i % 2), square: 1e9, steps: 2e9})
		if m.term++; m.term == compressTerm {
			m.term = 0
			m.compress()
		}
		if len(m.blocks) > compressTerm+int(m.term) || cap(m.blocks) > maxBlocks {
			t.Fatalf("%d blocks, %d since neighbours were merged", len(m.blocks), m.term)
		}
	}
	if err := newMonitor(t, "seed").UnmarshalBinary([]byte(state(t, m))); err != nil {
		t.Fatal(err)
	}
}

func TestSEEDConfigIsChecked(t *testing.T) {
	_, err := (&SEEDConfig{Delta: math.NaN(), Block: 7}).New()
	want := "delta is NaN, want between 0 and 1, both excluded\nblock is 7, want between 8 and 65536"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
