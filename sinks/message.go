package sinks

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Metadata of a message: where its record stands. The record's own headers are metadata too, behind headerPrefix.
const (
	metaTopic     = "topic"
	metaTopicID   = "topic_id"
	metaPartition = "partition"
	metaOffset    = "offset"
	metaAfter     = "after" // Delivery.After
	metaTimestamp = "timestamp"
	metaKey       = "key"
	metaAside     = "aside" // the sink has not taken it, and it is in the dead-letter topic
	headerPrefix  = "header."
)

// newMessage makes a message of a record.
func newMessage(p pipeline.Partition, offset, after int64, timestamp time.Time, key, value []byte) *message.Message {
	m := message.NewMessage(fmt.Sprintf("%v/%d", p, offset), value)
	m.Metadata[metaTopic] = p.Topic
	m.Metadata[metaTopicID] = p.TopicID
	m.Metadata[metaPartition] = strconv.Itoa(int(p.ID))
	m.Metadata[metaOffset] = strconv.FormatInt(offset, 10)
	m.Metadata[metaAfter] = strconv.FormatInt(after, 10)
	m.Metadata[metaTimestamp] = strconv.FormatInt(timestamp.UnixMilli(), 10)
	m.Metadata[metaKey] = string(key)
	return m
}

// readDelivery makes a delivery of a message; an error says that the message is not an alert.
func readDelivery(m *message.Message) (*Delivery, error) {
	a, err := pipeline.ParseAlert(m.Payload)
	if err != nil {
		return nil, err
	}
	partition, err := strconv.ParseInt(m.Metadata[metaPartition], 10, 32)
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseInt(m.Metadata[metaOffset], 10, 64)
	if err != nil {
		return nil, err
	}
	after, err := strconv.ParseInt(m.Metadata[metaAfter], 10, 64)
	if err != nil {
		return nil, err
	}
	p := pipeline.Partition{Topic: m.Metadata[metaTopic], TopicID: m.Metadata[metaTopicID], ID: int32(partition)}
	return &Delivery{Alert: a, Data: m.Payload, Partition: p, Offset: offset, After: after}, nil
}

// timestamp is that of the message's record.
func timestamp(m *message.Message) time.Time {
	ms, err := strconv.ParseInt(m.Metadata[metaTimestamp], 10, 64)
	if err != nil {
		return time.Now()
	}
	return time.UnixMilli(ms)
}

// deadLetter makes of m what goes to the dead-letter topic: its bytes, key and headers as they were, and headers that say what
// happened, named as those of the pipeline's dead letters.
func deadLetter(m *message.Message, sink, reason, detail string) *message.Message {
	letter := message.NewMessage(m.UUID, m.Payload)
	for k, v := range m.Metadata {
		if k == metaKey || strings.HasPrefix(k, headerPrefix) {
			letter.Metadata[k] = v
		}
	}
	for k, v := range map[string]string{
		"reason": reason, "detail": detail, "sink": sink,
		"topic": m.Metadata[metaTopic], "partition": m.Metadata[metaPartition], "offset": m.Metadata[metaOffset],
		"timestamp": m.Metadata[metaTimestamp],
	} {
		letter.Metadata[headerPrefix+"gonomaly."+k] = v
	}
	letter.SetContext(m.Context())
	return letter
}
