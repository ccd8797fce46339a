//go:build integration

package main

import (
	"testing"

	"github.com/gonomaly/gonomaly/internal/bench"
)

// What the path must do on two cores, broker and Redis included.
const (
	mostCPU    = 4   // times what the raw client takes, an event: neighbours change that little
	mostMemory = 512 // MiB
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
		cpu := r.Median("records", "CPU µs/event") / r.Median("raw", "CPU µs/event")
		if memory := r.Median("records", "RSS MiB"); !(cpu <= mostCPU) || memory > mostMemory {
			b.Errorf("%.2f of the raw client's CPU an event in %.0f MiB, want at most %v in %d MiB", cpu, memory, mostCPU, mostMemory)
		}
	}
}
