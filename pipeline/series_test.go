package pipeline

import (
	"errors"
	"math"
	"testing"
)

// 10 s, 30 s and a point that comes late have a mean interval of 40/3 s.
func TestPace(t *testing.T) {
	var p pace
	for _, at := range []int64{100e9, 110e9, 140e9, 120e9} {
		p.learn(at)
	}
	if p.n != 4 || p.last != 140e9 || math.Abs(p.mean-40e9/3) > 1 {
		t.Errorf("%+v, want 4 points, the last at 140 s, 13.33 s apart", p)
	}
	b, err := p.AppendBinary(nil)
	var again pace
	if err != nil || again.UnmarshalBinary(b) != nil || again != p {
		t.Errorf("restored %+v, want %+v", again, p)
	}
	nan := pace{mean: math.NaN()}
	bad, _ := nan.AppendBinary(nil)
	for _, b := range [][]byte{nil, b[1:], append([]byte{2}, b[1:]...), append(b, 0), bad} {
		if err := again.UnmarshalBinary(b); !errors.Is(err, errState) {
			t.Errorf("UnmarshalBinary(%x): %v, want errState", b, err)
		}
	}
}
