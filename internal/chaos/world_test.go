//go:build chaos && unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const (
	input      = "in"
	partitions = 6
	machines   = 60
	prefix     = "chaos" // of the keys in Redis
)

// streams read the input each at its own pace: one judges records, the other windows. Alerts are frequent, because each is a chance to
// lose it; checkpoints are, because each is a chance to come back from it. Both read what both probers write.
const streams = `
kafka: {brokers: ["${KAFKA_BROKERS:-localhost:9092}"]}
redis: {address: "${REDIS_ADDR:-localhost:6379}", key_prefix: "chaos${RUN:-}"}
instance: "${INSTANCE:-}"
checkpoints: {every: 1s}
streams:
  - name: points
    topics: [in]<probe>
    group: "points${RUN:-}"
    decode: {key: machine, time: {field: ts, unit: ms}, max_ahead: 87600h, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: metric, values: [temp]}, {kind: ewma, half_life: 30}]
    drift: [{kind: adwin, on: scores}, {kind: page_hinkley, on: values}]
    alert: {false_alarms: 1 per 50 points, cool_down: 10m, topic: "points${RUN:-}.alerts"}
  - name: windows
    topics: [in]<probe>
    group: "windows${RUN:-}"
    decode: {key: machine, time: {field: ts, unit: ms}, max_ahead: 87600h, values: [temp, load]}
    window: {every: 5m, aggregate: [count, mean, p99], lateness: 2m}
    detectors: [{kind: ewma, half_life: 30}]
    drift: [{kind: page_hinkley, on: scores}]
    alert: {false_alarms: 1 per 20 points, cool_down: 5 points, topic: "windows${RUN:-}.alerts"}
sinks: [{kind: redis, max_length: 1000000000}]
`

// world is all that a run consists of.
type world struct {
	testing.TB
	begin   time.Time
	dir     string // of logs and data; it stays when the test fails
	binary  string
	config  string // file
	streams []config.Stream
	cluster *local.Cluster
	redis   *pair
	network *network
	direct  kafka.Options // past the proxies
	admin   *kadm.Client
	slots   []*slot

	mu       sync.Mutex
	struck   map[string]hits // by kind of fault
	exits    int
	cutShort int
	hung     int
}

var instances = []string{"one", "two", "three"}

