package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRedisFailsAtRandom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env.Redis.AddHook(flaky{0.08})
	w.produce(1000)
	w.run("redis")
	w.wantOnce()
	if n := testutil.ToFloat64(w.metrics.retries.WithLabelValues("redis")); n < 10 {
		t.Errorf("%v retries, want some: the test did not test", n)
	}
	w.eventually(func() bool {
		return testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("redis", delivered)) == 1000
	})
}

// Redis loses everything while alerts keep coming; and then while none come.
func TestRedisIsFlushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("redis")
	w.produce(301)
	w.eventually(func() bool { return len(w.inStream()) > 100 })
	w.redis.FlushAll()
	w.produce(200)
	w.wantOnce()
	w.redis.FlushAll()
	w.wantOnce()
	if n := testutil.ToFloat64(w.metrics.rewinds.WithLabelValues("redis")); n == 0 {
		t.Error("that it was read back is not counted")
	}
}

// Redis comes back with an older state, as after a fail-over: what it lacks is filled in, what it has is not repeated.
func TestRedisLosesTheLastWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, stop := w.run("redis")
	w.produce(100)
	w.wantOnce()
	stop()
	field := ""
	fields, _ := w.redis.HKeys("gonomaly:positions")
	for _, f := range fields {
		if w.redis.HGet("gonomaly:positions", f) > "0" {
			field = f
		}
	}
	// The last two entries of one partition are undone, position and all.
	position := w.redis.HGet("gonomaly:positions", field)
	var n int
	_, _ = fmt.Sscan(position, &n)
	var id int32
	_, _ = fmt.Sscan(field[strings.LastIndex(field, "/")+1:], &id)
	lost := w.read(topic, id)[n-2:]
	entries, _ := w.redis.Stream("gonomaly:alerts")
	for _, e := range slices.Clone(entries) { // they move as one is deleted
		for _, r := range lost {
			if e.Values[3] == string(r.Value) {
				if err := w.env.Redis.XDel(t.Context(), "gonomaly:alerts", e.ID).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	w.redis.HSet("gonomaly:positions", field, fmt.Sprint(n-2))
	if got := len(w.inStream()); got != 98 {
		t.Fatalf("%d entries before the restart, want 98", got)
	}
	w.run("redis")
	w.wantOnce()
}

// read returns a partition's records.
func (w *world) read(topic string, id int32) []*kgo.Record {
	w.Helper()
	c, err := kgo.NewClient(append(w.kafka, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {id: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(w.Context(), topic)
	if err != nil {
		w.Fatal(err)
	}
	end, _ := ends.Lookup(topic, id)
	var all []*kgo.Record
	for int64(len(all)) < end.Offset {
		all = append(all, c.PollFetches(w.Context()).Records()...)
	}
	return all
}

func TestRestartInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, enough := range []int{50, 150, 250} {
		_, stop := w.run("redis", "stdout")
		w.produce(100)
		w.eventually(func() bool { return len(w.inStream()) > enough })
		stop()
	}
	_, stop := w.run("redis", "stdout")
	w.wantOnce()
	w.eventually(func() bool { return len(distinct(w.stdout.ids(t))) == len(w.ids) }) // at least once
	stop()
	// The offsets are committed: nobody delivers anything again.
	before := len(w.stdout.ids(t))
	w.run("stdout")
	w.produce(1)
	w.eventually(func() bool { return slices.Contains(w.stdout.ids(t), w.ids[len(w.ids)-1]) })
	if got := len(w.stdout.ids(t)); got != before+1 {
		t.Errorf("%d lines after a clean restart and one more alert, want %d", got, before+1)
	}
}

func distinct(ids []string) []string { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// A sink that is down says so, and holds up nobody else; when it is back it gets everything, in order.
func TestStoppedRedisStallsOnlyItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.redis.Close()
	r, _ := w.run("redis", "stdout")
	w.produce(600)
	w.eventually(func() bool { return len(w.stdout.ids(t)) == 600 })
	w.eventually(func() bool {
		return strings.Contains(trouble(r), "connection refused [unreachable: start Redis, or correct address; ")
	})
	if s := r.Status(); s[0].Ready || !s[1].Ready {
		t.Errorf("Status() = %+v, want redis not ready and stdout ready", s)
	}
	w.eventually(func() bool { return w.lag("redis") == 600 && w.lag("stdout") == 0 })
	w.eventually(func() bool { return testutil.ToFloat64(w.metrics.breaker.WithLabelValues("redis")) == 2 })
	w.eventually(func() bool { return w.oldest("redis") > 0 && w.oldest("stdout") == 0 })
	if n := testutil.ToFloat64(w.metrics.failures.WithLabelValues("redis")); n < failuresToOpen {
		t.Errorf("%v attempts have failed, want %d or more: the breaker is open", n, failuresToOpen)
	}
	if err := w.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	w.wantOnce()
	w.eventually(func() bool { return trouble(r) == "" && w.lag("redis") == 0 })
}

// A router that takes another's place, as in a reload, is made while that one runs, and tells of its own breakers: that the other's were open
// last would be told for ever.
func TestBreakerIsOfTheRouterThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	breaker := func() float64 { return testutil.ToFloat64(w.metrics.breaker.WithLabelValues("redis")) }
	w.redis.Close()
	_, stop := w.run("redis")
	w.produce(10)
	w.eventually(func() bool { return breaker() == 2 })
	successor := w.router(ofKinds("redis"))
	w.eventually(func() bool { return breaker() == 2 })
	stop()
	if err := w.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() bool { return w.env.Redis.Ping(t.Context()).Err() == nil })
	w.start(successor)
	w.wantOnce()
	if state := breaker(); state != 0 {
		t.Errorf("the breaker is told to be in state %v, and all is delivered", state)
	}
}

// What retention has deleted waits for nobody: a sink that begins behind it, or was flushed, has nothing to deliver.
func TestDeletedRecordsAreNoLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.produce(100)
	admin := kadm.NewClient(w.client)
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	w.run("redis", "stdout")
	w.eventually(func() bool { return testutil.CollectAndCount(w.metrics.lag) == 2*4 })
	time.Sleep(2 * quick.check) // the ends are known
	if redis, stdout := w.lag("redis"), w.lag("stdout"); redis != 0 || stdout != 0 {
		t.Errorf("lag of redis is %v and of stdout %v, want 0: all records are deleted", redis, stdout)
	}
}

func (w *world) oldest(sink string) (sum float64) {
	for id := range 4 {
		sum += testutil.ToFloat64(w.metrics.oldest.WithLabelValues(sink, topic, fmt.Sprint(id)))
	}
	return sum
}

func (w *world) lag(sink string) (sum float64) {
	for id := range 4 {
		sum += testutil.ToFloat64(w.metrics.lag.WithLabelValues(sink, topic, fmt.Sprint(id)))
	}
	return sum
}

// picky refuses one alert in ten.
type picky struct{ *Stdout }

type pickyConfig struct{ StdoutConfig }

func (c *pickyConfig) New(env Env) (Sink, error) {
	return picky{&Stdout{w: env.Stdout, format: formatJSON}}, nil
}

func (s picky) Send(ctx context.Context, ds []*Delivery) (int, error) {
	for n, d := range ds {
		if strings.HasSuffix(d.Alert.ID, "7") {
			return n, &Refused{d.Alert.ID, "it ends in 7"}
		}
		if _, err := s.Stdout.Send(ctx, ds[n:n+1]); err != nil {
			return n, err
		}
	}
	return len(ds), nil
}

func TestRefusedAndUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runSinks([]SinkConfig{{Name: "picky", Kind: "test", Params: &pickyConfig{StdoutConfig{formatJSON}}}})
	w.produce(50)
	junk := &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("not an alert"), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("t1")}}}
	if err := w.client.ProduceSync(t.Context(), junk).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.produce(50)
	w.eventually(func() bool { return len(w.stdout.ids(t)) == 90 })
	w.eventually(func() bool {
		return testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("picky", refused)) == 10 &&
			testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("picky", unreadable)) == 1
	})
	letters := map[string]*kgo.Record{}
	admin := kadm.NewClient(w.client)
	dead := deadLetterTopic(topic, "picky")
	topics, err := admin.ListTopics(t.Context(), dead)
	if err != nil || topics[dead].Err != nil {
		t.Fatal(err, topics[dead].Err)
	}
	for id := range topics[dead].Partitions {
		for _, r := range w.read(dead, id) {
			letters[string(r.Value)] = r
		}
	}
	if len(letters) != 11 {
		t.Fatalf("%d dead letters, want 11", len(letters))
	}
	for i := 7; i < 100; i += 10 {
		if r := letters[string(data(t, alert(i)))]; r == nil || string(r.Key) != alert(i).Key || !strings.Contains(header(r, "gonomaly.detail"), "it ends in 7") {
			t.Errorf("the dead letter of alert %d is %v", i, r)
		}
	}
	r := letters["not an alert"]
	for k, want := range map[string]string{
		"trace": "t1", "gonomaly.reason": unreadable, "gonomaly.sink": "picky", "gonomaly.topic": topic, "gonomaly.offset": fmt.Sprint(junk.Offset),
	} {
		if got := header(r, k); got != want {
			t.Errorf("header %s is %q, want %q", k, got, want)
		}
	}
}

