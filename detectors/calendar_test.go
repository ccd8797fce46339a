package detectors

import (
	"testing"
	"time"
)

func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err) // a machine without time zones
	}
	const thursday = 0 // weeks are counted from a Thursday
	for _, c := range []struct {
		at        string
		zone      *time.Location
		day, week int
	}{
		{"1970-01-01T00:00:00Z", time.UTC, 0, thursday},
		{"1969-12-31T23:59:59Z", time.UTC, 23, 6*24 + 23},
		{"2015-01-01T05:30:00Z", time.UTC, 5, thursday + 5}, // a Thursday too
		{"2015-01-02T05:30:00Z", time.UTC, 5, 24 + 5},
		{"2015-01-01T05:30:00Z", berlin, 6, thursday + 6}, // +1 in winter
		{"2015-07-02T05:30:00Z", berlin, 7, thursday + 7}, // +2 in summer
		{"2015-07-01T22:30:00Z", berlin, 0, thursday},     // the day begins by the clock of the zone
		{"2015-12-25T05:30:00Z", time.UTC, 5, 3*24 + 5},   // Christmas, a Friday, is a Sunday
		{"2015-12-24T23:30:00Z", time.UTC, 23, thursday + 23},
		{"2015-12-24T23:30:00Z", berlin, 0, 3 * 24},
		{"2015-12-25T23:30:00Z", berlin, 0, 2 * 24},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		clock := clock{zone: c.zone, holidays: []int64{1000, 16794}} // the second is 2015-12-25
		if day, week := clock.hours(at.UnixNano()); day != c.day || week != c.week {
			t.Errorf("hours(%s, %v) = %d, %d, want %d, %d", c.at, c.zone, day, week, c.day, c.week)
		}
	}
}

// The first eight visits weigh alike: 8 and 16 have the mean 12. From then on a visit moves the mean by an eighth: 12 + (20-12)/8 = 13.
func TestCalendarLearns(t *testing.T) {
	var c calendar
	if got := c.expect(3, 27, 10, 7); got != 7 {
		t.Errorf("before any visit expect = %v, want the other, 7", got)
	}
	c.learn(3, 27, 8, 1)
	c.learn(3, 27, 16, 1)
	if got := c.expect(3, 27, 10, 7); got != 12 {
		t.Errorf("expect = %v, want 12", got)
	}
	for range 6 {
		c.learn(3, 27, 12, 1)
	}
	c.learn(3, 27, 20, 1)
	if got := c.expect(3, 27, 10, 7); got != 13 {
		t.Errorf("expect = %v, want 13", got)
	}
}

// On a Saturday the hour of the week knows better than the hour of the day, and the nearer of the two is taken.
func TestCalendarTakesTheNearer(t *testing.T) {
	var c calendar
	const hour, friday, saturday = 12, 24 + 12, 48 + 12
	c.learn(hour, friday, 100, 1)
	if got := c.expect(hour, saturday, 10, 7); got != 100 {
		t.Errorf("with only the day known expect = %v, want 100", got)
	}
	c.learn(hour, saturday, 20, 1)
	for x, want := range map[float64]float64{10: 20, 90: 60} { // the day's mean is 60 by now
		if got := c.expect(hour, saturday, x, 7); got != want {
			t.Errorf("expect of %v = %v, want %v", x, got, want)
		}
	}
}
