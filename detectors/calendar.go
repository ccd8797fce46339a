package detectors

import (
	"math"
	"time"
)

// calendar learns what is usual at each hour of the day and at each hour of the week.
type calendar struct {
	day  [24]bin
	week [7 * 24]bin
}

// bin is a moving mean of the values of one hour.
type bin struct {
	mean   float32
	visits uint8 // saturates at calendarMemory
}

// calendarMemory is the number of visits to an hour that its mean remembers: about a week of days, two months of weeks.
const calendarMemory = 8

// hours returns the hour of the day and the hour of the week that t, in Unix nanoseconds, falls in by the clock of the zone. A change to
// or from summer time moves with the clock. Weeks are counted from the first of January 1970, a Thursday.
func hours(t int64, zone *time.Location) (day, week int) {
	at := time.Unix(0, t).In(zone)
	_, offset := at.Zone()
	hour := floorDiv(at.Unix()+int64(offset), 3600)
	week = int(hour - 168*floorDiv(hour, 168))
	return week % 24, week
}

// expect returns the mean of the two bins that is nearer to x, or other where neither was ever visited.
//
// The nearer one, because after a lasting shift the days' bins have adapted within days, and the weeks' would echo it for weeks; at a
// weekend it is the other way round.
func (c *calendar) expect(day, week int, x, other float64) float64 {
	d, w := &c.day[day], &c.week[week]
	switch {
	case d.visits == 0 && w.visits == 0:
		return other
	case w.visits == 0:
		return float64(d.mean)
	case d.visits > 0 && math.Abs(x-float64(d.mean)) < math.Abs(x-float64(w.mean)):
		return float64(d.mean)
	}
	return float64(w.mean)
}

func (c *calendar) learn(day, week int, x float64) {
	c.day[day].learn(x)
	c.week[week].learn(x)
}

func (b *bin) learn(x float64) {
	b.visits = min(b.visits+1, calendarMemory)
	b.mean = float32(float64(b.mean) + (x-float64(b.mean))/float64(b.visits))
}

func (c *calendar) append(b []byte) []byte {
	for _, bins := range [][]bin{c.day[:], c.week[:]} {
		for _, bin := range bins {
			b = append(appendFloat32(b, bin.mean), bin.visits)
		}
	}
	return b
}

func (c *calendar) read(r *reader) {
	for _, bins := range [][]bin{c.day[:], c.week[:]} {
		for i := range bins {
			bins[i] = bin{mean: r.float32(-wide, wide), visits: r.uint8()}
			if bins[i].visits > calendarMemory {
				r.fail("an hour with %d visits, want at most %d", bins[i].visits, calendarMemory)
			}
		}
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
