package embedded

import (
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// The broker is reached over its port like any other, and is gone when it is closed.
func TestBroker(t *testing.T) {
	b, err := Start(3, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	opts, err := kafka.Config{Brokers: b.Addresses()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics, err := kafka.WaitForTopics(t.Context(), client, []string{"a", "b"}, func(err error) { t.Error(err) }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, topic := range topics {
		if topic.Partitions != 3 {
			t.Errorf("topic %s has %d partitions, want 3", name, topic.Partitions)
		}
	}
	b.Close()
	if err := client.Ping(t.Context()); err == nil {
		t.Error("a closed broker answers")
	}
}
