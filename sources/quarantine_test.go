package sources

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/sources/kafka/hostile"
)

// write appends one record to partition 1, by a client with these options.
func (w *world) write(value string, opts ...kgo.Opt) {
	w.Helper()
	client := w.newClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(32 << 20)}, opts...)...)
	if err := client.ProduceSync(w.Context(), &kgo.Record{Topic: input, Partition: 1, Value: []byte(value)}).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// writeBatch appends to partition 1 a batch that says it has n records, whatever is in it.
func (w *world) writeBatch(n int, codec kgo.CompressionCodecType, records []byte) {
	w.Helper()
	if err := hostile.Write(w.Context(), w.client, input, 1, hostile.Batch{Codec: codec, Records: n, Data: records}); err != nil {
		w.Fatal(err)
	}
}

const kilo = 1 << 10

// A batch that cannot be decoded, or not within bounds, is stepped over soon, and counted. What stands before and after it is processed,
// and other partitions do not notice.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	bomb := strings.Repeat("0", 8<<20)
	for name, c := range map[string]struct {
		write   func(*world)
		offsets float64 // stepped over
		change  func(*KafkaOptions, *handler)
		last    bool // nothing comes after it: else the client itself goes on, without a word
	}{
		"gzip bomb":   {func(w *world) { w.write(bomb, kgo.ProducerBatchCompression(kgo.GzipCompression())) }, 1, nil, false},
		"snappy bomb": {func(w *world) { w.write(bomb, kgo.ProducerBatchCompression(kgo.SnappyCompression())) }, 1, nil, false},
		"lz4 bomb":    {func(w *world) { w.write(bomb, kgo.ProducerBatchCompression(kgo.Lz4Compression())) }, 1, nil, false},
		"zstd bomb":   {func(w *world) { w.write(bomb, kgo.ProducerBatchCompression(kgo.ZstdCompression())) }, 1, nil, false},
		"bombs in a row": {func(w *world) {
			for range 5 {
				w.write(bomb, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
			}
		}, 5, nil, false},
		"no gzip":                    {func(w *world) { w.writeBatch(3, kgo.CodecGzip, []byte("no gzip at all")) }, 3, nil, false},
		"no snappy":                  {func(w *world) { w.writeBatch(3, kgo.CodecSnappy, []byte{255, 255, 255, 255, 255, 255}) }, 3, nil, false},
		"no lz4":                     {func(w *world) { w.writeBatch(3, kgo.CodecLz4, []byte("no lz4 at all")) }, 3, nil, false},
		"no zstd":                    {func(w *world) { w.writeBatch(3, kgo.CodecZstd, []byte("no zstd at all")) }, 3, nil, false},
		"less records than it says":  {func(w *world) { w.writeBatch(7, kgo.CodecNone, []byte{100, 0, 0, 0, 1, 1, 0}) }, 7, nil, true},
		"no records where some were": {func(w *world) { w.writeBatch(2, kgo.CodecNone, nil) }, 2, nil, false},
		"a wrong checksum": {func(w *world) {
			w.write(strings.Repeat(string(spoiled), kilo), kgo.ProducerBatchCompression(kgo.NoCompression()))
		}, 1, nil, false},
		"a batch larger than an answer may be": {func(w *world) {
			w.write(strings.Repeat("x", 6<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
		}, 1, tuned(func(k *Kafka) { k.opts = append(k.opts, kgo.FetchMaxBytes(fetchBytes), kgo.BrokerMaxReadBytes(5<<20)) }), false},
		"larger than an answer may be, of many records": {func(w *world) {
			client := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(32<<20), kgo.ProducerBatchCompression(kgo.NoCompression()),
				kgo.ProducerLinger(100*time.Millisecond))
			var records []*kgo.Record
			for range 13 {
				records = append(records, &kgo.Record{Topic: input, Partition: 1, Value: []byte(strings.Repeat("x", 512*kilo))})
			}
			if err := client.ProduceSync(w.Context(), records...).FirstErr(); err != nil {
				w.Fatal(err)
			}
		}, 13, tuned(func(k *Kafka) { k.opts = append(k.opts, kgo.FetchMaxBytes(fetchBytes), kgo.BrokerMaxReadBytes(5<<20)) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t)
			if err := w.cluster.CreateTopic(input, partitions, map[string]string{"max.message.bytes": fmt.Sprint(64 << 20)}); err != nil {
				t.Fatal(err)
			}
			change := func(o *KafkaOptions, h *handler) {
				o.Client.MaxBatchBytes = 1 << 20
				if c.change != nil {
					c.change(o, h)
				}
				if c.last { // nothing but the watchdog notices
					tuned(func(k *Kafka) { k.watching = watching{time.Second, time.Second, time.Minute, time.Minute} })(o, h)
				}
			}
			w.produce(300)
			p := w.start("a", change)
			p.network.spoil.Store(true)
			w.caughtUp()
			c.write(w)
			stop := func() {}
			if !c.last {
				stop = w.feed()
			}
			stepped := func(n float64) func() error {
				return func() error {
					if got := testutil.ToFloat64(p.o.Metrics.skippedOffsets.WithLabelValues("s")); got != n {
						return fmt.Errorf("%v offsets are stepped over, want %v", got, n)
					}
					return nil
				}
			}
			w.eventually("it is stepped over", stepped(c.offsets))
			stop()
			w.produce(300)
			w.caughtUp()
			w.compareWith(w.replayOwn())
			w.eventually("ready and caught up", func() error { return errors.Join(p.Ready(), p.idle()) })

			// The next owner, without checkpoints, comes to it again, and to the same end.
			p.kill()
			<-p.done
			w.store.forget(0)
			p = w.start("a", change)
			p.network.spoil.Store(true)
			w.produce(300)
			w.caughtUp()
			w.compareWith(w.replayOwn())
			if err := stepped(c.offsets)(); err != nil && !c.last {
				t.Error(err)
			}
			if n := testutil.ToFloat64(p.o.Metrics.rebuilds.WithLabelValues("s")); n > 0 {
				t.Errorf("%v clients were made anew", n)
			}
		})
	}
}

// Where a batch ends that cannot be decoded is taken from what can be.
func TestEndOfBatch(t *testing.T) {
	for name, c := range map[string]struct {
		b    batch
		want int64
	}{
		"by its header":                     {batch{offset: 10, last: 19, next: 20}, 20},
		"its header points back":            {batch{offset: 10, last: 3, next: 20}, 20},
		"its header points beyond the log":  {batch{offset: 10, last: 1 << 40, next: 20}, 20},
		"nothing is behind it to tell":      {batch{offset: 10, last: 1 << 40, next: -1}, 11},
		"what is behind it is no better":    {batch{offset: 10, last: 1 << 40, next: 1 << 41}, 11},
		"compaction has left a gap over it": {batch{offset: 12, last: 13, next: 40}, 14},
	} {
		if got := c.b.end(10, 100); got != c.want {
			t.Errorf("%s: end = %d, want %d", name, got, c.want)
		}
	}
}

// The header of a batch is read as far as it is there, whatever it says.
func FuzzFirst(f *testing.F) {
	b := kmsg.RecordBatch{FirstOffset: 7, Magic: 2, LastOffsetDelta: 2, NumRecords: 3}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	f.Add(raw)
	f.Add(append(raw, raw...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, whole := first(data)
		if whole && (b.size <= 0 || b.size > len(data)) {
			t.Errorf("first = %+v of %d bytes", b, len(data))
		}
		if end := b.end(5, 100); end <= 5 {
			t.Errorf("end(5, 100) = %d of %+v", end, b)
		}
	})
}
