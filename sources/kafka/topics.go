package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is what a client has to know of a topic.
type Topic struct {
	ID         [16]byte // zero from a broker that gives none
	Partitions int32
}

// HexID is the id as text, "" where there is none.
func (t Topic) HexID() string {
	if t.ID == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(t.ID[:])
}

// pollTopics is how often a missing topic is looked for, and sayMissing how often that is said.
const (
	pollTopics = time.Second
	sayMissing = time.Minute
)

// WaitForTopics returns the topics once all of them exist. While one is missing, or the brokers do not answer, missing is told why.
func WaitForTopics(ctx context.Context, client *kgo.Client, names []string, missing func(error), log *slog.Logger) (map[string]Topic, error) {
	admin := kadm.NewClient(client)
	var said time.Time
	for {
		topics, err := Topics(ctx, admin, names)
		if err == nil {
			return topics, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		missing(err)
		if time.Since(said) >= sayMissing {
			log.Warn("waiting for topics", "topics", names, "error", err)
			said = time.Now()
		}
		select {
		case <-time.After(pollTopics):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Topics returns the topics, or an error that names one that is missing or cannot be asked about.
func Topics(ctx context.Context, admin *kadm.Client, names []string) (map[string]Topic, error) {
	asked, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	details, err := admin.ListTopics(asked, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	found := map[string]Topic{}
	for _, name := range names {
		d, ok := details[name]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			return nil, fmt.Errorf("topic %s does not exist", name)
		case d.Err != nil:
			return nil, fmt.Errorf("topic %s: %w", name, d.Err)
		case len(d.Partitions) == 0:
			return nil, fmt.Errorf("topic %s has no partitions yet", name)
		}
		found[name] = Topic{ID: [16]byte(d.ID), Partitions: int32(len(d.Partitions))} //nolint:gosec // Kafka counts partitions in int32
	}
	return found, nil
}

// EnsureTopics creates the topics that are missing, with so many partitions and the brokers' default replication.
func EnsureTopics(ctx context.Context, client *kgo.Client, partitions int32, names []string, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	details, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	for _, name := range names {
		if d, ok := details[name]; ok && d.Err == nil {
			continue
		}
		const brokersDefault = -1
		answer, err := admin.CreateTopic(ctx, partitions, brokersDefault, nil, name)
		if err == nil {
			err = answer.Err
		}
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists):
		case err != nil:
			return fmt.Errorf("create topic %s: %w", name, err)
		default:
			log.Info("created topic", "topic", name, "partitions", partitions)
		}
	}
	return nil
}

// Create makes a topic with so many partitions, unless it is there. Brokers that do not answer fail it after some seconds.
func Create(ctx context.Context, opts Options, partitions int32, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer client.Close()
	return EnsureTopics(ctx, client, partitions, []string{name}, slog.New(slog.DiscardHandler))
}