// A record that compression has let in is larger than a broker takes a dead letter: that is cut, and the alerts behind it are delivered.
func TestUnreadableAndLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	large, err := kgo.NewClient(append(w.kafka, kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	tags := []kgo.RecordHeader{{Key: "tag", Value: []byte("a")}, {Key: "tag", Value: []byte("b")}}
	if err := large.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: make([]byte, 4<<20), Headers: tags}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.produce(20)
	w.run("stdout")
	w.eventually(func() bool {
		return len(w.stdout.ids(t)) == 20 && testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("stdout", unreadable)) == 1
	})
	letters := w.read(deadLetterTopic(topic, "stdout"), 0)
	if len(letters) != 1 || header(letters[0], "gonomaly.cut") != fmt.Sprint(4<<20) || header(letters[0], "gonomaly.reason") != unreadable {
		t.Fatalf("dead letters %v, want one that says that it was cut", letters)
	}
	if got := letters[0].Headers[:2]; letters[0].Key != nil || !slices.EqualFunc(got, tags, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
		t.Errorf("key %q and headers %v, want none and %v, as the record has them", letters[0].Key, got, tags)
	}
}

// What is set aside was never Redis's: that it does not have it is no loss, and the alerts behind it are delivered.
func TestUnreadableForRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, stop := w.run("redis")
	manual, err := kgo.NewClient(append(w.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer manual.Close()
	junk := func() {
		for id := range int32(4) {
			if err := manual.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: id, Value: []byte("not an alert")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	junk()
	w.produce(50)
	w.wantOnce()
	junk()
	w.eventually(func() bool { return w.lag("redis") == 0 })
	time.Sleep(3 * quick.check) // Redis is asked where it stands
	w.produce(50)
	w.wantOnce()
	if n := testutil.ToFloat64(w.metrics.deliveries.WithLabelValues("redis", unreadable)); n != 8 {
		t.Errorf("%v are set aside, want 8", n)
	}
	if n := testutil.ToFloat64(w.metrics.rewinds.WithLabelValues("redis")); n > 0 {
		t.Errorf("Redis was read back to %v times, and has lost nothing", n)
	}
	stop()
	w.run("redis")
	w.produce(50)
	w.wantOnce()
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// What a transaction writes beside its alerts is no lag; what it takes back is no alert.
func TestTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, _ := w.run("redis", "stdout")
	c, err := kgo.NewClient(append(w.kafka, kgo.TransactionalID("tx"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 30 {
			a := alert(30*(i/2) + j) // the aborted ones are the committed ones' again
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(a.Key), Value: data(t, a)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if end == kgo.TryCommit {
				w.ids = append(w.ids, a.ID)
			}
		}
		if err := c.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	w.wantOnce()
	w.eventually(func() bool {
		return len(w.stdout.ids(t)) == 60 && w.lag("redis") == 0 && w.lag("stdout") == 0 && trouble(r) == ""
	})
	if n := testutil.ToFloat64(w.metrics.rewinds.WithLabelValues("redis")); n != 0 {
		t.Errorf("%v rewinds, want 0: a marker was taken for a lost write", n)
	}
}

// While a sink is down its queues stay bounded, whatever the topic holds.
func TestQueuesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdout.fail.Store(true)
	w.produce(8000)
	o := &Options{Kafka: w.kafka, Metrics: w.metrics, Log: slog.New(slog.DiscardHandler), pace: quick}
	member := newMember(&SinkConfig{Kind: "stdout"}, &Stdout{w: w.stdout, format: formatJSON}, nil, o)
	s := newSubscriber(member, "g", o)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Subscribe(ctx, topic); err != nil {
		t.Fatal(err)
	}
	queued := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.current == nil {
			return 0
		}
		return s.current.queued()
	}
	w.eventually(func() bool { return queued() >= maxQueued })
	for range 100 {
		time.Sleep(5 * time.Millisecond)
		if n := queued(); n > maxQueued+maxPoll {
			t.Fatalf("%d records queued, want at most %d", n, maxQueued+maxPoll)
		}
	}
	cancel()
	_ = s.Close()
}

func TestAlertSchemaSurvives(t *testing.T) {
	var event map[string]any
	if err := json.Unmarshal(data(t, alert(1)), &event); err != nil || event["data"].(map[string]any)["revision"] != 1.0 {
		t.Fatalf("the script reads data.revision of %v, %v", event, err)
	}
}
