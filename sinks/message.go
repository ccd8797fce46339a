package sinks

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// batch is what one message of the router carries: records of a partition that wait, in their order. One at a time a sink would take no more
// of them than it answers calls; a batch is one call. It goes along in the message's context, for a payload would have to be encoded for
// nobody.
type batch struct {
	partition pipeline.Partition
	records   []record

	// Of the handler, until the message is acknowledged or given back.
	done  int   // of the records: delivered, or set aside
	taken int64 // the sink has taken everything below it; -1 where the topic cannot be read again
}

// record is one that waits.
type record struct {
	offset     int64
	timestamp  time.Time
	key, value []byte
	headers    []kgo.RecordHeader
}

// What a batch has at most.
const (
	batchRecords = 256
	batchBytes   = 1 << 20
)

type batchKey struct{}

// message returns one that carries b.
func (b *batch) message(ctx context.Context) *message.Message {
	return message.NewMessageWithContext(context.WithValue(ctx, batchKey{}, b), fmt.Sprintf("%v/%d", b.partition, b.records[0].offset), nil)
}

func batchOf(m *message.Message) *batch { return m.Context().Value(batchKey{}).(*batch) } //nolint:forcetypeassert // every message has one

// rest are the alerts that wait, up to the first record that is none; bad says why it is not.
func (b *batch) rest() (ds []*Delivery, bad error) {
	after := b.taken
	for _, r := range b.records[b.done:] {
		a, err := pipeline.ParseAlert(r.value)
		if err != nil {
			return ds, err
		}
		ds = append(ds, &Delivery{Alert: a, Data: r.value, Partition: b.partition, Offset: r.offset, After: after})
		if after >= 0 {
			after = r.offset + 1
		}
	}
	return ds, nil
}

// took says that the sink has taken the next n.
func (b *batch) took(n int) {
	b.done += n
	if n > 0 && b.taken >= 0 {
		b.taken = b.records[b.done-1].offset + 1
	}
}

// deadLetter makes of r what goes to the dead-letter topic: its bytes, key and headers as they were, and headers that say what
// happened, named as those of the pipeline's dead letters; cut where a broker would not take it.
func deadLetter(p pipeline.Partition, r *record, sink, reason, detail string) pipeline.Message {
	letter := pipeline.Message{Topic: deadLetterTopic(p.Topic, sink), Key: r.key, Value: r.value, Headers: r.pipelineHeaders()}
	for _, h := range [...]struct{ key, value string }{
		{"reason", reason}, {"detail", detail}, {"sink", sink},
		{"topic", p.Topic}, {"partition", strconv.Itoa(int(p.ID))}, {"offset", strconv.FormatInt(r.offset, 10)},
		{"timestamp", strconv.FormatInt(r.timestamp.UnixMilli(), 10)},
	} {
		letter.Headers = append(letter.Headers, pipeline.Header{Key: "gonomaly." + h.key, Value: []byte(h.value)})
	}
	letter, _ = letter.Fit()
	return letter
}

func (r *record) pipelineHeaders() []pipeline.Header {
	headers := make([]pipeline.Header, len(r.headers))
	for i, h := range r.headers {
		headers[i] = pipeline.Header(h)
	}
	return headers
}
