//go:build integration && unix

package main

import (
	"fmt"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What the path must do on two cores, broker and Redis included.
const (
	leastEvents = 300_000 // a second
	mostMemory  = 512     // MiB
)

// BenchmarkPath runs the whole path, as create configures it, over 2 M records of 186 bytes (10,000 keys, 4 partitions, five fields by
// EWMA, exactly once, checkpoints in Redis), and beside it a bare client that reads the same topic and decodes nothing. It fails where
// the path is slower or larger than it must be.
func BenchmarkPath(b *testing.B) {
	const events, keys = 2_000_000, 10_000
	w := newWorld(b).withRedis()
	topic := w.name + ".in"
	w.gonomaly("produce", "--topic", topic, "--events", strconv.Itoa(events), "--keys", strconv.Itoa(keys), "--anomalies", "1")
	config := w.file("gonomaly.yaml", w.gonomaly("create", "metrics", "--detector", "ewma", "--from", topic))
	for n := 0; b.Loop(); n++ {
		raw := w.rawConsume(topic, events)
		group := fmt.Sprintf("%s.%d", w.name, n)
		p := w.run(config, "GONOMALY_TOPIC="+topic, "GONOMALY_GROUP="+group, "GONOMALY_ALERTS_TOPIC="+group+".alerts", "GONOMALY_INSTANCE="+group)
		begin := time.Now()
		w.caughtUp(group, topic)
		elapsed := time.Since(begin) // joining the group included
		took := p.terminate()
		usage := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
		cpu := p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
		rate, memory := events/elapsed.Seconds(), float64(usage.Maxrss)/1024 // Maxrss is in KiB
		if rate < leastEvents || memory > mostMemory {
			b.Errorf("%.0f events/s in %.0f MiB, want %d or more in at most %d MiB", rate, memory, leastEvents, mostMemory)
		}
		b.ReportMetric(rate, "events/s")
		b.ReportMetric(rate/raw, "of_raw_consume")
		b.ReportMetric(float64(cpu.Microseconds())/events, "cpu_µs/event")
		b.ReportMetric(memory, "peak_RSS_MiB")
		b.ReportMetric(float64(len(w.alerts(group+".alerts"))), "alerts")
		b.ReportMetric(took.Seconds(), "drain_s")
	}
}

// rawConsume returns how many records a second a bare client reads.
func (w *world) rawConsume(topic string, events int) float64 {
	w.Helper()
	client, err := kgo.NewClient(append(slices.Clone(w.opts), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	begin := time.Now()
	for n := 0; n < events; {
		fetches := client.PollFetches(w.Context())
		if err := fetches.Err(); err != nil {
			w.Fatal(err)
		}
		n += fetches.NumRecords()
	}
	return float64(events) / time.Since(begin).Seconds()
}
