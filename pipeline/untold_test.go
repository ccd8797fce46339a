package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// What a detector holds back itself is told with its reason, in the trace and in the counts; what is folded again in silence is not counted.
func TestHeldBackIsTold(t *testing.T) {
	for kind, want := range map[string]pipeline.Untold{"metric": "recurring", "points": "habit"} {
		t.Run(kind, func(t *testing.T) {
			c := settingsOf(t, `
decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
detectors: [{kind: `+kind+`}]
alert: {false_alarms: 1 per 1000 points, cool_down: 3 points}`)
			r := rand.New(rand.NewPCG(1, 0))
			var records []pipeline.Record
			for i := range int64(6000) {
				v := r.NormFloat64()
				if i%400 == 399 {
					v += 20
				}
				at := midnight.UnixMilli() + i*60_000
				records = append(records, pipeline.Record{
					Offset: i, Timestamp: at * int64(time.Millisecond), Value: fmt.Appendf(nil, `{"key":"a","ts":%d,"v":%g}`, at, v),
				})
			}
			w, silent := newWorker(t, c), newWorker(t, c)
			traced := uint64(0)
			w.Trace = func(t pipeline.Trace) {
				if t.Untold == want {
					traced++
				}
			}
			w.Process(records, 0)
			silent.Process(records, 6000)
			if n := w.Counts().Untold[pipeline.Anomaly][want]; n < 3 || n != traced {
				t.Errorf("%d points are %s, and %d in the trace; want 3 or more of 15 spikes", n, want, traced)
			}
			if n := silent.Counts().Untold[pipeline.Anomaly][want]; n != 0 {
				t.Errorf("%d points are %s in silence", n, want)
			}
		})
	}
}
