package quality

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// A series has nine faults, of its law's first kind first, and the rows between them are as its law has them.
func TestMadeSeries(t *testing.T) {
	for law := range madeSeries {
		a, b := madeOne(law, 1, madeRows), madeOne(law, 1, madeRows)
		faults := 0
		for i, y := range a.y {
			if a.x[i][0] != b.x[i][0] || a.y[i] != b.y[i] {
				t.Fatalf("%s: row %d is %v, and then %v", a.name, i, a.x[i], b.x[i])
			}
			if y && !a.y[i-1] {
				faults++
			}
		}
		if faults != 9 || slices.Index(a.y, true) != madeCalm {
			t.Errorf("%s has %d faults, the first at row %d", a.name, faults, slices.Index(a.y, true))
		}
	}
}

// Each floor of what is made is that of a figure, and each of these has one.
func TestMadeFigures(t *testing.T) {
	var b strings.Builder
	r := newReport(&b, Options{Log: io.Discard})
	if err := r.made(t.Context(), 1, madeCalm+madeApart); err != nil {
		t.Fatal(err)
	}
	if err := r.w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| a daily curve | metric |", "| sensors | points |", "| points | 0."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	f, err := ReadFloor("floor.json")
	if err != nil {
		t.Fatal(err)
	}
	floors := 0
	for name := range f {
		if !strings.HasPrefix(name, "made.") {
			continue
		}
		floors++
		if _, ok := r.Figures[name]; !ok {
			t.Errorf("nothing measures %s, which has a floor", name)
		}
	}
	if floors != len(r.Figures) {
		t.Errorf("%d floors of the figures %v", floors, r.Figures)
	}
}
