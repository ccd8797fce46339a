package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Reading is what it took to read a topic.
type Reading struct {
	Took  time.Duration `json:"took_ns"`
	Pause time.Duration `json:"pause_ns"` // the longest of the last 256 in which the garbage collector stopped all
}

// Raw reads so many records of a topic with the bare client, which decodes nothing: the floor of what any consumer can do. It is a process
// of its own, so that its CPU can be told.
func Raw(ctx context.Context, opts kafka.Options, topic string, events int64) (r Reading, err error) {
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return r, err
	}
	defer client.Close()
	begin := time.Now()
	for n := int64(0); n < events; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return r, err
		}
		n += int64(fetches.NumRecords())
	}
	r.Took = time.Since(begin)
	var collected debug.GCStats
	debug.ReadGCStats(&collected)
	r.Pause = slices.Max(append(collected.Pause, 0))
	return r, nil
}

// raw runs Raw in its process.
func raw(ctx context.Context, o Options, brokers, topic string) (r Reading, cpu time.Duration, err error) {
	args := append(slices.Clone(o.Program), "bench", "raw", "--brokers", brokers, "--topic", topic, "--events", fmt.Sprint(o.Events))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // this program itself
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, 0, fmt.Errorf("raw consume: %w", err)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, 0, fmt.Errorf("raw consume: %w", err)
	}
	return r, spent(cmd.ProcessState), nil
}
