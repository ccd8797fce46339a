package drift

import (
	"math"
	"testing"
)

// The sixth bucket of a size merges the two oldest: 16 points are buckets of 4, four of 2 and four of 1.
func TestADWINBuckets(t *testing.T) {
	m := newMonitor(t, "adwin").(*ADWIN)
	for i := range 16 {
		m.Add(float64(i))
	}
	var sizes []float64
	for _, b := range m.buckets {
		sizes = append(sizes, b.n)
	}
	want := []float64{4, 2, 2, 2, 2, 1, 1, 1, 1}
	if len(sizes) != len(want) {
		t.Fatalf("buckets of %v, want %v", sizes, want)
	}
	for i := range want {
		if sizes[i] != want[i] {
			t.Fatalf("buckets of %v, want %v", sizes, want)
		}
	}
	// 0, 1, 2, 3: mean 1.5, squared deviations 2·(1.5² + 0.5²) = 5, three steps of 1.
	if b := m.buckets[0]; b != (bucket{n: 4, mean: 1.5, square: 5, steps: 3}) {
		t.Errorf("oldest bucket %+v", b)
	}
}

// With n0 = n1 = 2, 1/m is 1; ln(2/δ') = 2 and σ = 3 give 3·(√4 + 4/3) = 10.
func TestADWINBound(t *testing.T) {
	half := bucket{n: 2, square: 18, steps: 36} // variance 9, autocorrelation 1 - 36/(2·18) = 0
	if got := bound(half, half, 2); !near(got, 10) {
		t.Errorf("bound = %v, want 10", got)
	}
	// Of one part that varies, the error is by both √(18/6·(1/4 + 1/2)) = 1.5 and by its own √(9/2) = 2.1.
	if got := difference(bucket{n: 4, steps: 1}, half); !near(got, math.Sqrt(4.5)) {
		t.Errorf("difference = %v, want %v", got, math.Sqrt(4.5))
	}
	// Squared deviations 4 and steps 4 of 4 points: variance 1, autocorrelation 1 - 4/8 = 1/2, and 1·(3/2)/(1/2) = 3.
	if got := deviation(4, 4, 4); !near(got, math.Sqrt(3)) {
		t.Errorf("deviation = %v, want √3", got)
	}
}

// Where all sizes have their 5 buckets, 5·(2^18 - 1) points in all, the next point makes room in each size, and the oldest bucket of the
// largest is dropped.
func TestADWINMemoryIsBounded(t *testing.T) {
	m := newMonitor(t, "adwin").(*ADWIN)
	for n := float64(maxSize); n >= 1; n /= 2 {
		for range perSize {
			m.buckets = append(m.buckets, bucket{n: n, mean: 1})
		}
	}
	m.last = 1
	for range 1000 {
		m.Add(1)
		points := 0.0
		for _, b := range m.buckets {
			points += b.n
		}
		if len(m.buckets) > maxBuckets || points > 5*(1<<18-1) || points < 5*(1<<18-1)-maxSize {
			t.Fatalf("%d buckets of %v points, want at most %d of 1,310,715", len(m.buckets), points, maxBuckets)
		}
		if err := newMonitor(t, "adwin").UnmarshalBinary([]byte(state(t, m))); err != nil {
			t.Fatalf("restore of the longest window: %v", err)
		}
	}
}

func TestADWINConfigIsChecked(t *testing.T) {
	_, err := (&ADWINConfig{Delta: 0, MinWindow: 4}).New()
	want := "delta is 0, want between 0 and 1, both excluded\nmin_window is 4, want between 5 and 65536"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
