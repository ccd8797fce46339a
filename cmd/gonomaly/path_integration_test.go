//go:build integration

package main

import (
	"testing"

	"github.com/gonomaly/gonomaly/internal/bench"
)

// What the path must do on two cores, broker and Redis included.
const (
	leastShare = 0.25 // of the events a second of the raw client
	mostMemory = 512  // MiB
)

// BenchmarkPath runs gonomaly bench path on a real broker, with checkpoints in a real Redis. It fails where the path is slower, beside the
// raw client in the same run, or larger than it must be.
func BenchmarkPath(b *testing.B) {
	w := newWorld(b).withRedis()
	for b.Loop() {
		kept := w.file("path.json", "")
		b.Logf("\n%s", w.gonomaly("bench", "path", "--brokers", w.brokers, "--redis", w.redis, "--only", "raw,records,least", "--json", kept))
		r, err := bench.Read(kept)
		if err != nil {
			b.Fatal(err)
		}
		share := r.Median("records", "events/s") / r.Median("raw", "events/s")
		if memory := r.Median("records", "RSS MiB"); share < leastShare || memory > mostMemory {
			b.Errorf("%.2f of the raw client's events/s in %.0f MiB, want %v or more in at most %d MiB", share, memory, leastShare, mostMemory)
		}
	}
}