func newWorld(t testing.TB, brokers int) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "gonomaly-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, begin: time.Now(), dir: dir, network: newNetwork(), struck: map[string]hits{}}
	t.Cleanup(func() {
		if t.Failed() {
			w.say("what happened is in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w.binary, w.config = filepath.Join(dir, "gonomaly"), filepath.Join(dir, "gonomaly.yaml")
	if err := w.configure(false); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.streams = c.Streams
	if out, err := exec.Command("go", "build", "-o", w.binary, "../../cmd/gonomaly").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	w.startServers(brokers)
	if err := kafka.Create(t.Context(), w.direct, partitions, input); err != nil {
		t.Fatal(err)
	}
	return w
}

// configure writes the configuration, with probes or without.
func (w *world) configure(probe bool) error {
	more := ""
	if probe {
		more = "\n    probe: {every: 1s, timeout: 10s}"
	}
	return os.WriteFile(w.config, []byte(strings.ReplaceAll(streams, "<probe>", more)), 0o600)
}

// probesReturn is nil once probes of every process and stream have returned that were still under way at a time, or sent since.
func (w *world) probesReturn(since time.Time) error {
	for _, s := range w.slots {
		m, err := s.process().metrics(w.Context())
		if err != nil {
			return err
		}
		for _, stream := range w.streams {
			if at := m.sum("gonomaly_probe_last_return_timestamp_seconds", "stream", stream.Name); at < float64(since.Unix()+1) {
				return fmt.Errorf("the last probe of %s, stream %s, returned at %v", s.name, stream.Name, at)
			}
		}
	}
	return nil
}

// stopProbing has the processes write no more probes, so that all can be caught up with.
func (w *world) stopProbing() error {
	if err := w.configure(false); err != nil {
		return err
	}
	for _, s := range w.slots {
		if err := s.process().post(w.Context(), "/-/reload"); err != nil {
			return err
		}
	}
	return nil
}

// startServers starts Redis and the brokers. A process comes in by a listener of its own name, and so through its own proxies. Those are
// there first: the brokers' ports are chosen among those that are free.
func (w *world) startServers(brokers int) {
	w.Helper()
	w.Cleanup(w.network.close)
	c := local.ClusterConfig{Brokers: brokers, Advertise: func(broker int, listener, address string) (string, error) {
		way := toKafka(strings.ToLower(listener), broker)
		return w.network.proxies[way].Listen, w.network.lead(address, way)
	}}
	for _, name := range instances {
		c.Listeners = append(c.Listeners, strings.ToUpper(name))
		s := &slot{w: w, name: name}
		var seeds []string
		for i := range brokers {
			seeds = append(seeds, w.front(toKafka(name, i), kafkaWire, &s.watch))
		}
		s.env = []string{"INSTANCE=" + name, "REDIS_ADDR=" + w.front(toRedis(name), redisWire, &s.watch), "KAFKA_BROKERS=" + strings.Join(seeds, ",")}
		w.slots = append(w.slots, s)
	}
	var err error
	if w.redis, err = startPair(w.Context(), w.dir); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(w.redis.stop)
	if err := w.network.lead(w.redis.main.Address(), w.toEach(toRedis)...); err != nil {
		w.Fatal(err)
	}
	if w.cluster, err = local.StartCluster(w.Context(), w.dir, c); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = w.cluster.Stop() })
	if w.direct, err = (kafka.Config{Brokers: w.cluster.Addresses()}).Options(); err != nil {
		w.Fatal(err)
	}
	client, err := kgo.NewClient(append(w.direct, kgo.MetadataMinAge(250*time.Millisecond))...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	w.admin = kadm.NewClient(client)
}

func (w *world) front(name string, over wire, by *watch) (address string) {
	w.Helper()
	address, err := w.network.front(name, over, by)
	if err != nil {
		w.Fatal(err)
	}
	return address
}

func (w *world) startAll() error {
	for _, s := range w.slots {
		s.turn.Lock()
		err := s.start()
		s.turn.Unlock()
		if err != nil {
			return err
		}
		w.Cleanup(func() { _ = s.process().kill() })
	}
	return nil
}

// watch looks after the processes until the test is over: whether they are at work, and whether they are there at all.
func (w *world) watch() {
	var watching sync.WaitGroup
	for _, s := range w.slots {
		watching.Go(func() {
			for w.Context().Err() == nil {
				s.look(w.Context())
				s.revive()
				time.Sleep(200 * time.Millisecond)
			}
		})
	}
	w.Cleanup(watching.Wait)
}

// say prints a line, and keeps it with the logs.
func (w *world) say(format string, args ...any) {
	line := fmt.Sprintf("%7.2f ", time.Since(w.begin).Seconds()) + fmt.Sprintf(format, args...) + "\n"
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Print(line)
	f, err := os.OpenFile(filepath.Join(w.dir, "run.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(line)
	_ = f.Close()
}

func (w *world) count(add func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add()
}

// until polls until a check holds, and returns what it said last.
func (w *world) until(bound time.Duration, check func() error) (err error) {
	for end := time.Now().Add(bound); ; time.Sleep(100 * time.Millisecond) {
		if err = check(); err == nil || time.Now().After(end) || w.Context().Err() != nil {
			return err
		}
	}
}

// eventually polls until a check holds, or ends the test.
func (w *world) eventually(what string, bound time.Duration, check func() error) {
	w.Helper()
	if err := w.until(bound, check); err != nil {
		w.Fatalf("%s: not so after %v: %v", what, bound, err)
	}
}

// asked bounds a question to the brokers.
func (w *world) asked() (context.Context, context.CancelFunc) {
	return context.WithTimeout(w.Context(), 5*time.Second)
}

// alertsTold is nil once every stream has told something.
func (w *world) alertsTold() error {
	ctx, cancel := w.asked()
	defer cancel()
	for _, s := range w.streams {
		ends, err := w.admin.ListCommittedOffsets(ctx, s.Alert.Topic)
		if err = errors.Join(err, ends.Error()); err != nil {
			return err
		}
		told := int64(0)
		ends.Each(func(o kadm.ListedOffset) { told += o.Offset })
		if told == 0 {
			return fmt.Errorf("stream %s has told nothing", s.Name)
		}
	}
	return nil
}

// replicated returns when every partition has all its replicas in sync, so that the next broker may fail.
func (w *world) replicated() error {
	return w.until(2*time.Minute, func() error {
		ctx, cancel := w.asked()
		defer cancel()
		topics, err := w.admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		for _, t := range topics {
			for _, p := range t.Partitions {
				if p.Err != nil || len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
					return fmt.Errorf("%s/%d has %d of %d replicas in sync, leader %d: %w", t.Topic, p.Partition, len(p.ISR), len(p.Replicas), p.Leader, p.Err)
				}
			}
		}
		return nil
	})
}
