package sample

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

func TestTopic(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "json", "field", "unique", "csv", "empty", "avro", "framed"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 300 {
		m, v := fmt.Sprintf("m%d", i%6), i*7%100
		for topic, kv := range map[string][2]string{
			"json":   {m, fmt.Sprintf(`{"v":%d}`, v)},
			"field":  {m, fmt.Sprintf(`{"device":"%s","v":%d}`, m, v)},
			"unique": {fmt.Sprintf("k%d", i), fmt.Sprintf(`{"device":"%s","v":%d}`, m, v)},
			"avro":   {m, "\x00\x00\x00\x00\x05\x02" + m + "\xff"},
			"framed": {m, fmt.Sprintf("\x00\x00\x00\x00\x05"+`{"v":%d}`, v)},
			"csv":    {m, fmt.Sprintf(`2026-01-01T00:%02d:00Z,"a, b",%d`, i/6, v)},
		} {
			if i%10 == 0 { // what is no record of anybody's
				cl.Produce(t.Context(), &kgo.Record{Topic: topic, Key: []byte(pipeline.ProbeKey), Value: pipeline.ProbeValue("s/1")}, nil)
				cl.Produce(t.Context(), &kgo.Record{Topic: topic, Key: []byte(kv[0])}, nil) // a tombstone
			}
			cl.Produce(t.Context(), &kgo.Record{Topic: topic, Key: []byte(kv[0]), Value: []byte(kv[1]), Timestamp: start.Add(time.Duration(i) * time.Second)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	untimed := []string{"no field holds a time: the record's timestamp counts"}
	for topic, want := range map[string]Guess{
		"json":   {Format: "json", Values: []string{"v"}, Interval: 6 * time.Second, Notes: untimed},
		"framed": {Format: "json", Values: []string{"v"}, Interval: 6 * time.Second, Notes: untimed},
		"field":  {Format: "json", Key: []string{"device"}, Values: []string{"v"}, Interval: 6 * time.Second, Notes: untimed},
		"unique": {Format: "json", Key: []string{"device"}, Values: []string{"v"}, Notes: untimed},
		"csv":    {Format: "csv", Columns: []string{"c1", "c2", "c3"}, Time: decode.Time{Field: "c1"}, Values: []string{"c3"}, Interval: time.Minute},
	} {
		got, err := Topic(t.Context(), opts, topic, 2000, time.Minute)
		want.Rows = 300
		if topic == "unique" { // its machines are spread over the partitions
			want.Interval, want.Rest = got.Interval, got.Rest
		} else {
			want.Rest = want.Interval
		}
		if told := "6 of 6 keys report steadily"; topic != "unique" && (got.Silence != max(10*want.Interval, time.Minute) || !strings.Contains(got.WhySilence, told)) {
			t.Errorf("%s: silence %v: %q, want ten intervals, not less than a minute, and %q", topic, got.Silence, got.WhySilence, told)
		}
		got.Silence, got.WhySilence = 0, ""
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", topic, err, got, want)
		}
	}

	few, err := Topic(t.Context(), opts, "unique", 30, time.Minute)
	again, err2 := Topic(t.Context(), opts, "unique", 30, time.Minute)
	if err != nil || err2 != nil || few.Rows != 30 || !reflect.DeepEqual(few, again) {
		t.Errorf("30 records: %+v, %v, again %+v, %v", few, err, again, err2)
	}
	for topic, want := range map[string]string{"empty": "sample topic empty: no records", "avro": "sample topic avro: 10 records are neither JSON objects nor CSV", "none": "sample topic none: UNKNOWN_TOPIC"} {
		if _, err := Topic(t.Context(), opts, topic, 10, time.Minute); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", topic, err, want)
		}
	}
	nowhere := []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}
	if _, err := Topic(t.Context(), nowhere, "json", 10, 50*time.Millisecond); err == nil {
		t.Error("no broker: no error")
	}
}

func TestWords(t *testing.T) {
	for name, want := range map[string]string{"deviceId": "device id", "@timestamp": "timestamp", "Volume_Flow-Rate": "volume flow rate", "CPU": "cpu", "x1": "x1"} {
		if got := words(name); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("words(%q) = %q, want %s", name, got, want)
		}
	}
}
