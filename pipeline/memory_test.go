package pipeline_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

const (
	manyKeys = `decode: {format: csv, columns: [k, v, w, x, y, z], key: k, time: {}, values: [v, w, x, y, z]}
max_series: 5000000
max_bytes: 5000000000
`
	millions = manyKeys + "detectors: [{kind: ewma}]"
	together = manyKeys + "detectors: [{kind: points, scope: partition}]"
)

// A series with an EWMA over five fields takes 256 bytes of a process, its key of 12 bytes included: millions of keys have one. One with a detector of the
// partition takes less. What the plan says of them is near the truth.
func TestSeriesAreSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	for settings, most := range map[string]float64{millions: 256, together: 170} {
		held := heapPerSeries(t, settings, 150_000)
		c := settingsOf(t, settings)
		own, err := c.SeriesBytes()
		if err != nil {
			t.Fatal(err)
		}
		if planned := float64(own + 12); held > most || planned < 0.9*held || planned > 1.1*held {
			t.Errorf("%.0f bytes of heap are held for each series, and %.0f by the plan, want at most %.0f, and the same: %s", held, planned, most, settings)
		}
	}
}

// BenchmarkHeap reports the heap that lives for each of a million series.
func BenchmarkHeap(b *testing.B) {
	for name, settings := range map[string]string{"apart": millions, "together": together} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(heapPerSeries(b, settings, 1_000_000), "B/series")
			}
		})
	}
}

// BenchmarkKeys is the whole work on a record, decoded from CSV, whose key is any of so many, a minute after the one before it: a point, or one of ten
// in a window.
func BenchmarkKeys(b *testing.B) {
	for name, settings := range map[string]string{"records": millions, "windows": millions + "\nwindow: {every: 10m, aggregate: [mean, max, p99], lateness: 1m}"} {
		for _, n := range []int{100, 10_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				w := newWorker(b, settingsOf(b, settings))
				r := rand.New(rand.NewPCG(1, 2))
				values := make([][]byte, 1<<17)
				for i := range values {
					values[i] = fmt.Appendf(nil, "key-%08d,%.3f,%.3f,%.3f,%.3f,%.3f", r.IntN(n), r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.NormFloat64())
				}
				one := make([]pipeline.Record, 1)
				process := func(value []byte) {
					offset := one[0].Offset + 1
					one[0] = pipeline.Record{Offset: offset, Timestamp: int64(time.Minute) * (offset / int64(n)), Value: value}
					w.Process(one, 0)
				}
				for i := range n {
					process(fmt.Appendf(nil, "key-%08d,1,2,3,4,5", i))
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; b.Loop(); i++ {
					process(values[i%len(values)])
				}
			})
		}
	}
}

// heapPerSeries is what the heap grows by when so many series have three points each, and all of them have changed since a checkpoint.
func heapPerSeries(t testing.TB, settings string, n int) float64 {
	t.Helper()
	w := newWorker(t, settingsOf(t, settings))
	before := living()
	var value []byte
	feed := func(times int) {
		for i := range times * n {
			value = fmt.Appendf(value[:0], "key-%08d,%d,%d,%d,%d,%d.5", i%n, i%7, i%11, i%13, i%17, i%19)
			w.Process([]pipeline.Record{{Offset: max(w.Position(), 0), Timestamp: int64(i), Value: value}}, 0)
		}
	}
	feed(2)
	bytesOf(t, w.Cut(true))
	feed(1)
	after := living()
	if w.Series() != n {
		t.Fatalf("%d series, want %d", w.Series(), n)
	}
	runtime.KeepAlive(w)
	return float64(after-before) / float64(n)
}

func living() uint64 {
	runtime.GC()
	runtime.GC() // what a sweep left
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// However many series a worker has, and though it is restored in between, each scores as it would alone.
func TestSeriesAreApart(t *testing.T) {
	const series, points = 2500, 40
	c := settingsOf(t, millions)
	records := make([]pipeline.Record, series*points)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range records {
		key := i % series
		records[i] = pipeline.Record{
			Offset: int64(i), Timestamp: midnight.UnixNano() + int64(i),
			Value: fmt.Appendf(nil, "k%d,%g,%g,%g,1,2", key, r.NormFloat64(), float64(key)+r.NormFloat64(), 1e9+r.NormFloat64()),
		}
	}
	together, alone := map[string][]float64{}, map[string][]float64{}
	scores := func(w *pipeline.Worker, of map[string][]float64) {
		w.Trace = func(p pipeline.Trace) {
			if p.Scored {
				of[p.Key] = append(of[p.Key], p.Score)
			}
		}
	}
	w := newWorker(t, c)
	scores(w, together)
	w.Process(records[:len(records)/2], 0)
	w = restored(t, w, c)
	scores(w, together)
	w.Process(records[len(records)/2:], 0)
	for key := 0; key < series; key += 311 {
		w := newWorker(t, c)
		scores(w, alone)
		for i := key; i < len(records); i += series {
			w.Process(records[i:i+1], 0)
		}
	}
	maps.DeleteFunc(together, func(key string, _ []float64) bool { return alone[key] == nil })
	if diff := cmp.Diff(alone, together); diff != "" || len(alone) != 9 {
		t.Errorf("scores of %d series (-alone +together): %.2000s", len(alone), diff)
	}
}
