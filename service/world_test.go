package service_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const partitions = 2

// world is a broker, a folder, and the configuration of the processes that run in it.
type world struct {
	*testing.T
	broker  *embedded.Broker
	address string
	opts    kafka.Options
	client  *kgo.Client
	dir     string
	fleet   *generate.Fleet
	sent    int64

	mu   sync.Mutex
	yaml string
}

func newWorld(t *testing.T, yaml string, topics ...string) *world {
	t.Helper()
	t.Parallel()
	broker, err := embedded.Start(partitions, topics...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	opts, err := kafka.Config{Brokers: broker.Addresses()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	fleet, err := generate.NewFleet(generate.FleetConfig{
		Seed: 1, Machines: 5, Anomalies: 40, WarmUp: 100, Start: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, broker: broker, address: broker.Addresses()[0], opts: opts, client: client, dir: t.TempDir(), fleet: fleet, yaml: yaml}
}

// load is what a process loads: the configuration with $BROKERS and $DIR filled in.
func (w *world) load() (*config.Config, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	env := map[string]string{"BROKERS": w.address, "DIR": w.dir}
	return config.Parse("g.yaml", []byte(w.yaml), func(name string) (string, bool) { value, ok := env[name]; return value, ok })
}

// edit replaces texts, old and new in turn, in the configuration.
func (w *world) edit(oldnew ...string) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	edited := strings.NewReplacer(oldnew...).Replace(w.yaml)
	if edited == w.yaml {
		w.Fatalf("nothing of %q stands in the configuration", oldnew)
	}
	w.yaml = edited
}

// configure sets the configuration that the next load finds.
func (w *world) configure(yaml string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.yaml = yaml
}

// stream is that of the configuration as it stands.
func (w *world) stream(name string) config.Stream {
	w.Helper()
	c, err := w.load()
	if err != nil {
		w.Fatal(err)
	}
	i := slices.IndexFunc(c.Streams, func(s config.Stream) bool { return s.Name == name })
	if i < 0 {
		w.Fatalf("no stream %s", name)
	}
	return c.Streams[i]
}

// produce writes the fleet's next n events, and a record that nobody can decode to each partition.
func (w *world) produce(topic string, n int64) {
	w.Helper()
	rest := func(yield func(generate.Event) bool) {
		i := int64(0)
		for e := range w.fleet.Events() {
			if i++; i > w.sent && !yield(e) {
				return
			}
		}
	}
	p := generate.Producer{Topic: topic, Events: n}
	if done, err := p.Run(w.Context(), w.opts, rest); err != nil || done.Events != n {
		w.Fatalf("produced %d events, %v, want %d", done.Events, err, n)
	}
	w.sent += n
	manual, err := kgo.NewClient(append(slices.Clone(w.opts), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		w.Fatal(err)
	}
	defer manual.Close()
	for i := range int32(partitions) {
		if err := manual.ProduceSync(w.Context(), &kgo.Record{Topic: topic, Partition: i, Value: []byte("no JSON")}).FirstErr(); err != nil {
			w.Fatal(err)
		}
	}
}

// committed are the offsets of a stream's group in its topic.
func (w *world) committed(s config.Stream) map[int32]int64 {
	w.Helper()
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.Context(), s.Group)
	if err != nil {
		w.Fatal(err)
	}
	at := map[int32]int64{}
	offsets.Each(func(o kadm.OffsetResponse) { at[o.Partition] = o.At })
	return at
}

// fold is what the workers of a stream say of the whole log, as if no probe stood in it: the ids of the alerts that records at or above from lead to.
func (w *world) fold(s config.Stream, from map[int32]int64) []string {
	w.Helper()
	return w.foldChanged(s, s, from, everything)
}

// foldChanged is fold where the stream was another below the offsets at.
func (w *world) foldChanged(before, s config.Stream, from, at map[int32]int64) []string {
	w.Helper()
	var ids []string
	for _, a := range w.alerts(before, s, from, at) {
		ids = append(ids, a.ID)
	}
	return ids
}

// alerts are those of foldChanged.
func (w *world) alerts(before, s config.Stream, from, at map[int32]int64) (alerts []pipeline.Alert) {
	w.Helper()
	topics, err := kadm.NewClient(w.client).ListTopics(w.Context(), s.Topics[0])
	if err != nil {
		w.Fatal(err)
	}
	records, err := kafka.ReadAll(w.Context(), w.opts, s.Topics[0])
	if err != nil {
		w.Fatal(err)
	}
	logs := map[int32][]pipeline.Record{}
	for _, r := range records {
		if r.Headers[pipeline.ProbeHeader] != "" {
			continue
		}
		record := pipeline.Record{Offset: r.Offset, Timestamp: time.Now().UnixNano(), Key: r.Key, Value: r.Value}
		logs[r.Partition] = append(logs[r.Partition], record)
	}
	for id, records := range logs {
		p := pipeline.Partition{Topic: s.Topics[0], TopicID: kafka.Topic{ID: topics[s.Topics[0]].ID}.HexID(), ID: id}
		old, err1 := pipeline.NewWorker(before.Name, before.Config, p)
		worker, err2 := pipeline.NewWorker(s.Name, s.Config, p)
		if err := errors.Join(err1, err2); err != nil {
			w.Fatal(err)
		}
		changed := slices.IndexFunc(records, func(r pipeline.Record) bool { return r.Offset >= at[id] })
		messages := slices.Clone(old.Process(records[:changed], from[id]))
		state, err := old.AppendBinary(nil)
		if err == nil {
			err = worker.UnmarshalBinary(state)
		}
		if err != nil {
			w.Fatal(err)
		}
		for _, m := range append(messages, worker.Process(records[changed:], from[id])...) {
			if m.Topic == s.Alert.Topic {
				alerts = append(alerts, alertOf(w.T, m.Value))
			}
		}
	}
	return alerts
}

func alertOf(t *testing.T, event []byte) pipeline.Alert {
	t.Helper()
	a, err := pipeline.ParseAlert(event)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// told are the ids of the alerts in a topic.
func (w *world) told(topic string) (ids []string) {
	w.Helper()
	for _, a := range w.toldAlerts(topic) {
		ids = append(ids, a.ID)
	}
	return ids
}

// toldAlerts are the alerts in a topic.
func (w *world) toldAlerts(topic string) (alerts []pipeline.Alert) {
	w.Helper()
	records, err := kafka.ReadAll(w.Context(), w.opts, topic)
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range records {
		if r.Headers[pipeline.ProbeHeader] == "" {
			alerts = append(alerts, alertOf(w.T, r.Value))
		}
	}
	return alerts
}

// written are the ids of the alerts in a file.
func (w *world) written(file string) []string {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, file))
	if err != nil {
		w.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		ids = append(ids, alertOf(w.T, []byte(line)).ID)
	}
	return ids
}

// wantOnce waits until all records of the streams are processed, and wants that each alert stands in the alerts topic, and then in the
// file, once.
func (w *world) wantOnce(file string, want []string, streams ...string) {
	w.Helper()
	var told []string
	for _, name := range streams {
		s := w.stream(name)
		w.caughtUp(s)
		told = append(told, w.told(s.Alert.Topic)...)
	}
	w.compare("the alerts topics", told, want)
	w.eventually("the file has the alerts", func() error {
		if n := len(w.written(file)); n < len(want) {
			return fmt.Errorf("%d of %d", n, len(want))
		}
		return nil
	})
	w.compare(file, w.written(file), want)
}

// compare says whether alerts are lost, wrong or doubled.
func (w *world) compare(where string, got, want []string) {
	w.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if len(want) == 0 || !slices.Equal(got, want) {
		w.Errorf("%s: %d alerts, %d of them different, want %d", where, len(got), len(slices.Compact(got)), len(want))
	}
}

// caughtUp waits until a stream has committed all there is.
func (w *world) caughtUp(s config.Stream) {
	w.Helper()
	w.eventually("stream "+s.Name+" has caught up", func() error {
		n, err := kafka.Behind(w.Context(), w.opts, s.Group, s.Topics...)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d records to go", n)
		}
		return err
	})
}

func (w *world) eventually(what string, check func() error) {
	w.Helper()
	var err error
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	w.Fatalf("%s: not so: %v", what, err)
}

func (w *world) createTopic(name string) {
	w.Helper()
	if _, err := kadm.NewClient(w.client).CreateTopic(w.Context(), partitions, 1, nil, name); err != nil {
		w.Fatal(err)
	}
}

// members are how many a consumer group has.
func (w *world) members(group string) int {
	w.Helper()
	groups, err := kadm.NewClient(w.client).DescribeGroups(w.Context(), group)
	if err != nil {
		w.Fatal(err)
	}
	return len(groups[group].Members)
}
