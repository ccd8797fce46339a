package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lab is a cluster with a topic t of two partitions that keeps records for an hour.
type lab struct {
	*testing.T
	cluster *kfake.Cluster
}

func newLab(t *testing.T) *lab {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	if err := cluster.CreateTopic("t", 2, map[string]string{"retention.ms": "3600000"}); err != nil {
		t.Fatal(err)
	}
	return &lab{t, cluster}
}

func (l *lab) client(opts ...kgo.Opt) *kgo.Client {
	l.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(l.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(client.Close)
	return client
}

// produce writes records to partition 0 of t, dated so many seconds after a beginning.
func (l *lab) produce(client *kgo.Client, begin time.Time, seconds ...int) {
	l.Helper()
	for _, s := range seconds {
		r := &kgo.Record{Topic: "t", Value: []byte("x"), Timestamp: begin.Add(time.Duration(s) * time.Second)}
		if err := client.ProduceSync(l.Context(), r).FirstErr(); err != nil {
			l.Fatal(err)
		}
	}
}

func (l *lab) commit(group string, at map[int32]int64) {
	l.Helper()
	var offsets kadm.Offsets
	for p, o := range at {
		offsets.AddOffset("t", p, o, -1)
	}
	if err := kadm.NewClient(l.client()).CommitAllOffsets(l.Context(), group, offsets); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) examine(q Questions) *Examined {
	l.Helper()
	q.Each = time.Minute
	x, err := Examine(l.Context(), Config{Brokers: l.cluster.ListenAddrs()}, q)
	if err != nil || x.Err != nil {
		l.Fatal(err, x)
	}
	return x
}

func TestExamineTopics(t *testing.T) {
	l := newLab(t)
	begin := time.UnixMilli(time.Now().UnixMilli())
	l.produce(l.client(), begin, 1, 5, 3)
	if err := l.cluster.DeleteRecords("t", 0, 1); err != nil {
		t.Fatal(err)
	}
	x := l.examine(Questions{Topics: []string{"t", "none"}})
	if len(x.Seeds) != 2 || len(x.Brokers) != 2 || x.Brokers[0].ID == x.Brokers[1].ID {
		t.Errorf("seeds %+v, brokers %+v, want two of each", x.Seeds, x.Brokers)
	}
	if got := x.Topics["none"].Err; !errors.Is(got, ErrNoTopic) {
		t.Errorf("of a topic that is not there: %v, want %v", got, ErrNoTopic)
	}
	got := x.Topics["t"]
	p, empty := got.Partitions[0], got.Partitions[1]
	if got.Err != nil || len(got.ID) != 32 || got.Retention != time.Hour || !slices.Contains(got.Operations, "read") {
		t.Errorf("topic %+v", got)
	}
	if p.Err != nil || p.Start != 1 || p.End != 3 || !p.Newest.Equal(begin.Add(5*time.Second)) || p.InSync == 0 {
		t.Errorf("partition 0 is %+v, want offsets 1 to 3, the newest five seconds after %v", p, begin)
	}
	if empty.Err != nil || empty.End != 0 || !empty.Newest.IsZero() {
		t.Errorf("partition 1 is %+v, want an empty one", empty)
	}
}

// Of the transactions that are open in a partition the oldest is told, and none once they are ended.
func TestExamineTransactions(t *testing.T) {
	l := newLab(t)
	open := func() *OpenTransaction {
		return l.examine(Questions{Topics: []string{"t"}}).Topics["t"].Partitions[0].Open
	}
	begin := time.Now()
	l.produce(l.client(), begin, 1, 2)
	var writers []*kgo.Client
	for _, id := range []string{"old", "young"} {
		writer := l.client(kgo.TransactionalID(id))
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		l.produce(writer, begin, 3)
		writers = append(writers, writer)
	}
	for _, want := range []int64{2, 3} {
		if o := open(); o == nil || o.Start != want || o.Last.IsZero() {
			t.Errorf("open is %+v, want one from offset %d on", o, want)
		}
		if err := writers[want-2].EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	}
	if o := open(); o != nil {
		t.Errorf("open is %+v, want none", o)
	}
}

// The next record of a group is found whatever lies before it: markers of transactions are no records, and what is aborted is not read.
func TestExamineNext(t *testing.T) {
	l := newLab(t)
	begin := time.UnixMilli(time.Now().UnixMilli())
	writer := l.client(kgo.TransactionalID("w"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} { // offsets 0 and its marker, 2 and 3, 4 and 5
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		l.produce(writer, begin, 10*i)
		if err := writer.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	for committed, want := range map[int64]time.Time{
		0: begin, 1: begin.Add(20 * time.Second), 2: begin.Add(20 * time.Second), 4: begin.Add(20 * time.Second), 5: {}, 6: {},
	} {
		group := fmt.Sprint("g", committed)
		l.commit(group, map[int32]int64{0: committed, 1: 0})
		g := l.examine(Questions{Groups: []GroupQuestion{{Name: group, Topics: []string{"t"}}}}).Groups[group]
		got, seen := g.Next["t"][0]
		if g.OffsetsErr != nil || !seen || !got.Equal(want) || g.Committed["t"][0] != committed {
			t.Errorf("after a commit at %d the next record is of %v (%v), %v, want %v", committed, got, seen, g.OffsetsErr, want)
		}
		if got, seen := g.Next["t"][1]; !seen || !got.IsZero() {
			t.Errorf("in an empty partition the next record is of %v", got)
		}
	}
	l.commit("beyond", map[int32]int64{0: 7})
	if g := l.examine(Questions{Groups: []GroupQuestion{{Name: "beyond", Topics: []string{"t"}}}}).Groups["beyond"]; len(g.Next["t"]) != 0 || g.Committed["t"][0] != 7 {
		t.Errorf("beyond the end there is %+v", g)
	}
}

// Members and what they have are told of groups of either protocol.
func TestExamineGroups(t *testing.T) {
	for name, protocol := range map[string][]kgo.Opt{"classic": {kgo.InstanceID("one")}, "consumer": {kgo.InstanceID("one"), kgo.ServerSideBalancer()}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			q := Questions{Groups: []GroupQuestion{{Name: "g", Topics: []string{"t"}, Consumer: name == "consumer"}}, KIP848: true, Writers: []string{"nobody"}}
			if g := l.examine(q).Groups["g"]; g.Err != nil || g.OffsetsErr != nil || len(g.Members) > 0 || g.State == "Stable" {
				t.Errorf("of a group that never was: %+v", g)
			}
			reader := l.client(append(protocol, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ClientID("reader"))...)
			polling, stop := context.WithCancel(t.Context())
			t.Cleanup(stop)
			go func() {
				for polling.Err() == nil {
					reader.PollFetches(polling)
				}
			}()
			topic := "t"
			if q.Groups[0].Consumer {
				topic = "" // kfake leaves the name out, which brokers tell: see the test on a real one in cmd/gonomaly
			}
			var x *Examined
			for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
				x = l.examine(q)
				if g := x.Groups["g"]; g.Err == nil && len(g.Members) == 1 && len(g.Members[0].Assigned[topic]) == 2 {
					break
				}
			}
			g := x.Groups["g"]
			if len(g.Members) != 1 || len(g.Members[0].Assigned[topic]) != 2 || g.Members[0].Instance != "one" || g.Members[0].Client != "reader" || g.Members[0].Host == "" {
				t.Errorf("members are %+v, want one with both partitions", g.Members)
			}
			if g.Err != nil || g.State != "Stable" || !slices.Contains(g.Operations, "read") || x.Writers["nobody"] != nil {
				t.Errorf("group is %+v, writers %v", g, x.Writers)
			}
		})
	}
}

func TestDenied(t *testing.T) {
	if !Denied(fmt.Errorf("ask: %w", kerr.GroupAuthorizationFailed)) || Denied(kerr.CoordinatorNotAvailable) || Denied(nil) {
		t.Error("Denied does not tell a missing right from other errors")
	}
}
