package detectors

import "slices"

// routine is what an hour of the day brings on most days, however odd: a job of some minutes each night surprises as often as it comes, as the calendar
// has one mean for all of an hour, and what is rare among all points stays rare. Of such an hour only what is more than that counts.
//
// Most are three of the last five days, so that what rests at weekends stays usual over them. A routine is of a quarter of the hours at most: what so many
// have brought for three days, such as an outage, or all that a series has where it comes once a day, is none of any.
type routine struct {
	peaks   [dayHours][routineDays]uint8 // of each hour on the last days that it came, the newest first: highest score in parts of peakParts, and one more; 0: none
	highest uint8                        // the same of the hour that goes on, so far; 0 on its first day, when a series finds all odd
	hour    uint8                        // of the day, that goes on, and one more; 0: none
}

const (
	routineDays = 5
	peakParts   = 5 // of a point of score: 254 of them are more than the highest score
	ordinary    = 2 // a score by which no hour is told from others: noise reaches it about once in an hour of minutes
)

// above is what counts of a score at an hour: what is usual there is ordinary, and what is more counts from there on.
func (r *routine) above(hour int, score float64) float64 {
	usual := r.usual(hour)
	if score <= ordinary || usual <= ordinary*peakParts+1 {
		return score
	}
	known, all := 0, [dayHours]uint8{}
	for h := range all {
		if all[known] = r.usual(h); all[known] > 0 {
			known++
		}
	}
	slices.Sort(all[:known])
	others := max(all[known-1-known/4], ordinary*peakParts+1)
	return max(score-float64(usual-min(usual, others))/peakParts, ordinary)
}

// usual is the third highest of an hour's peaks.
func (r *routine) usual(hour int) uint8 {
	peaks := r.peaks[hour]
	slices.Sort(peaks[:])
	return peaks[routineDays/2]
}

// learn takes in a score at an hour; known says that the hour has come before. A point of the hour before is late, and belongs to none.
func (r *routine) learn(hour int, known bool, score float64) {
	this := uint8(hour + 1) //nolint:gosec // at most dayHours
	if r.hour == this%dayHours+1 {
		return
	}
	if r.hour != this {
		if r.highest > 0 {
			peaks := &r.peaks[r.hour-1]
			copy(peaks[1:], peaks[:])
			peaks[0] = r.highest
		}
		r.highest = 0
		if known && r.hour > 0 {
			r.highest = 1
		}
		r.hour = this
	}
	if r.highest > 0 {
		r.highest = max(r.highest, 1+uint8(min(score*peakParts, 254)))
	}
}

func (r *routine) append(b []byte) []byte {
	for hour := range r.peaks {
		b = append(b, r.peaks[hour][:]...)
	}
	return append(b, r.highest, r.hour)
}

func (r *routine) read(from *reader) {
	for hour := range r.peaks {
		copy(r.peaks[hour][:], from.take(routineDays))
	}
	r.highest, r.hour = from.uint8(), from.uint8()
	if r.hour > dayHours || r.hour == 0 && r.highest > 0 {
		from.fail("the hour %d, want at most %d, and one where a peak is counted", r.hour, dayHours)
	}
}
