package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkOverhead is the count over a batch of thousand records of 186 bytes.
func BenchmarkOverhead(b *testing.B) {
	var batch []byte
	for i := range int32(1000) {
		r := kmsg.Record{TimestampDelta64: int64(i), OffsetDelta: i, Key: []byte("machine-000042"), Value: make([]byte, 186)}
		body := r.AppendTo(nil)[1:] // behind a length of 0
		r.Length = int32(len(body)) //nolint:gosec // some hundred
		batch = r.AppendTo(batch)
	}
	if n := overhead(batch); n != 1000*recordBytes {
		b.Fatalf("overhead = %d", n)
	}
	for b.Loop() {
		overhead(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}
