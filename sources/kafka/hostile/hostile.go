// Package hostile writes batches to Kafka that no decent client writes, for tests of what a reader must survive.
package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch says that it holds so many records, whatever does stand in Data.
type Batch struct {
	Codec   kgo.CompressionCodecType
	Records int
	Data    []byte
}

// Record is a batch of one record without a key.
func Record(value []byte) Batch { return Batch{Records: 1, Data: record(0, value)} }

// record is the i-th of a batch.
func record(i int, value []byte) []byte {
	body := append(binary.AppendVarint([]byte{0, 0}, int64(i)), 1) // attributes, time, offset, no key
	body = append(append(binary.AppendVarint(body, int64(len(value))), value...), 0)
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// Bomb is a batch of so many records, each of a MiB of zeros.
func Bomb(codec kgo.CompressionCodecType, records int) (Batch, error) {
	var to bytes.Buffer
	w, err := compressor(&to, codec)
	if err != nil {
		return Batch{}, err
	}
	zeros := make([]byte, 1<<20)
	for i := range records {
		if _, err := w.Write(record(i, zeros)); err != nil {
			return Batch{}, err
		}
	}
	if err := w.Close(); err != nil {
		return Batch{}, err
	}
	return Batch{codec, records, to.Bytes()}, nil
}

func compressor(to *bytes.Buffer, codec kgo.CompressionCodecType) (io.WriteCloser, error) {
	switch codec {
	case kgo.CodecGzip:
		return gzip.NewWriterLevel(to, gzip.BestSpeed)
	case kgo.CodecSnappy:
		to.Write([]byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1})
		return xerial{to}, nil
	case kgo.CodecLz4:
		return lz4.NewWriter(to), nil
	case kgo.CodecZstd:
		return zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("codec %d compresses nothing", codec)
}

// xerial is the framing that Kafka has of snappy: blocks behind their lengths. Without it a broker decompresses all at once.
type xerial struct{ to *bytes.Buffer }

func (x xerial) Write(p []byte) (int, error) {
	block := snappy.Encode(nil, p)
	x.to.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block)))) //nolint:gosec // of a record
	x.to.Write(block)
	return len(p), nil
}

func (xerial) Close() error { return nil }

// Write appends a batch to a partition as it is. The client must be one that writes requests of that size.
func Write(ctx context.Context, client *kgo.Client, topic string, partition int32, batch Batch) error {
	topics, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 60_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, topics[topic].ID
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch.raw()
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := client.Broker(int(topics[topic].Partitions[partition].Leader)).Request(ctx, req)
	if err != nil {
		return err
	}
	for _, t := range answer.(*kmsg.ProduceResponse).Topics {
		for _, p := range t.Partitions {
			return kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return errors.New("the broker's answer lacks the partition")
}

func (b Batch) raw() []byte {
	const sizeAt, sumAt, summed = 8, 17, 21
	now := time.Now().UnixMilli()
	n := int32(b.Records) //nolint:gosec // a few
	r := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(b.Codec), LastOffsetDelta: n - 1, NumRecords: n, ProducerID: -1, ProducerEpoch: -1,
		FirstSequence: -1, FirstTimestamp: now, MaxTimestamp: now, Records: b.Data,
	}
	raw := r.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[sizeAt:], uint32(len(raw)-sizeAt-4)) //nolint:gosec // it fits a request
	binary.BigEndian.PutUint32(raw[sumAt:], crc32.Checksum(raw[summed:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
