package drift

import (
	"math"
	"slices"
	"testing"
)

func newKSWIN(t testing.TB, c KSWINConfig) *KSWIN {
	t.Helper()
	m, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	return m.(*KSWIN)
}

// The distances are seen on paper: at 2 half of the first are reached and a quarter of the second, and so on.
func TestKSDistance(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, 0},
		{[]float64{1, 2, 3, 4}, []float64{2, 3, 4, 5}, 0.25},
		{[]float64{1, 2}, []float64{3, 4, 5}, 1},
		{[]float64{7, 7, 7}, []float64{7, 7}, 0},
		{[]float64{7, 7, 7}, []float64{7, 7, 8, 8}, 0.5},
		{[]float64{0, 1, 2, 9}, []float64{1, 1, 1, 1}, 0.5},
	} {
		for range 2 {
			if got := distance(c.a, c.b); math.Abs(got-c.want) > 1e-15 {
				t.Errorf("distance(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

// The limit of the distance at a level of 0.05 is 1.3581 of √(1/n + 1/m): Smirnov (1948), table 1, has 0.95 at 1.36.
func TestKSWINLimit(t *testing.T) {
	m := newKSWIN(t, KSWINConfig{Window: 200, Newest: 100, Delta: 0.05})
	m.recent.x, m.older.x = m.recent.x[:100], m.older.x[:100]
	if got, want := m.most(), 1.3581*math.Sqrt(0.02); math.Abs(got-want) > 1e-4 {
		t.Errorf("limit = %v, want %v", got, want)
	}
	// An autocorrelation of 1/2 makes the variance of a mean (1+1/2)/(1-1/2) = 3 times as large.
	m.ranks.bucket = bucket{n: 100, square: 100, steps: 100}
	if got, want := m.most(), 1.3581*math.Sqrt(0.06); math.Abs(got-want) > 1e-4 {
		t.Errorf("limit with inertia = %v, want %v", got, want)
	}
}

// What is sorted is what is older, however long points have come.
func TestKSWINWindow(t *testing.T) {
	m, next := newKSWIN(t, KSWINConfig{Window: 110, Newest: 30, Delta: 1e-9}), noise(9, 0)
	var all []float64
	for i := range 1000 {
		x := math.Round(3*next()) / 3 // many are equal
		all = append(all, x)
		m.Add(x)
		older := slices.Clone(all[max(0, i-109):max(0, i-29)])
		slices.Sort(older)
		newest := slices.Clone(all[max(0, i-29):])
		slices.Sort(newest)
		if !slices.Equal(m.sortedOlder, older) || !slices.Equal(m.sortedRecent, newest) {
			t.Fatalf("after %d points %v and %v are sorted, want %v and %v", i+1, m.sortedOlder, m.sortedRecent, older, newest)
		}
	}
}

// One peak becomes two, with the mean and nearly the spread that it had: no mean and no moment tells of it.
func TestKSWINFindsAChangeOfShape(t *testing.T) {
	m, next := newMonitor(t, "kswin").(*KSWIN), noise(10, 0)
	for range 1000 {
		m.Add(next())
	}
	for range 150 {
		if c, changed := m.Add(math.Copysign(1, next()) + next()/10); changed {
			if !c.Spread || math.Abs(c.Before-1) > 0.2 || math.Abs(c.After-1) > 0.2 {
				t.Errorf("%+v, want a spread of 1 and 1", c)
			}
			return
		}
	}
	t.Error("not found within 150 points")
}

func TestKSWINConfigIsChecked(t *testing.T) {
	_, err := (&KSWINConfig{Window: 99, Newest: 50, Delta: math.NaN()}).New()
	want := "window is 99, want between 100 and 20000\nnewest is 50, want between 30 and 10000, and at most half of window\n" +
		"delta is NaN, want between 0 and 1, both excluded"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
