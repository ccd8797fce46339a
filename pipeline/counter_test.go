package pipeline_test

import (
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// A counter's sample that comes late is no reset of it: what it grew by is counted once, whatever the order.
func TestRateOfLateSamples(t *testing.T) {
	w := newWorker(t, settingsOf(t, `decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
window: {every: 1m, aggregate: [rate], lateness: 1m}
detectors: [{kind: ewma}]`))
	var rates []float64
	w.Trace = func(p pipeline.Trace) { rates = append(rates, p.X[0]) }
	for offset, second := range []int{0, 20, 40, 30, 50, 70, 65, 55, 90, 110, 300} { // the counter has grown by 6 a second since it was 1000
		r := sampleAt(int64(offset), "k", midnight.Add(time.Duration(second)*time.Second), float64(1000+6*second))
		w.Process([]pipeline.Record{r}, 0)
	}
	// 0 to 50 s in the first minute, from there to 110 s in the second, and the rest in the sixth.
	if len(rates) != 2 || rates[0] != 5 || rates[1] != 6 {
		t.Errorf("rates are %v, want [5 6]", rates)
	}
}
