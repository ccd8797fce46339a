package figure

import (
	"math"
	"testing"
)

func TestShort(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 61: "61", 99.996: "100", -39.9195: "-39.92", 0.00012346: "0.0001235", 2.53393e-9: "2.534e-09",
		1443.52: "1444", 101325.6: "101326", 8.65e9: "8.65 billion", 3.21e12: "3.21 trillion", 4e15: "4e+15",
		math.Inf(-1): "-Inf",
	} {
		if got := Short(x); got != want {
			t.Errorf("Short(%v) = %q, want %q", x, got, want)
		}
	}
}

func TestApart(t *testing.T) {
	for _, c := range []struct {
		x, y         float64
		wantX, wantY string
	}{
		{61, 70.25, "61", "70.25"},
		{100.04, 100.02, "100.04", "100.02"},
		{5, 5, "5", "5"},
		{math.Nextafter(1, 2), 1, "1.0000000000000002", "1"},
	} {
		if x, y := Apart(c.x, c.y); x != c.wantX || y != c.wantY {
			t.Errorf("Apart(%v, %v) = %q, %q, want %q, %q", c.x, c.y, x, y, c.wantX, c.wantY)
		}
	}
}
