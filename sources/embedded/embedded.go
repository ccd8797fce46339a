// Package embedded is a Kafka broker inside the process: for the demo, which needs no set-up, and for tests. It keeps everything in
// memory and replicates nothing.
package embedded

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker is a broker on a port of the loopback interface.
type Broker struct{ cluster *kfake.Cluster }

// Start starts a broker with these topics, of so many partitions each.
func Start(partitions int32, topics ...string) (*Broker, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...))
	if err != nil {
		return nil, fmt.Errorf("start embedded broker: %w", err)
	}
	return &Broker{cluster}, nil
}

// Addresses are host:port.
func (b *Broker) Addresses() []string { return b.cluster.ListenAddrs() }

// Close ends the broker and all that it holds.
func (b *Broker) Close() { b.cluster.Close() }
