package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Two keys come once a minute, and a third, later, every other: each is learning until it has its 30 points, and it is foretold when. A
// worker that was restored in the middle knows how many are.
func TestLearning(t *testing.T) {
	c := settingsOf(t, "decode: {key: k, values: x, time: {field: t}}\nmax_series: 10\ndetectors: [{kind: ewma, warm_up: 30}]\nalert: {topic: a}")
	w := newWorker(t, c)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	offset := int64(0)
	feed := func(key string, minute int) {
		at := begin.Add(time.Duration(minute) * time.Minute)
		value := fmt.Sprintf(`{"k":%q,"x":%d,"t":%q}`, key, minute%7, at.Format(time.RFC3339))
		w.Process([]pipeline.Record{{Offset: offset, Timestamp: at.UnixNano(), Value: []byte(value)}}, 0)
		offset++
	}
	ready := func(minute int) string {
		return fmt.Sprintf(", the last until about %s in event time", begin.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339))
	}
	for minute := range 100 {
		feed("a", minute)
		feed("b", minute)
		if minute >= 10 && minute%2 == 0 {
			feed("c", minute)
		}
		want := ""
		switch minute {
		case 0: // no interval is known
			want = "2 of 2 series are learning"
		case 5: // 24 more points
			want = "2 of 2 series are learning" + ready(29)
		case 28: // c has 10 of its 30, and its interval begins to be learned
			want = "3 of 3 series are learning"
		case 29:
			want = "1 of 3 series are learning"
		case 67:
			want = "1 of 3 series are learning"
		case 68: // the 30th of c
			want = "0 of 3 series are learning"
		default:
			continue
		}
		got := w.Learning()
		if minute >= 28 {
			if got.Learning > 0 && !got.Ready.After(begin.Add(28*time.Minute)) {
				t.Errorf("minute %d: %v", minute, got)
			}
			got.Ready = time.Time{}
		}
		if got.String() != want {
			t.Errorf("minute %d: %v, want %s", minute, got, want)
		}
		if again := restored(t, w, c).Learning(); again.Series != got.Series || again.Learning != got.Learning {
			t.Errorf("minute %d: %v once restored, want %v", minute, again, got)
		}
	}
}

// Windows are learned one by one, and are as far apart as they are long; a series that is forgotten is not learning any more.
// Where a detector of the partition has learned enough, all keys have, those that came once too.
func TestLearningTogether(t *testing.T) {
	w := newWorker(t, settingsOf(t, "decode: {key: key, time: {field: ts, unit: ms}, values: [v]}\ndetectors: [{kind: ewma, warm_up: 30, scope: partition}, {kind: ewma}]"))
	for i := range int64(40) {
		if got := w.Learning(); i > 30 && got.Learning > 0 || i > 0 && i < 30 && got.Learning != got.Series {
			t.Fatalf("after %d points: %v", i, got)
		}
		w.Process([]pipeline.Record{sampleAt(i, fmt.Sprint("k", i), midnight.Add(time.Duration(i)*time.Second), float64(i%7))}, 0)
	}
}

func TestLearningOfWindows(t *testing.T) {
	c := settingsOf(t, "decode: {key: k, values: x, time: {field: t}}\nmax_series: 10\nidle: 2h\nwindow: {every: 5m, aggregate: [mean]}\n"+
		"detectors: [{kind: ewma, warm_up: 30}]\nalert: {topic: a, cool_down: 15m}")
	w := newWorker(t, c)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	feed := func(offset int64, key string, at time.Time) {
		value := fmt.Sprintf(`{"k":%q,"x":1,"t":%q}`, key, at.Format(time.RFC3339))
		w.Process([]pipeline.Record{{Offset: offset, Timestamp: at.UnixNano(), Value: []byte(value)}}, 0)
	}
	for minute := range 11 { // two windows are closed
		feed(int64(minute), "a", begin.Add(time.Duration(minute)*time.Minute))
	}
	if got, want := w.Learning().String(), "1 of 1 series are learning, the last until about 2026-01-01T02:30:00Z in event time"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	feed(100, "b", begin.Add(24*time.Hour))
	feed(101, "b", begin.Add(24*time.Hour+time.Minute))
	if got := w.Learning(); got.Series != 1 || got.Learning != 1 {
		t.Errorf("%v, want that of b alone", got)
	}
}
