package kafka

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Whatever is asked for has room, and what is put back is empty.
func TestPoolGivesRoom(t *testing.T) {
	const most = 1000
	p := newPool[byte](most)
	for round := range 3 {
		for n := range 3 * most {
			b := p.get(n)
			if len(b) != 0 || cap(b) < n {
				t.Fatalf("round %d: get(%d) has %d bytes of %d", round, n, len(b), cap(b))
			}
			p.put(append(b, make([]byte, n)...))
			p.put(make([]byte, n, n+n/3)) // of another's making
		}
	}
}

// What is read is what was written, with every codec, while the buffers of the records before are used again: the client overwrites them.
func TestRecycledRecordsAreOverwritten(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	const batches, size = 40, 100
	codecs := []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.ZstdCompression(), kgo.Lz4Compression(), kgo.GzipCompression(), kgo.NoCompression()}
	value := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "record %d ", i), 1+i%7) }
	for c, codec := range codecs {
		writer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("t"), kgo.ProducerBatchCompression(codec))
		if err != nil {
			t.Fatal(err)
		}
		for b := range batches {
			var records []*kgo.Record
			for i := range size {
				records = append(records, &kgo.Record{Value: value((c*batches+b)*size + i)})
			}
			if err := writer.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		writer.Close()
	}

	d := Config{}.Decompressor()
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("t"), kgo.FetchMaxBytes(4<<10),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithDecompressor(d), kgo.WithPools(d))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var kept []byte // of a record that is recycled, against the rules
	for n := 0; n < len(codecs)*batches*size; {
		fetches := reader.PollRecords(context.Background(), 70)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if want := value(n); !bytes.Equal(r.Value, want) {
				t.Fatalf("record %d is %q, want %q", n, r.Value, want)
			}
			if n == 0 {
				kept = r.Value
			}
			n++
			r.Recycle()
		})
		d.Refill()
	}
	if bytes.Equal(kept, value(0)) {
		t.Error("a recycled record still stands in its buffer: nothing would show that one is kept for too long")
	}
}
