package pipeline_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

// BenchmarkHeap reports the heap that lives for each of a million series.
func BenchmarkHeap(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(heapPerSeries(b, n), "B/series")
			}
		})
	}
}

func heapPerSeries(t testing.TB, n int) float64 {
	c := settingsOf(t, `decode: {format: csv, columns: [k, v, w, x, y, z], key: k, time: {}, values: [v, w, x, y, z]}
detectors: [{kind: ewma}]
max_series: 2000000
max_bytes: 2000000000`)
	w := newWorker(t, c)
	before := living()
	var value []byte
	for i := range 40 * n {
		value = fmt.Appendf(value[:0], "key-%08d,%d,%d,%d,%d,%d.5", i%n, i%7, i%11, i%13, i%17, i%19)
		w.Process([]pipeline.Record{{Offset: int64(i), Timestamp: int64(i), Value: value}}, 0)
		if i == 39*n {
			s := w.Cut(true)
			for !w.Continue(1 << 20) {
			}
			s = nil
			_ = s
		}
	}
	after := living()
	if w.Series() != n {
		t.Fatalf("%d series, want %d", w.Series(), n)
	}
	runtime.KeepAlive(w)
	return float64(after-before) / float64(n)
}

func living() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
