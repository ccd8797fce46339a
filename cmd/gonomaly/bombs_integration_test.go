//go:build integration && linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/sources/kafka/hostile"
)

// What a hostile record may cost.
const (
	bombMemory = 96 << 20        // bytes over what the process took before; a batch of 8 MiB that opens to 2 GiB took 45 to 73 MiB in six runs
	bombTime   = 5 * time.Second // until it is set aside; and what the other partitions may lag, on a busy machine
)

// Batches that decompress to 2 GiB, a record of 100 MiB and one of 100,000 nested levels: each is set aside, for no more memory and time
// than that, and the other partitions do not notice. A real broker takes them all where its limits are raised: it walks a batch's records
// without holding them.
func TestBombs(t *testing.T) {
	if os.Getenv(local.JarsVariable) == "" {
		t.Skip("a broker that takes such records is needed: set " + local.JarsVariable)
	}
	broker, err := local.StartCluster(t.Context(), t.TempDir(), local.ClusterConfig{Brokers: 1, Heap: 1024, Properties: []string{"socket.request.max.bytes=268435456"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Stop() })
	const gib2 = 2048 // records of a MiB
	skipped, letters := []string{"gonomaly_kafka_offsets_skipped_total"}, []string{"gonomaly_records_total", "outcome", "dead_lettered"}
	for _, c := range []struct {
		name   string
		bomb   func(w *world)
		metric []string // that counts what is set aside
		count  float64
	}{
		{"gzip", func(w *world) { w.attack(hostile.Bomb(kgo.CodecGzip, gib2)) }, skipped, gib2},
		{"snappy", func(w *world) { w.attack(hostile.Bomb(kgo.CodecSnappy, gib2)) }, skipped, gib2},
		{"lz4", func(w *world) { w.attack(hostile.Bomb(kgo.CodecLz4, gib2)) }, skipped, gib2},
		{"zstd", func(w *world) { w.attack(hostile.Bomb(kgo.CodecZstd, gib2)) }, skipped, gib2},
		{"a record of 100 MiB", func(w *world) { w.attack(hostile.Record(make([]byte, 100<<20)), nil) }, skipped, 1},
		{"nested levels", func(w *world) {
			w.attack(hostile.Record([]byte(`{"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`)), nil)
		}, letters, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			newWorldOn(t, broker.Addresses()[0]).withRedis().survive(c.bomb, c.metric, c.count)
		})
	}
}

// survive sends a bomb to partition 0 of a topic under load.
func (w *world) survive(bomb func(*world), metric []string, count float64) {
	w.Helper()
	topic := w.name + ".in"
	client := w.client()
	if _, err := kadm.NewClient(client).CreateTopic(w.Context(), 4, 1, map[string]*string{"max.message.bytes": kadm.StringPtr(strconv.Itoa(256 << 20))}, topic); err != nil {
		w.Fatal(err)
	}
	load := w.command("produce", "--topic", topic, "--rate", "4000", "--for", "10m", "--keys", "200", "--anomalies", "20")
	if err := load.Start(); err != nil {
		w.Fatal(err)
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_ = load.Wait() // it is killed
	}()
	w.Cleanup(func() {
		_ = load.Process.Kill()
		<-loaded
	})
	p := w.run(w.file("gonomaly.yaml", busy))
	w.eventually("alerts come", func() error {
		if n := p.metric("gonomaly_sink_deliveries_total", "outcome", "delivered"); n < 10 {
			return fmt.Errorf("%v", n)
		}
		return nil
	})
	time.Sleep(2 * time.Second) // the peak since the start is past
	p.resetPeak()
	time.Sleep(time.Second)
	before, alerts := p.peak(), p.metric("gonomaly_sink_deliveries_total", "outcome", "delivered")
	p.resetPeak()
	bomb(w)
	begin := time.Now()
	lag, told := 0.0, begin
	look := func() {
		lags := p.lags(topic)
		if len(lags) == 4 {
			told = time.Now()
		}
		delete(lags, "0")
		for _, one := range lags {
			lag = max(lag, one)
		}
		lag = max(lag, time.Since(told).Seconds()) // a broker that is busy with a bomb answers no scrape meanwhile
	}
	w.eventually("it is set aside", func() error {
		look()
		if n := p.metric(metric[0], metric[1:]...); n != count {
			return fmt.Errorf("%s is %v, want %v", metric, n, count)
		}
		return nil
	})
	took := time.Since(begin)
	w.eventually("alerts go on", func() error {
		look()
		if n := p.metric("gonomaly_sink_deliveries_total", "outcome", "delivered"); n < alerts+10 {
			return fmt.Errorf("%v, %v before", n, alerts)
		}
		return nil
	})
	w.eventually("its partition goes on", func() error {
		if lag, told := p.lags(topic)["0"]; !told || lag > 1 {
			return fmt.Errorf("it lags by %v s (told: %v)", lag, told)
		}
		return nil
	})
	w.eventually("ready", p.ready)
	more := p.peak() - before
	w.Logf("set aside after %v; memory at most %d MiB, %+d MiB; the other partitions lag by at most %.2f s", took.Round(time.Millisecond), p.peak()>>20, more>>20, lag)
	if took > bombTime {
		slow(w, "it took %v to set it aside, want at most %v", took, bombTime)
	}
	if more > bombMemory {
		w.Errorf("it took %d MiB, want at most %d", more>>20, bombMemory>>20)
	}
	if lag > bombTime.Seconds() {
		slow(w, "the other partitions lag by %.1f s, want at most %v", lag, bombTime)
	}
	if n := p.metric("gonomaly_kafka_client_rebuilds_total"); n > 0 {
		w.Errorf("%v clients were made anew", n)
	}
}

// client is one for what the service's own cannot do.
func (w *world) client() *kgo.Client {
	w.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.BrokerMaxWriteBytes(512 << 20), kgo.RequestTimeoutOverhead(time.Minute)}, w.opts...)...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	return client
}

// attack writes a batch to partition 0.
func (w *world) attack(b hostile.Batch, err error) {
	w.Helper()
	begin := time.Now()
	if err == nil {
		err = hostile.Write(w.Context(), w.client(), w.name+".in", 0, b)
	}
	if err != nil {
		w.Fatalf("write a batch of %d KiB: %v", len(b.Data)>>10, err)
	}
	w.Logf("the broker took a batch of %d KiB in %v", len(b.Data)>>10, time.Since(begin).Round(time.Millisecond))
}

// resetPeak has the kernel measure the peak of resident memory anew.
func (p *process) resetPeak() {
	p.w.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0o600); err != nil {
		p.w.Fatal(err)
	}
}

// peak is the most that was resident since then, in bytes.
func (p *process) peak() int64 {
	p.w.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.w.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		p.w.Fatal(err)
	}
	return kib << 10
}

// lags are the partitions of a topic with their time lags, in seconds: of those that are told, for it takes a broker that answers.
func (p *process) lags(topic string) map[string]float64 {
	p.w.Helper()
	lags := map[string]float64{}
	for _, m := range p.families()["gonomaly_time_lag_seconds"].GetMetric() {
		labels := labelsOf(m)
		if labels["topic"] == topic {
			lags[labels["partition"]] = m.GetGauge().GetValue()
		}
	}
	return lags
}
