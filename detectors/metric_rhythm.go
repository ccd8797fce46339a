package detectors

import "math"

// rhythm is what a field's values have in common with the week, once each of its days has been seen and one comes again. Before that what is
// usual at an hour is known of other days alone: a first weekend departs from it as nothing does later, and would for years be what an outage on a
// working day is held against. So, where the week matters, the departures from before are forgotten as soon as as many have come after them.
type rhythm struct {
	week uint16 // points until then, at most horizon; 0 before
	hour uint8  // of the week, of the newest point, and one more; 0: of none
	// weekly says that the week matters: its hours are nearer to what comes, by far. Then they alone are what is usual: else half of what Monday
	// brings would be usual because it is what Sunday did.
	weekly bool
	misses [2]float32        // by how much the day's mean, and the week's, miss the first value of an hour; mean over a week
	hourly [dayHours]float32 // mean size of departures at each hour of the day,
	daily  [weekDays]float32 // and how many times that they are on each day of the week
}

const (
	weekDays = weekHours / dayHours
	// enters is the ratio of the misses under which the week comes to matter, leaves the one from which on it no longer does. With weekends like
	// other days it is about 1, with a third of the values at weekends .2 to .5.
	enters     = 0.4
	leaves     = 0.5
	sizeWeeks  = 3  // that the sizes of departures are means over, of which the first is what all hours have in common
	weekMemory = 8  // weeks that an hour of the week remembers where the week matters, however many points it has
	apart      = 4  // bounds how many times smaller or larger departures may be at an hour than on average, and one of them than its hour's mean
	daysApart  = 20 // bounds the same of days
)

// weight is how many times larger departures are on average than at an hour of the week: nights and weekends are quiet, and what is odd then
// is small beside what is not at noon. Where the week does not matter, only hours at which next to nothing happens are told from others: what is less
// than apart times as small counts as it is.
func (r *rhythm) weight(hour int) float64 {
	if r.week == 0 {
		return 1
	}
	var ofHours, ofDays float64
	for _, size := range r.hourly {
		ofHours += float64(size)
	}
	for _, times := range r.daily {
		ofDays += float64(times)
	}
	all, own, least := ofHours/dayHours*ofDays/weekDays, r.size(hour), 1./apart
	if !r.weekly {
		own, least = apart*own, 1
	}
	switch {
	case all == 0:
		return 1
	case all >= apart*own:
		return apart
	}
	return max(all/own, least)
}

// size is the mean size of departures at an hour of the week.
func (r *rhythm) size(hour int) float64 {
	return float64(r.hourly[hour%dayHours]) * float64(r.daily[hour/dayHours])
}

// window is the number of points whose departures count.
func (r *rhythm) window(row uint64) uint16 {
	if !r.weekly || row < uint64(r.week) {
		return horizon
	}
	return uint16(min(horizon, max(uint64(r.week), row-uint64(r.week))))
}

// rate is the weight of a point in the mean of its hour of the week, at most.
func (r *rhythm) rate(row uint64) float64 {
	if !r.weekly {
		return 1
	}
	return min(1, weekHours/float64(min(row, weekMemory*uint64(r.week))))
}

// learn takes in a point of an hour of the week before the calendar does: x departs by departure, where mean is the size of departures on average.
func (r *rhythm) learn(c *calendar, row uint64, hour int, x, departure, mean, floor float64) {
	entered := int(r.hour) != hour+1
	r.hour = uint8(hour + 1) //nolint:gosec // at most weekHours
	if r.week == 0 {
		if !entered || c.visits(dayHours+hour) == 0 || !c.days() {
			return
		}
		r.week = uint16(min(row, horizon))
		r.misses = [2]float32{float32(mean), float32(mean)}
		for i := range r.hourly {
			r.hourly[i] = float32(mean)
		}
		for i := range r.daily {
			r.daily[i] = 1
		}
	}
	day := hour % dayHours
	if entered && c.visits(dayHours+hour) > 0 && c.visits(day) > 0 { // within an hour each follows what comes
		share := max(1./weekHours, 1/float64(r.week))
		r.misses[0] += float32(share * (min(math.Abs(x-float64(c.mean[day])), wide) - float64(r.misses[0])))
		r.misses[1] += float32(share * (min(math.Abs(x-float64(c.mean[dayHours+hour])), wide) - float64(r.misses[1])))
	}
	ratio := float32(enters)
	if r.weekly {
		ratio = leaves
	}
	r.weekly = r.misses[1] < ratio*r.misses[0]
	n := float64(min(row, sizeWeeks*uint64(r.week)))
	size := min(math.Abs(departure), apart*r.size(hour)+floor) // an outage makes an hour no loud one
	ofHour, ofDay := &r.hourly[day], &r.daily[hour/dayHours]
	was := float64(*ofHour)
	*ofHour += float32(min(1, dayHours/n) * (min(size/float64(*ofDay), wide) - was))
	if was > 0 {
		times := min(max(size/was, 1./daysApart), daysApart)
		*ofDay += float32(min(1, weekDays/n) * (times - float64(*ofDay)))
	}
}

func (r *rhythm) append(b []byte) []byte {
	weekly := byte(0)
	if r.weekly {
		weekly = 1
	}
	b = append(b, byte(r.week), byte(r.week>>8), r.hour, weekly) //nolint:gosec // the low byte, then the high one
	b = appendFloat32(appendFloat32(b, r.misses[0]), r.misses[1])
	for _, size := range r.hourly {
		b = appendFloat32(b, size)
	}
	for _, times := range r.daily {
		b = appendFloat32(b, times)
	}
	return b
}

func (r *rhythm) read(from *reader) {
	*r = rhythm{week: from.uint16(), hour: from.uint8()}
	if r.week > horizon || r.hour > weekHours {
		from.fail("a week of %d points, at hour %d, want at most %d and %d", r.week, r.hour, horizon, weekHours)
	}
	weekly := from.uint8()
	if weekly > 1 {
		from.fail("%d, want 0 or 1", weekly)
	}
	r.weekly = weekly == 1
	r.misses = [2]float32{from.float32(0, wide), from.float32(0, wide)}
	for i := range r.hourly {
		r.hourly[i] = from.float32(0, wide)
	}
	least := float32(1. / daysApart)
	if r.week == 0 {
		least = 0
	}
	for i := range r.daily {
		r.daily[i] = from.float32(least, daysApart)
	}
}
