//go:build integration && unix

package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Exactly the bad records are set aside, each with its reason and its bytes, among 10,000 good ones.
func TestBadRecords(t *testing.T) {
	w := newWorld(t).withRedis()
	topic := w.name + ".in"
	config := w.file("gonomaly.yaml", `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
streams:
  - name: s
    topics: [<name>.in]
    group: <name>
    decode: {key: k, time: {field: ts, unit: ms}, values: [x], max_bytes: 10000, max_depth: 8}
    detectors: [{kind: ewma}]
sinks: [{kind: redis}]
`)
	now := time.Now().UnixMilli()
	bad := map[string]string{ // value: reason
		`not json`:                           "not_json",
		``:                                   "not_json",
		`[1,2]`:                              "wrong_type",
		`{"k":"a","ts":NOW}`:                 "missing_field",
		`{"ts":NOW,"x":1}`:                   "missing_field",
		`{"k":"a","x":1}`:                    "missing_field",
		`{"k":"a","ts":NOW,"x":"1"}`:         "wrong_type",
		`{"k":"a","ts":NOW,"x":true}`:        "wrong_type",
		`{"k":"a","ts":"yesterday","x":1}`:   "time_out_of_range",
		`{"k":"a","ts":NOW,"x":NaN}`:         "not_finite",
		`{"k":"a","ts":NOW,"x":1e999}`:       "not_finite",
		`{"k":"a","ts":1924992000000,"x":1}`: "time_out_of_range", // the year 2031
		`{"k":"a","ts":NOW,"x":[1`:           "not_json",
		`{"k":"a","ts":NOW,"x":-Infinity}`:   "not_finite",
		`{"y":[[[[[[[[[[1]]]]]]]]]],"k":"a","ts":NOW,"x":1}`:                  "too_deep",
		`{"k":"a","ts":NOW,"x":1,"pad":"` + strings.Repeat("p", 10000) + `"}`: "too_large",
	}
	w.gonomaly("produce", "--topic", topic, "--input", w.file("none.jsonl", "")) // makes the topic
	client, err := kgo.NewClient(append(w.opts, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	want := map[string]string{}
	for value, reason := range bad {
		value = strings.ReplaceAll(value, "NOW", strconv.FormatInt(now, 10))
		want[value] = reason
		records = append(records, &kgo.Record{Key: []byte("bad key"), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte(reason)}}})
	}
	const good = 10_000
	for i := range good {
		records = append(records, &kgo.Record{Key: fmt.Append(nil, i%7), Value: fmt.Appendf(nil, `{"k":"k%d","ts":%d,"x":%d}`, i%7, now+int64(i), i%13)})
	}
	for i := range records { // scattered
		j := (i * 7919) % len(records)
		records[i], records[j] = records[j], records[i]
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p := w.run(config)
	w.caughtUp(w.name, topic)
	letters, err := kafka.ReadAll(t.Context(), w.opts, topic+".dead-letters")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if reason, ok := want[string(l.Value)]; !ok || l.Headers["gonomaly.reason"] != reason {
			t.Errorf("dead letter %.60q for %s, want it for %s", l.Value, l.Headers["gonomaly.reason"], reason)
		}
		if string(l.Key) != "bad key" || l.Headers["trace"] != want[string(l.Value)] {
			t.Errorf("dead letter %.60q has key %q and header %q, not its own", l.Value, l.Key, l.Headers["trace"])
		}
		if l.Headers["gonomaly.topic"] != topic || l.Headers["gonomaly.offset"] == "" || l.Headers["gonomaly.partition"] == "" || l.Headers["gonomaly.detail"] == "" {
			t.Errorf("dead letter %.60q lacks its origin: %v", l.Value, l.Headers)
		}
		delete(want, string(l.Value))
	}
	for value, reason := range want {
		t.Errorf("%.60q is missing among the dead letters, for %s", value, reason)
	}
	received, sum := p.metric("gonomaly_records_received_total"), p.metric("gonomaly_records_total")
	if received != good+float64(len(bad)) || sum != received {
		t.Errorf("%v received, %v by outcome, want %d", received, sum, good+len(bad))
	}
	if n := p.metric("gonomaly_records_total", "outcome", "dead_lettered"); n != float64(len(bad)) || p.metric("gonomaly_dead_letters_total") != n {
		t.Errorf("%v dead letters counted, %v by reason, want %d", n, p.metric("gonomaly_dead_letters_total"), len(bad))
	}
}
