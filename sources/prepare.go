package sources

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// prepare waits for the topics and for brokers that know the group's protocol, creates the topics to write, and makes the broker abort
// what a predecessor in this slot has left open: else readers and the group's offsets would wait for that transaction's time-out.
func (k *Kafka) prepare(ctx context.Context) (map[string]kafka.Topic, error) {
	opts := append(kafka.Observed(k.opts, k.o.Clients, k.o.Stream+" preparing", k.log), kgo.MetadataMinAge(metadataAge))
	if k.exactlyOnce() {
		opts = append(opts, k.transactions()...)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	defer client.Close()
	topics, err := kafka.WaitForTopics(ctx, client, k.o.Topics, k.note, k.log)
	if err != nil {
		return nil, fmt.Errorf("wait for topics: %w", err)
	}
	for name, t := range topics {
		k.identify(name, k.known[name], t.ID)
		k.known[name] = t.ID
	}
	if k.o.Config.GroupProtocol == Consumer {
		if err := kafka.WaitForConsumerGroups(ctx, client, k.note, k.log); err != nil {
			return nil, fmt.Errorf("wait for brokers: %w", err)
		}
	}
	partitions := int32(1)
	for _, t := range topics {
		partitions = max(partitions, t.Partitions)
	}
	if err := kafka.EnsureTopics(ctx, client, partitions, k.o.Outputs, k.log); err != nil {
		return nil, err
	}
	if !k.exactlyOnce() {
		return topics, nil
	}
	fence, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	if _, _, err := client.ProducerID(fence); err != nil {
		return nil, fmt.Errorf("take over transactional id %s: %w", k.transactional, err)
	}
	return topics, nil
}

func (k *Kafka) exactlyOnce() bool { return k.o.Config.Delivery == ExactlyOnce }

// transactions are the options of a client that writes in transactions. One stays open from its first message on, for up to the time
// between two commits.
func (k *Kafka) transactions() kafka.Options {
	return kafka.Options{kgo.TransactionalID(k.transactional), kgo.TransactionTimeout(transactionWait + k.o.Config.CommitEvery)}
}

// identify compares a topic's id with the one it had. Another means that the topic was deleted and made anew: another log, whose state
// starts cold. That is said once.
func (k *Kafka) identify(topic string, before, now [16]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before == now || before == [16]byte{} || k.renewed[topic] == now {
		return
	}
	k.renewed[topic] = now
	k.o.Metrics.recreated.WithLabelValues(k.o.Stream).Inc()
	k.log.Warn("a topic was deleted and made anew: its state starts cold, at the new topic's first record",
		"topic", topic, "before", kafka.Topic{ID: before}.HexID(), "now", kafka.Topic{ID: now}.HexID())
}

// anew says that a topic was made anew since the group read it.
func (k *Kafka) anew(topic string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, anew := k.renewed[topic]
	return anew
}

// closeClient closes the client, or gives up on that.
func closeClient(client *kgo.Client) {
	done := make(chan struct{})
	go func() {
		client.CloseAllowingRebalance()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeTimeout):
	}
}
