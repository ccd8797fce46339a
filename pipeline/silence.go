package pipeline

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"
)

// silenceLooks is how often, in the time of a silence that is told, all series are looked through for one. To look at each record costs more
// than it tells.
const silenceLooks = 8

// missed tells of the series that have been silent for as long as alert.silence, each time that the watermark, which was at begin, has come to
// another eighth of that. So what is told, and at which record, follows from the log. A series that has no score yet may be of a key that
// comes once. Where the whole partition had no record for half of the silence it was the topic that was silent, and not the keys: they are
// given time anew.
func (w *Worker) missed(begin int64) {
	silence := int64(w.config.Alert.Silence)
	if silence == 0 || begin/(silence/silenceLooks) == w.watermark/(silence/silenceLooks) {
		return
	}
	if begin == math.MinInt64 || w.watermark-begin > silence/2 {
		w.resumed = w.watermark
	}
	if w.resumed > w.watermark-silence {
		return
	}
	var missed []uint32
	for id := range w.all {
		if s := w.slots.at(id); s.last <= w.watermark-silence && s.young == none {
			missed = append(missed, id)
		}
	}
	slices.SortFunc(missed, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(w.slots.at(a).last, w.slots.at(b).last), bytes.Compare(w.key(a), w.key(b)))
	})
	for _, id := range missed {
		s := w.series(id)
		if w.incident(s, Silence).open() {
			continue
		}
		w.touch(s)
		i := w.disturb(s, Silence, s.last+silence)
		i.fired = i.opened
		a := w.alert(s, i, Silence, Open, i.opened)
		i.id, a.Incident = a.ID, a.ID
		if !w.silent {
			a.Reason = "no record since " + utc(s.last).Format(time.RFC3339) + ", " + Span{Time: w.config.Alert.Silence}.Plain() + " of silence"
			w.tell(&a)
		}
	}
}

// heard ends the silence of a series that has one, when its sample is newer than all before. One that comes late ends nothing.
func (w *Worker) heard(s series) {
	if i := w.incident(s, Silence); i.open() && w.sample.Time > s.last {
		silent := time.Duration(w.sample.Time - s.last).Round(time.Second)
		w.resolve(s, Silence, w.sample.Time, "a record again, after "+Span{Time: silent}.Plain()+" of silence")
	}
}
