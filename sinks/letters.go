package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// letters takes dead letters. It is used from many goroutines.
type letters interface {
	// write makes m durable, as far as that can be.
	write(ctx context.Context, m *pipeline.Message) error
}

// kafkaLetters writes dead letters to their topics: one is in Kafka, on all in-sync replicas, when write returns.
type kafkaLetters struct{ client *kgo.Client }

// letterTimeout bounds one attempt; the caller repeats it.
const letterTimeout = 10 * time.Second

func newKafkaLetters(options []kgo.Opt) (*kafkaLetters, error) {
	client, err := kgo.NewClient(append(slices.Clone(options), kgo.RecordDeliveryTimeout(letterTimeout))...)
	if err != nil {
		return nil, err
	}
	return &kafkaLetters{client}, nil
}

// write makes the topic where it is missing, with one partition, and what the brokers have as defaults for the rest.
func (k *kafkaLetters) write(ctx context.Context, m *pipeline.Message) error {
	err := k.produce(ctx, m)
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	const brokerDefault = -1
	reply, err := kadm.NewClient(k.client).CreateTopic(ctx, 1, brokerDefault, nil, m.Topic)
	if err = errors.Join(err, reply.Err); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", m.Topic, err)
	}
	return k.produce(ctx, m)
}

func (k *kafkaLetters) produce(ctx context.Context, m *pipeline.Message) error {
	r := &kgo.Record{Topic: m.Topic, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader(h))
	}
	return k.client.ProduceSync(ctx, r).FirstErr()
}

// Close closes the client.
func (k *kafkaLetters) Close() error {
	k.client.Close()
	return nil
}

// loggedLetters stands in for dead-letter topics where there is no Kafka. What has become of the alert its sink logs.
type loggedLetters struct{ log *slog.Logger }

func (l loggedLetters) write(_ context.Context, m *pipeline.Message) error {
	l.log.Error("alert that is set aside", "topic", m.Topic, "value", string(m.Value))
	return nil
}
