package checkpoint_test

import (
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// BenchmarkStoredSize measures what a series of one value comes to in the store, once its detector has learned.
func BenchmarkStoredSize(b *testing.B) {
	const series, points = 50, 5000
	records := noise(series*points, series, series*points)
	for kind, settings := range map[string]string{
		"ewma": "detectors: [{kind: ewma}]", "metric": "detectors: [{kind: metric}]", "forest": "detectors: [{kind: forest}]",
		"ewma and adwin": "detectors: [{kind: ewma}]\ndrift: [{kind: adwin, on: scores}]",
	} {
		b.Run(kind, func(b *testing.B) {
			w := goldenWorker(b, settings+"\nalert: {false_alarms: 1 per 10000 points}")
			w.Process(records, 0)
			state, err := w.AppendBinary(nil)
			if err != nil {
				b.Fatal(err)
			}
			var stored []byte
			for b.Loop() {
				if stored, err = checkpoint.Encode(pipeline.Stored{Checkpoint: pipeline.Checkpoint{Offset: w.Position()}, State: state}, goldenLog); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(state))/series, "B/series")
			b.ReportMetric(float64(len(stored))/series, "stored-B/series")
		})
	}
}
