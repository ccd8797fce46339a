package sources

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const (
	input      = "in"
	alerts     = "in.alerts"
	group      = "g"
	partitions = 4
)

// TestMain runs more tests at once than there are processors: they wait more than they compute. Where they are to have real services those on
// kfake are left out: they are what they are without.
func TestMain(m *testing.M) {
	defaults := map[string]string{"test.parallel": "8"}
	if local.Integration {
		defaults["test.run"] = "^TestReal"
	}
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { delete(defaults, f.Name) })
	for name, value := range defaults {
		_ = flag.Set(name, value)
	}
	os.Exit(m.Run())
}

// world is a broker with a topic of records, and the checkpoints of those who read it.
type world struct {
	testing.TB
	cluster *kfake.Cluster // nil with a real broker
	brokers []string
	opts    kafka.Options
	client  *kgo.Client
	admin   *kadm.Client
	store   *store
	sent    int
	log     []*kgo.Record // what produce has written
}

func newWorld(t *testing.T, topics ...string) *world {
	t.Helper()
	return newWorldWith(t, kfake.SeedTopics(partitions, topics...))
}

func newWorldWith(t *testing.T, cluster ...kfake.Opt) *world {
	t.Helper()
	t.Parallel()
	return newWorldOf(t, cluster...)
}

func newWorldOf(t testing.TB, with ...kfake.Opt) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2), kfake.BrokerConfigs(map[string]string{
		"group.consumer.heartbeat.interval.ms": "200", "group.consumer.min.session.timeout.ms": "6000", "group.consumer.session.timeout.ms": "6000",
	})}, with...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := newWorldAt(t, cluster.ListenAddrs()...)
	w.cluster = cluster
	return w
}

// newWorldAt is one of brokers that run.
func newWorldAt(t testing.TB, brokers ...string) *world {
	t.Helper()
	opts, err := kafka.Config{Brokers: brokers}.Options()
	if err != nil {
		t.Fatal(err)
	}
	opts = append(opts, kgo.MetadataMinAge(100*time.Millisecond)) // topics come and go
	w := &world{TB: t, brokers: brokers, opts: opts, store: &store{saved: map[pipeline.Partition][]machine{}}}
	w.client = w.newClient()
	w.admin = kadm.NewClient(w.client)
	return w
}

func (w *world) newClient(opts ...kgo.Opt) *kgo.Client {
	w.Helper()
	client, err := kgo.NewClient(append(slices.Clone(w.opts), opts...)...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	return client
}

// produce writes n records.
func (w *world) produce(n int) {
	w.Helper()
	var records []*kgo.Record
	for range n {
		records = append(records, &kgo.Record{Topic: input, Key: fmt.Appendf(nil, "key-%d", w.sent%97), Value: fmt.Appendf(nil, "value %d", w.sent)})
		w.sent++
	}
	if err := w.client.ProduceSync(w.Context(), records...).FirstErr(); err != nil {
		w.Fatal(err)
	}
	w.log = append(w.log, records...)
}

// produceTransactions writes 20 records in a transaction that is committed, and in one that is aborted: what markers are left by is the
// last that stands in the log.
func (w *world) produceTransactions() {
	w.Helper()
	client := w.newClient(kgo.TransactionalID("producer"))
	for _, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			w.Fatal(err)
		}
		for i := range 20 {
			if err := client.ProduceSync(w.Context(), &kgo.Record{Topic: input, Key: fmt.Append(nil, i), Value: fmt.Append(nil, "transactional ", commit, i)}).FirstErr(); err != nil {
				w.Fatal(err)
			}
		}
		if err := client.EndTransaction(w.Context(), commit); err != nil {
			w.Fatal(err)
		}
	}
}

// caughtUp waits until the group has committed all there is.
func (w *world) caughtUp() {
	w.Helper()
	w.eventually("the group has caught up", w.behind)
}

// behind says what the group has yet to commit, nil for nothing.
func (w *world) behind() error { return w.behindIn(func(int32) bool { return true }) }

// behindIn is behind for some partitions.
func (w *world) behindIn(which func(id int32) bool) error {
	ends, err := w.admin.ListCommittedOffsets(w.Context(), input)
	if err != nil {
		return err
	}
	committed, err := w.admin.FetchOffsets(w.Context(), group)
	if err != nil {
		return err
	}
	ends.Each(func(end kadm.ListedOffset) {
		if c, ok := committed.Lookup(end.Topic, end.Partition); which(end.Partition) && end.Offset > 0 && (!ok || c.At != end.Offset) {
			err = fmt.Errorf("%s/%d: committed %d of %d", end.Topic, end.Partition, c.At, end.Offset)
		}
	})
	return err
}

