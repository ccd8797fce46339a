package bench

import (
	"math"
	"runtime"
	"time"
)

// cost is what one of many like steps takes.
type cost struct {
	ns          float64
	allocations float64
}

const (
	tries    = 10                    // of which the quickest counts: what disturbs a step makes it slower, never quicker
	sliceFor = 20 * time.Millisecond // at least
)

// measure finds what step(n) takes for each of its n steps.
func measure(step func(n int)) cost {
	n := 1
	for ; ; n *= 2 {
		begin := time.Now()
		if step(n); time.Since(begin) >= sliceFor {
			break
		}
	}
	least := cost{ns: math.Inf(1)}
	for range tries {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		step(n)
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		least.ns = min(least.ns, float64(took.Nanoseconds())/float64(n))
		least.allocations = float64(after.Mallocs-before.Mallocs) / float64(n)
	}
	return least
}
