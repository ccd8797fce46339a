package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// BenchmarkSnapshot takes checkpoints of a partition with 200,000 series, of which 1 in 100 changes between two, as a Stream does: whole
// again when what has changed comes to half. It reports how long the partition waits at a time, and the bytes written on average as a
// share of the whole state; and then how long a restore takes.
func BenchmarkSnapshot(b *testing.B) {
	const count = 200_000
	c := settingsOf(b, `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w, x, y, z]}
detectors: [{kind: ewma}]
max_series: 1000000`)
	w := newWorker(b, c)
	offset := int64(0)
	feed := func(from, n int) {
		for i := range n {
			at := midnight.UnixMilli() + offset
			w.Process([]pipeline.Record{{
				Offset: offset, Timestamp: midnight.AddDate(0, 0, 1).UnixNano(),
				Value: fmt.Appendf(nil, `{"key":"k%06d","ts":%d,"v":%d,"w":1,"x":2,"y":3,"z":%d}`, (from+i)%count, at, i%7, i%13),
			}}, 0)
			offset++
		}
	}
	feed(0, count)
	feed(0, count)

	var pauses []time.Duration
	pause := func(f func()) {
		begin := time.Now()
		f()
		pauses = append(pauses, time.Since(begin))
	}
	var states [][]byte
	whole, changes, written, taken, from := 0, 0, 0, 0, 0
	for b.Loop() {
		feed(from, count/100)
		from += count / 100
		var s *pipeline.Snapshot
		pause(func() { s = w.Cut(whole == 0 || 2*changes >= whole) })
		var state []byte
		for piece, err := range s.Pieces(func(step func() bool) { pause(func() { step() }) }) {
			if err != nil {
				b.Fatal(err)
			}
			state = append(state, piece...)
		}
		if s.Whole {
			whole, changes, states = len(state), 0, nil
		} else {
			changes += len(state)
		}
		states = append(states, state)
		written += len(state)
		taken++
	}
	slices.Sort(pauses)
	b.ReportMetric(float64(pauses[len(pauses)*99/100].Microseconds())/1000, "p99_pause_ms")
	b.ReportMetric(float64(pauses[len(pauses)-1].Microseconds())/1000, "max_pause_ms")
	b.ReportMetric(100*float64(written)/float64(taken)/float64(whole), "%_of_whole")
	b.ReportMetric(float64(whole)/count, "B/series")
	begin := time.Now()
	if err := newWorker(b, c).Restore(states); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(begin).Seconds(), "restore_s")
}
