package sources

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How many records a second go through on an embedded broker in the same process.
func BenchmarkDelivery(b *testing.B) {
	benchmarkDelivery(b, func(b testing.TB) *world { return newWorldOf(b, kfake.SeedTopics(partitions, input)) })
}

// benchmarkDelivery reads topics that are there already, by a handler that does next to nothing. An iteration is a topic of 1,200,000
// records; one in five hundred makes an alert.
func benchmarkDelivery(b *testing.B, newWorld func(testing.TB) *world) {
	const records = 1_200_000
	for _, way := range []struct {
		name   string
		change func(*KafkaOptions, *handler)
	}{{ExactlyOnce, func(*KafkaOptions, *handler) {}}, {AtLeastOnce, atLeastOnce}} {
		b.Run(way.name, func(b *testing.B) {
			var took time.Duration
			for range b.N {
				w := newWorld(b)
				client := w.newClient(kgo.ProducerBatchCompression(kgo.Lz4Compression()))
				for i := range records {
					r := &kgo.Record{Topic: input, Key: fmt.Appendf(nil, "machine-%04d", i%1000), Value: fmt.Appendf(nil,
						`{"machine":"machine-%04d","ts":%d,"temp":%.2f,"pressure":%.2f,"rpm":%.1f,"vibration":%.3f,"load":%.1f}`,
						i%1000, 1767225600000+int64(i), 70+float64(i%97)/10, 4+float64(i%13)/10, 2900+float64(i%101), float64(i%7)/10, float64(i%89))}
					client.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
						if err != nil {
							b.Error(err)
						}
					})
				}
				if err := client.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				begin := time.Now()
				p := w.start("a", way.change, func(_ *KafkaOptions, h *handler) { h.rare = 100 })
				w.caughtUp()
				took += time.Since(begin)
				p.quit(b)
			}
			b.ReportMetric(float64(records)*float64(b.N)/took.Seconds(), "records/s")
		})
	}
}