func (w *world) eventually(what string, check func() error) {
	w.Helper()
	eventually(w.TB, what, check)
}

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	var err error
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not so: %v", what, err)
}

// grow adds partitions to the input, and waits until the feed has written to each of them.
func (w *world) grow(more int) {
	w.Helper()
	if _, err := w.admin.CreatePartitions(w.Context(), more, input); err != nil {
		w.Fatal(err)
	}
	w.eventually("the new partitions have records", func() error {
		w.client.ForceMetadataRefresh()
		ends, err := w.admin.ListEndOffsets(w.Context(), input)
		if err != nil {
			return err
		}
		for id := range int32(partitions + more) {
			if end, ok := ends.Lookup(input, id); !ok || end.Offset == 0 {
				return fmt.Errorf("partition %d has none", id)
			}
		}
		return nil
	})
}

// replay folds the whole input, as a process would that nothing disturbs.
func (w *world) replay() map[string]bool {
	w.Helper()
	records, err := kafka.ReadAll(w.Context(), w.opts, input)
	if err != nil {
		w.Fatal(err)
	}
	return w.fold(records)
}

// replayOwn folds what produce has written, and nothing else that stands in the topic.
func (w *world) replayOwn() map[string]bool {
	w.Helper()
	var records []kafka.Record
	for _, r := range w.log {
		records = append(records, kafka.Record{Partition: r.Partition, Offset: r.Offset, Value: r.Value})
	}
	slices.SortFunc(records, func(a, b kafka.Record) int { return cmp.Compare(a.Offset, b.Offset) })
	return w.fold(records)
}

func (w *world) fold(records []kafka.Record) map[string]bool {
	w.Helper()
	machines, ids := map[int32]*machine{}, map[string]bool{}
	topics, err := w.admin.ListTopics(w.Context(), input)
	if err != nil {
		w.Fatal(err)
	}
	id := kafka.Topic{ID: topics[input].ID}.HexID()
	for _, r := range records {
		m := machines[r.Partition]
		if m == nil {
			m = &machine{}
			machines[r.Partition] = m
		}
		p := pipeline.Partition{Topic: input, TopicID: id, ID: r.Partition}
		if id, fired := m.fold(p, &pipeline.Record{Offset: r.Offset, Value: r.Value}); fired {
			ids[id] = true
		}
	}
	return ids
}

// alerts are how often each id stands in the alerts topic for a reader of committed records.
func (w *world) alerts() map[string]int {
	w.Helper()
	records, err := kafka.ReadAll(w.Context(), w.opts, alerts)
	if err != nil {
		w.Fatal(err)
	}
	ids := map[string]int{}
	for _, r := range records {
		ids[string(r.Value)]++
	}
	return ids
}

// compare checks that the alerts are those of a replay, each once.
func (w *world) compare() {
	w.Helper()
	w.compareWith(w.replay())
}

// compareAtLeast checks that the alerts are those of a replay, each at least once, and returns how many are there more than once.
func (w *world) compareAtLeast() (doubled int) {
	w.Helper()
	want := w.replay()
	lost, wrong, doubled := w.differences(want)
	if lost+wrong > 0 || len(want) == 0 {
		w.Errorf("of %d alerts %d are lost, %d wrong", len(want), lost, wrong)
	}
	return doubled
}

func (w *world) compareWith(want map[string]bool) {
	w.Helper()
	if lost, wrong, doubled := w.differences(want); lost+wrong+doubled > 0 || len(want) == 0 {
		w.Errorf("of %d alerts %d are lost, %d wrong, %d doubled; first wanted %v", len(want), lost, wrong, doubled, slices.Sorted(maps.Keys(want))[:min(3, len(want))])
	}
}

func (w *world) differences(want map[string]bool) (lost, wrong, doubled int) {
	w.Helper()
	got := w.alerts()
	for id := range want {
		if got[id] == 0 {
			lost++
		}
	}
	for id, n := range got {
		if !want[id] {
			wrong++
		}
		if n > 1 {
			doubled++
		}
	}
	return lost, wrong, doubled
}

// feed writes records, a few at a time, until it is stopped.
func (w *world) feed() (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			w.produce(50 + rand.IntN(50)) //nolint:gosec // any pace will do
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// contains says that an error says so.
func contains(err error, text string) error {
	if err == nil || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("%v, want one that says %q", err, text)
	}
	return nil
}
