package quality

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// Up to its fault a run is as it is without one, and from there on it is not, in as many sensors as the fault has.
func TestFaultyRun(t *testing.T) {
	for law, l := range faultLaws {
		calm := faultyRun(law, noFault, 1)
		if len(calm.x) != faultRows || slices.Contains(calm.y, true) {
			t.Errorf("%s: a run without a fault has %d rows, and one at %d", l.name, len(calm.x), slices.Index(calm.y, true))
		}
		for fault, f := range sensorFaults {
			s := faultyRun(law, fault, 1)
			begin := slices.Index(s.y, true)
			if begin < 500 || begin >= 700 || len(s.x) != begin+soon {
				t.Errorf("%s, %s: it begins at row %d of %d", l.name, f.name, begin, len(s.x))
				continue
			}
			var changed [faultSensors]bool
			for i, x := range s.x {
				for j := range x {
					if x[j] != calm.x[i][j] {
						changed[j] = true
						if i < begin || j >= f.many {
							t.Fatalf("%s, %s: row %d, sensor %d is %v, without the fault %v", l.name, f.name, i, j, x[j], calm.x[i][j])
						}
					}
				}
			}
			if slices.Contains(changed[:f.many], false) {
				t.Errorf("%s, %s: sensors changed are %v, want the first %d", l.name, f.name, changed, f.many)
			}
		}
	}
}

// The table has a row for each law and kind.
func TestFaultySensors(t *testing.T) {
	var b strings.Builder
	r := newReport(&b, Options{Log: io.Discard})
	if err := r.faultySensors(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := r.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(b.String(), "| points |"); rows != len(faultLaws) {
		t.Errorf("%d rows of points, want %d, in:\n%s", rows, len(faultLaws), b.String())
	}
}
