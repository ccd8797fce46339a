package kafka

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Register registers the metrics that a client has, but for their label client, for who lists them: no client lasts, and nothing is connected
// to.
func Register(reg prometheus.Registerer) error {
	newSecurity(reg)
	client, err := kgo.NewClient(kgo.SeedBrokers("localhost:1"), kgo.WithHooks(kprom.NewMetrics(clientMetrics, kprom.Registerer(reg))))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	client.Close()
	return nil
}
