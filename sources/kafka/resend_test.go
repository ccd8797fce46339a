package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestResend(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "in", "in.dead-letters"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	opts, err := Config{Brokers: cluster.ListenAddrs()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	aside := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	letter := func(at time.Time, value, topic, partition, reason string, more ...string) *kgo.Record {
		r := &kgo.Record{Topic: "in.dead-letters", Key: []byte("k"), Value: []byte(value), Timestamp: at, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("t")}}}
		for i, name := range []string{"topic", "partition", "reason", "timestamp", "cut"}[:4+len(more)] {
			v := append([]string{topic, partition, reason, "1767225600123"}, more...)[i]
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "gonomaly." + name, Value: []byte(v)})
		}
		return r
	}
	if err := client.ProduceSync(t.Context(),
		letter(aside, "a", "in", "2", "missing_field"),
		letter(aside, "b", "in", "1", "missing_field"),
		letter(aside.Add(-time.Second), "too early", "in", "1", "missing_field"),
		letter(aside, "other reason", "in", "1", "not_json"),
		letter(aside, "cut", "in", "1", "missing_field", "9"),
		&kgo.Record{Topic: "in.dead-letters", Value: []byte("no letter"), Timestamp: aside},
	).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c := Resend{Letters: "in.dead-letters", Since: aside, Reason: "missing_field", DryRun: true}
	for _, dry := range []bool{true, false} {
		c.DryRun = dry
		done, err := c.Run(t.Context(), opts)
		if got, want := fmt.Sprint(done, err), "{map[in:2] 1 3} <nil>"; got != want {
			t.Errorf("dry %v: %s, want %s", dry, got, want)
		}
	}
	got, err := ReadAll(t.Context(), opts, "in")
	if err != nil || len(got) != 2 {
		t.Fatalf("%d records, %v, want 2", len(got), err)
	}
	for _, r := range got {
		is := fmt.Sprintf("%d %s %s %d %v", r.Partition, r.Key, r.Value, r.Timestamp.UnixMilli(), r.Headers)
		if is != "2 k a 1767225600123 map[trace:t]" && is != "1 k b 1767225600123 map[trace:t]" {
			t.Errorf("a record is %s: not as it was", is)
		}
	}

	if err := client.ProduceSync(t.Context(), letter(aside, "c", "gone", "0", "missing_field")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := (Resend{Letters: "in.dead-letters"}).Run(t.Context(), opts); err == nil {
		t.Error("into a topic that is no more: no error")
	}
	if _, err := kadm.NewClient(client).DeleteRecords(t.Context(), kadm.Offsets{"in.dead-letters": {
		0: {Topic: "in.dead-letters", Partition: 0, At: -1}, 1: {Topic: "in.dead-letters", Partition: 1, At: -1}, 2: {Topic: "in.dead-letters", Partition: 2, At: -1},
	}}); err != nil {
		t.Fatal(err)
	}
	done, err := Resend{Letters: "in.dead-letters"}.Run(t.Context(), opts)
	if got, want := fmt.Sprint(done, err), "{map[] 0 0} <nil>"; got != want {
		t.Errorf("of letters that retention has deleted: %s, want %s", got, want)
	}
	if _, err := (Resend{Letters: "none"}).Run(t.Context(), opts); err == nil {
		t.Error("of a topic that is not there: no error")
	}
}
