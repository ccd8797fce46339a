//go:build integration

package main

import (
	"testing"

	"github.com/gonomaly/gonomaly/internal/bench"
)

// mostPlaying is the memory that a backtest may take, in MiB, however long the file is.
const mostPlaying = 256

// BenchmarkBacktest runs gonomaly bench backtest, and fails where it takes more memory than it must.
func BenchmarkBacktest(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		kept := w.file("backtest.json", "")
		b.Logf("\n%s", w.gonomaly("bench", "backtest", "--rows", "2000000", "--json", kept))
		r, err := bench.Read(kept)
		if err != nil {
			b.Fatal(err)
		}
		for _, format := range []string{"json", "csv"} {
			if memory := r.Median(format, "RSS MiB"); !(memory <= mostPlaying) {
				b.Errorf("%s: %.0f MiB, want at most %d", format, memory, mostPlaying)
			}
		}
	}
}
