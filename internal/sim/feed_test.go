//go:build sim

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// feed writes records for a time.
func (w *world) feed(lasts time.Duration) error {
	begin := time.Now()
	for sent := 0; time.Since(begin) < lasts; time.Sleep(100 * time.Millisecond) {
		due := int(w.rate * time.Since(begin).Seconds())
		if err := w.produce(due - sent); err != nil {
			return err
		}
		sent = due
	}
	return nil
}

// produce writes n records, bad, late and odd ones, and probes among them.
func (w *world) produce(n int) error {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = record(w.chance, w.keys)
	}
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for _, r := range records {
		w.log[r.Partition] = append(w.log[r.Partition], pipeline.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixNano(), Key: r.Key, Value: r.Value, Headers: headers(r)})
	}
	return nil
}

func headers(r *kgo.Record) (headers []pipeline.Header) {
	for _, h := range r.Headers {
		headers = append(headers, pipeline.Header{Key: h.Key, Value: h.Value})
	}
	return headers
}

func record(r *rand.Rand, keys int) *kgo.Record {
	key := fmt.Sprintf("key-%d", r.IntN(keys))
	v, ts := 10+r.NormFloat64(), time.Now().UnixMilli()
	switch r.IntN(100) {
	case 0:
		return &kgo.Record{Topic: input, Key: []byte(key), Value: []byte(`{"key":`)}
	case 1:
		ts -= r.Int64N(1000)
	case 2:
		key = fmt.Sprintf("once-%d", r.IntN(1e9))
	case 7: // of this stream, or of another one that reads the topic
		header := fmt.Sprintf("%s/sim/%d", []string{"s", "t"}[r.IntN(2)], r.IntN(1e9))
		return &kgo.Record{Topic: input, Key: []byte(pipeline.ProbeKey), Value: pipeline.ProbeValue(header), Headers: []kgo.RecordHeader{{Key: pipeline.ProbeHeader, Value: []byte(header)}}}
	case 3, 4, 5, 6:
		v += 5 + 20*r.Float64()
	}
	return &kgo.Record{Topic: input, Key: []byte(key), Value: fmt.Appendf(nil, `{"key":%q,"ts":%d,"v":%.3f,"u":%.3f}`, key, ts, v, r.Float64())}
}
