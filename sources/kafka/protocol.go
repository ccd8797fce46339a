package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What only brokers of Kafka 4.3 answer. Those before it have consumer groups too, but a commit beside a heartbeat may fail there in a
// way that no client can mend.
const (
	heartbeatVersion = 1
	logDirsVersion   = 5 // of DescribeLogDirs, the one request that grew with 4.3
)

// WaitForConsumerGroups returns once every broker that answers knows consumer groups (KIP-848) as of Kafka 4.3, and they are switched on.
// While that is not so, missing is told why. The client by itself would fall back to the classic protocol in silence.
func WaitForConsumerGroups(ctx context.Context, client *kgo.Client, missing func(error), log *slog.Logger) error {
	admin := kadm.NewClient(client)
	var said time.Time
	for {
		err := consumerGroups(ctx, admin)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		missing(err)
		if time.Since(said) >= sayMissing {
			log.Error("waiting for brokers that know consumer groups", "error", err)
			said = time.Now()
		}
		select {
		case <-time.After(pollTopics):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func consumerGroups(ctx context.Context, admin *kadm.Client) error {
	asked, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	brokers, err := admin.ApiVersions(asked)
	if err != nil {
		return fmt.Errorf("ask the brokers for their versions: %w", err)
	}
	answered := false
	var failed error
	for _, b := range brokers.Sorted() {
		if b.Err != nil {
			failed = fmt.Errorf("ask broker %d for its versions: %w", b.NodeID, b.Err)
			continue
		}
		answered = true
		version, known := b.KeyMaxVersion(int16(kmsg.ConsumerGroupHeartbeat))
		on := false
		for _, f := range b.Raw().FinalizedFeatures {
			on = on || f.Name == "group.version" && f.MaxVersionLevel >= 1
		}
		if logDirs, _ := b.KeyMaxVersion(int16(kmsg.DescribeLogDirs)); !known || version < heartbeatVersion || logDirs < logDirsVersion {
			return fmt.Errorf("group_protocol consumer (KIP-848) wants Kafka 4.3 or newer, and broker %d is older: upgrade it, or set group_protocol to classic", b.NodeID)
		}
		if !on {
			return errors.New("group_protocol consumer (KIP-848) is switched off in this cluster: raise its feature group.version to 1, or set group_protocol to classic")
		}
	}
	if !answered {
		return failed
	}
	return nil
}
