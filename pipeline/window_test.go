package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// filled is a window of n samples of two values.
func filled(c *WindowConfig, n int) *window {
	w := newWindow(c, 0, 2)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var before []float64
	for range n {
		sample := []float64{r.NormFloat64(), 100 * r.Float64()}
		w.add(sample, before, c)
		before = sample
	}
	return w
}

// A window tells the same of its samples, small or not, as they themselves do; and so does one that was used before.
func TestWindow(t *testing.T) {
	c := &WindowConfig{Every: time.Minute, Aggregate: []string{aggCount, aggSum, aggMean, aggMin, aggMax, aggStddev, aggP50, aggP99, aggRate}}
	used, fields := filled(c, 100), c.fields([]string{"a", "b"})
	for _, n := range []int{1, 2, small - 1, small, small + 1} {
		var columns [2][]float64
		r := rand.New(rand.NewPCG(1, uint64(n)))
		used.begin(0)
		var before []float64
		for range n {
			sample := []float64{r.NormFloat64(), 100 * r.Float64()}
			for i, x := range sample {
				columns[i] = append(columns[i], x)
			}
			used.add(sample, before, c)
			before = sample
		}
		want := []float64{float64(n)}
		for _, xs := range columns {
			sum, grown := 0.0, 0.0
			for i, x := range xs {
				sum += x
				if i > 0 {
					grown += increase(xs[i-1], x)
				}
			}
			mean, squares := sum/float64(n), 0.0
			for _, x := range xs {
				squares += (x - mean) * (x - mean)
			}
			sorted := slices.Sorted(slices.Values(xs))
			rank := func(p float64) float64 { return sorted[int(math.Ceil(p*float64(n)))-1] }
			want = append(want, sum, mean, slices.Min(xs), slices.Max(xs), math.Sqrt(squares/float64(n)), rank(0.5), rank(0.99), grown/60)
		}
		for name, w := range map[string]*window{"new": filled(c, n), "used": used} {
			got := w.appendFields(nil, 2, c)
			for i := range want {
				field, tolerance := fields[i], 1e-9
				if n >= small && strings.Contains(field, ".p") { // an estimate
					tolerance = 0.3 * want[slices.Index(fields, field[:2]+aggStddev)]
				}
				if !(math.Abs(got[i]-want[i]) <= tolerance) {
					t.Errorf("%d samples, %s window: %v is %v, want %v", n, name, field, got[i], want[i])
				}
			}
		}
	}
}

// old is a window as the version before wrote it.
func old(w *window, c *WindowConfig) []byte {
	b := appendInt(appendInt(nil, w.start), int64(w.count))
	ps := c.quantiles()
	for i := range 2 {
		a := w.of(i, 2)
		increase := 0.0
		if w.increase != nil {
			increase = w.increase[i]
		}
		for _, v := range [...]float64{a.sum, a.min, a.max, a.mean, a.m2, increase} {
			b = appendFloat(b, v)
		}
		for j := range ps {
			b = appendInt(b, int64(w.count))
			if w.count < small {
				for n := range w.count {
					b = appendFloat(b, w.samples[2*n+i])
				}
				continue
			}
			q := w.quantiles[i*len(ps)+j]
			for k := range q.at {
				b = appendFloat(appendFloat(b, q.at[k]), q.height[k])
			}
		}
	}
	return b
}

// A window comes back from what this version writes and from what the one before wrote, and goes on as if it had never been away.
func TestWindowComesBack(t *testing.T) {
	for _, aggregate := range [][]string{{aggMean}, {aggMean, aggP99}, {aggP50, aggRate, aggP99}, {aggRate, aggCount}} {
		for _, n := range []int{1, 7, small - 1, small, 3 * small} {
			c := &WindowConfig{Every: time.Minute, Aggregate: aggregate}
			p := &plan{config: Config{Window: c}}
			p.config.Decode.Values = []string{"a", "b"}
			want := filled(c, n)
			for version, b := range map[byte][]byte{workerVersion: want.append(nil), oldestWorker: old(want, c)} {
				r := stateReader{b: b, version: version}
				got := readWindow(&r, p)
				if r.err != nil || len(r.b) > 0 {
					t.Fatalf("%v of %d samples, version %d: %v, %d bytes are left", aggregate, n, version, r.err, len(r.b))
				}
				again := filled(c, n)
				for range small + 1 {
					again.add([]float64{1, 2}, []float64{2, 1}, c)
					got.add([]float64{1, 2}, []float64{2, 1}, c)
					if a, b := fmt.Sprint(again.appendFields(nil, 2, c)), fmt.Sprint(got.appendFields(nil, 2, c)); a != b {
						t.Fatalf("%v of %d samples, version %d: after %d samples in all %s, want %s", aggregate, n, version, got.count, b, a)
					}
				}
			}
		}
	}
}
