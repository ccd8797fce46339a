package detectors

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// calendar learns what is usual at each hour of the day and at each hour of the week: a moving mean of the values of each.
type calendar struct {
	mean   [dayHours + weekHours]float32     // of the hours of the day, then of those of the week
	halves [(dayHours + weekHours) / 2]uint8 // of a byte, for the visits of an hour and the next, which saturate at calendarMemory
}

// visits is the number of visits to an hour.
func (c *calendar) visits(hour int) uint8 { return c.halves[hour/2] >> (hour % 2 * 4) & 15 }

func (c *calendar) visited(hour int, visits uint8) {
	shift := hour % 2 * 4
	c.halves[hour/2] = c.halves[hour/2]&^(15<<shift) | visits<<shift
}

// calendarMemory is the number of visits to an hour that its mean remembers: about a week of days, two months of weeks.
const calendarMemory = 8

// clock tells the hours that a metric follows.
type clock struct {
	zone     *time.Location
	holidays []int64 // days since 1970 by the zone's clock, ascending
}

const (
	dayHours  = 24
	weekHours = 7 * dayHours
	sunday    = 3 // days after the Thursday that weeks are counted from
)

func newClock(zone string, holidays []string) (c clock, err error) {
	if c.zone, err = loadZone(zone); err != nil {
		return c, &invalid.Value{Name: "zone", Value: zone, Want: "an IANA time zone such as UTC or Europe/Berlin"}
	}
	for i, text := range holidays {
		date, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return c, &invalid.Value{Name: fmt.Sprintf("holidays[%d]", i), Value: text, Want: "a date such as 2026-12-25"}
		}
		c.holidays = append(c.holidays, floorDiv(date.Unix(), dayHours*3600))
	}
	slices.Sort(c.holidays)
	return c, nil
}

// zones remembers the zones that were loaded, which never change: each takes kilobytes, and each key has a detector.
var zones sync.Map // *time.Location by name

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" { // both mean something to time, but not the same on every machine
		return nil, errors.New("a zone without a name of its own")
	}
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		zones.Store(name, zone)
	}
	return zone, err
}

// hours returns the hour of the day and the hour of the week that t, in Unix nanoseconds, falls in by the clock of the zone. A change to
// or from summer time moves with the clock. Weeks are counted from the first of January 1970, a Thursday; a holiday is a Sunday.
func (c *clock) hours(t int64) (day, week int) {
	seconds := floorDiv(t, int64(time.Second))
	if c.zone != time.UTC { // whose offset needs no looking up
		_, offset := time.Unix(seconds, 0).In(c.zone).Zone()
		seconds += int64(offset)
	}
	hour := floorDiv(seconds, 3600)
	week = int(hour - weekHours*floorDiv(hour, weekHours))
	day = week % dayHours
	if _, holiday := slices.BinarySearch(c.holidays, floorDiv(hour, dayHours)); holiday {
		week = sunday*dayHours + day
	}
	return day, week
}

// expect returns the mean of the two bins that is nearer to x, or other where neither was ever visited.
//
// The nearer one, because after a lasting shift the days' bins have adapted within days, and the weeks' would echo it for weeks; at a
// weekend it is the other way round.
func (c *calendar) expect(day, week int, x, other float64) float64 {
	week += dayHours
	d, w := float64(c.mean[day]), float64(c.mean[week])
	switch {
	case c.visits(day) == 0 && c.visits(week) == 0:
		return other
	case c.visits(week) == 0:
		return d
	case c.visits(day) > 0 && math.Abs(x-d) < math.Abs(x-w):
		return d
	}
	return w
}

// ofWeek is the mean of an hour of the week, where that was visited.
func (c *calendar) ofWeek(week int) (mean float64, ok bool) {
	return float64(c.mean[dayHours+week]), c.visits(dayHours+week) > 0
}

// days says that each day of the week was visited.
func (c *calendar) days() bool {
	for day := range weekDays {
		first := (dayHours + day*dayHours) / 2
		if !slices.ContainsFunc(c.halves[first:first+dayHours/2], func(visits uint8) bool { return visits > 0 }) {
			return false
		}
	}
	return true
}

// learn takes in x. In the mean of the hour of the week, which was visited before, it has at most the weight rate.
func (c *calendar) learn(day, week int, x, rate float64) {
	for _, hour := range [...]int{day, dayHours + week} {
		visits := min(c.visits(hour)+1, calendarMemory)
		weight := 1 / float64(visits)
		if hour >= dayHours && visits > 1 {
			weight = min(weight, rate)
		}
		c.mean[hour] += float32((x - float64(c.mean[hour])) * weight)
		c.visited(hour, visits)
	}
}

// move makes zero of x.
func (c *calendar) move(x float32) {
	for hour := range c.mean {
		if c.visits(hour) > 0 {
			c.mean[hour] -= x
		}
	}
}

func (c *calendar) append(b []byte) []byte {
	for hour, mean := range c.mean {
		b = append(appendFloat32(b, mean), c.visits(hour))
	}
	return b
}

func (c *calendar) read(r *reader) {
	for hour := range c.mean {
		c.mean[hour] = r.float32(-wide, wide)
		visits := r.uint8()
		if visits > calendarMemory {
			r.fail("an hour with %d visits, want at most %d", visits, calendarMemory)
		}
		c.visited(hour, min(visits, calendarMemory))
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
