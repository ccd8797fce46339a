package detectors

import (
	"math"
	"testing"
)

// Of 1 to 16 the excesses over the least are 0 to 15, 7.5 on average, and there are 16 ranks.
func TestSurprise(t *testing.T) {
	var s tail
	for i := range uint64(16) {
		if got := s.surprise(100, 16, 0, beyond); got != 0 {
			t.Errorf("among %d numbers 100 surprises by %v, want 0", i, got)
		}
		s.learn(float32(16-i), i, horizon)
	}
	for _, c := range []struct{ x, nats float64 }{
		{0, 0},
		{0.5, 0},                             // not among the sixteen
		{1, 0},                               // a tie counts against it
		{8, math.Log(17. / 10)},              // nine are as large or larger
		{16, math.Log(17. / 2)},              //
		{17, math.Log(17) + 1/7.5},           // beyond the record
		{1000, math.Log(17) + beyond},        // far beyond
		{math.Inf(1), math.Log(17) + beyond}, // the distance from nothing
	} {
		if got := s.surprise(c.x, 16, 0, beyond); !near(got, c.nats/math.Ln10, 1e-12) {
			t.Errorf("surprise(%v) = %v, want %v", c.x, got, c.nats/math.Ln10)
		}
	}
}

// Equal numbers don't surprise, however many; a greater one does as much as can be.
func TestSurpriseOfConstant(t *testing.T) {
	var s tail
	for i := range uint64(1000) {
		s.learn(3, i, horizon)
	}
	if got := s.surprise(3, 32, 0, beyond); got != 0 {
		t.Errorf("surprise(3) = %v, want 0", got)
	}
	if got, want := s.surprise(4, 32, 0, beyond), (math.Log(1001)+beyond)/math.Ln10; !near(got, want, 1e-12) {
		t.Errorf("surprise(4) = %v, want %v", got, want)
	}
}

// A record is one for a horizon, and no longer.
func TestTailForgets(t *testing.T) {
	var s tail
	s.learn(1000, 0, horizon)
	row := uint64(1)
	for ; row < horizon; row++ {
		s.learn(float32(row%100), row, horizon)
	}
	if s.top[0] != 1000 {
		t.Fatalf("the greatest is %v, want 1000", s.top[0])
	}
	for range 100 {
		s.learn(float32(row%100), row, horizon)
		row++
	}
	if s.top[0] != 99 || s.seen != horizon {
		t.Errorf("the greatest of %d is %v, want 99 of %d", s.seen, s.top[0], horizon)
	}
}
