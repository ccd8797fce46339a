//go:build integration

package main

import (
	"testing"

	"github.com/gonomaly/gonomaly/internal/bench"
)

// What the path must do on two cores, broker and Redis included.
const (
	leastEvents = 300_000 // a second
	mostMemory  = 512     // MiB
)

// BenchmarkPath runs gonomaly bench path on a real broker, with checkpoints in a real Redis. It fails where the path is slower or larger
// than it must be.
func BenchmarkPath(b *testing.B) {
	w := newWorld(b).withRedis()
	for b.Loop() {
		kept := w.file("path.json", "")
		b.Logf("\n%s", w.gonomaly("bench", "path", "--brokers", w.brokers, "--redis", w.redis, "--only", "raw,records,least", "--json", kept))
		r, err := bench.Read(kept)
		if err != nil {
			b.Fatal(err)
		}
		if rate, memory := r.Median("records", "events/s"), r.Median("records", "RSS MiB"); rate < leastEvents || memory > mostMemory {
			b.Errorf("%.0f events/s in %.0f MiB, want %d or more in at most %d MiB", rate, memory, leastEvents, mostMemory)
		}
	}
}
