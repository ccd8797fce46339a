package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publisher is a Watermill publisher over kgo: a message is in Kafka, on all in-sync replicas, when Publish returns.
type publisher struct{ client *kgo.Client }

// publishTimeout bounds one attempt; the caller repeats it.
const publishTimeout = 10 * time.Second

func newPublisher(options []kgo.Opt) (*publisher, error) {
	client, err := kgo.NewClient(append(slices.Clone(options), kgo.RecordDeliveryTimeout(publishTimeout))...)
	if err != nil {
		return nil, err
	}
	return &publisher{client}, nil
}

// Publish implements message.Publisher.
func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	var errs []error
	for _, m := range messages {
		r := &kgo.Record{Topic: topic, Key: []byte(m.Metadata[metaKey]), Value: m.Payload}
		for k, v := range m.Metadata {
			if key, ok := strings.CutPrefix(k, headerPrefix); ok {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(v)})
			}
		}
		errs = append(errs, p.produce(m.Context(), r))
	}
	return errors.Join(errs...)
}

// produce makes the topic where it is missing, with one partition, and what the brokers have as defaults for the rest.
func (p *publisher) produce(ctx context.Context, r *kgo.Record) error {
	err := p.client.ProduceSync(ctx, r).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	const brokerDefault = -1
	reply, err := kadm.NewClient(p.client).CreateTopic(ctx, 1, brokerDefault, nil, r.Topic)
	if err = errors.Join(err, reply.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", r.Topic, err)
	}
	return p.client.ProduceSync(ctx, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}).FirstErr()
}

// Close implements message.Publisher.
func (p *publisher) Close() error {
	p.client.Close()
	return nil
}

// logPublisher stands in for dead-letter topics where there is no Kafka.
type logPublisher struct{ log *slog.Logger }

func (p logPublisher) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		p.log.Error("alert is set aside", "topic", topic, "reason", m.Metadata[headerPrefix+"gonomaly.reason"],
			"detail", m.Metadata[headerPrefix+"gonomaly.detail"], "value", string(m.Payload))
	}
	return nil
}

func (logPublisher) Close() error { return nil }
