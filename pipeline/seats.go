package pipeline

import (
	"bytes"
	"cmp"
	"math"
)

// seats are the series in the order of event times, as a heap: of the first seat, the least. A seat is as of when it was taken: one whose series has moved
// on since is put right only when it comes up.
type seats struct {
	last []int64 // event time of the newest sample when the seat was taken
	of   []uint32
}

// sit gives a series a seat.
func (t *table) sit(s *slot) {
	h := &t.seats
	h.last, h.of = append(h.last, s.last), append(h.of, s.id)
	for i := len(h.of) - 1; i > 0 && t.sitsBefore(i, (i-1)/2); i = (i - 1) / 2 {
		h.swap(i, (i-1)/2)
	}
}

// sitAnew gives all series seats.
func (t *table) sitAnew() {
	t.seats = seats{}
	for id := range t.all {
		t.seats.last, t.seats.of = append(t.seats.last, t.slots.at(id).last), append(t.seats.of, id)
	}
	for i := len(t.seats.of)/2 - 1; i >= 0; i-- {
		t.sink(i)
	}
}

// leave takes the first seat away.
func (t *table) leave() {
	h := &t.seats
	end := len(h.of) - 1
	h.swap(0, end)
	h.last, h.of = h.last[:end], h.of[:end]
	t.sink(0)
}

// oldest is the series with the least recent event time, of several the first by key. It has the first seat.
func (t *table) oldest() (s series, ok bool) {
	h := &t.seats
	for len(h.of) > 0 {
		s := t.slots.at(h.of[0])
		if s.last <= h.last[0] {
			return t.series(s.id), true
		}
		h.last[0] = s.last
		t.sink(0)
	}
	return series{}, false
}

// silentSince is an event time at or before the oldest series' newest sample: cheap, where oldest is exact.
func (t *table) silentSince() int64 {
	if len(t.seats.last) == 0 {
		return math.MaxInt64
	}
	return t.seats.last[0]
}

func (t *table) sink(i int) {
	h := &t.seats
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.of); child++ {
			if t.sitsBefore(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (t *table) sitsBefore(i, j int) bool {
	h := &t.seats
	if c := cmp.Compare(h.last[i], h.last[j]); c != 0 {
		return c < 0
	}
	return bytes.Compare(t.key(h.of[i]), t.key(h.of[j])) < 0
}

func (h *seats) swap(i, j int) {
	h.last[i], h.last[j] = h.last[j], h.last[i]
	h.of[i], h.of[j] = h.of[j], h.of[i]
}
