package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Raw reads so many records of a topic with the bare client, which decodes nothing, and returns how long that took: the floor of what any
// consumer can do. It is a process of its own, so that its CPU can be told.
func Raw(ctx context.Context, opts kafka.Options, topic string, events int64) (time.Duration, error) {
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	begin := time.Now()
	for n := int64(0); n < events; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, err
		}
		n += int64(fetches.NumRecords())
	}
	return time.Since(begin), nil
}

// raw runs Raw in its process.
func raw(ctx context.Context, o Options, brokers, topic string) (took, cpu time.Duration, err error) {
	args := append(slices.Clone(o.Program), "bench", "raw", "--brokers", brokers, "--topic", topic, "--events", fmt.Sprint(o.Events))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // this program itself
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("raw consume: %w", err)
	}
	if err := json.Unmarshal(out, &took); err != nil {
		return 0, 0, fmt.Errorf("raw consume: %w", err)
	}
	return took, spent(cmd.ProcessState), nil
}
