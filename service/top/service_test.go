package top_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/service/top"
	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const settings = `
kafka: {brokers: ["${BROKERS}"]}
checkpoints: {store: memory, every: 100ms}
streams:
  - name: payments
    topics: [payments]
    decode: {format: json, key: k, time: {field: t, unit: ms}, values: [x]}
    detectors: [{kind: ewma, half_life: 10}]
sinks: [{kind: file, path: "${DIR}/alerts.jsonl"}]
`

// What a running service says of itself is what is shown: the names of its metrics are those that are looked for.
func TestAgainstAService(t *testing.T) {
	broker, err := embedded.Start(2, "payments")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	env := map[string]string{"BROKERS": broker.Addresses()[0], "DIR": t.TempDir()}
	open := make(chan net.Addr, 1)
	s, err := service.New(service.Options{
		Load: func() (*config.Config, error) {
			return config.Parse("g.yaml", []byte(settings), func(name string) (string, bool) { value, ok := env[name]; return value, ok })
		},
		Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Serving: func(at net.Addr) { open <- at },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	url := "http://" + (<-open).String()
	produce(t, broker.Addresses(), "payments")

	// All that is written has been read: each row of both partitions, one dead letter, an alert that the sink has.
	var out bytes.Buffer
	var missing string
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
		out.Reset()
		if err := top.Once(t.Context(), []string{url}, 20*time.Millisecond, top.Layout{Sort: top.ByName, Paint: top.Plain}, &out); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		missing = lacks(out.String(), [][]string{
			{"127.0.0.1:", "ready"}, {"payments  payments          0  ", "0 s", "0       1         0"}, {"payments  payments          1  ", "0 s", "0       1         0"},
			{"file  ", "closed", " 2 ", " 0 "}, {"dead letters ", "1"},
		})
		if missing == "" && strings.Contains(out.String(), "–") {
			missing = "only what is known, without –"
		}
		if missing == "" {
			t.Logf("\n%s", out.String())
			return
		}
	}
	t.Errorf("it lacks %s:\n%s", missing, out.String())
}

// lacks names the first of some words that stand together in no line.
func lacks(text string, all [][]string) string {
	for _, words := range all {
		found := false
		for line := range strings.Lines(text) {
			rest, ok := line, true
			for _, w := range words { // in this order
				_, after, has := strings.Cut(rest, w)
				rest, ok = after, ok && has
			}
			found = found || ok
		}
		if !found {
			return fmt.Sprintf("%q", words)
		}
	}
	return ""
}

// produce writes a key to each of two partitions, with a spike at its end, and a record that nobody can decode.
func produce(t *testing.T, brokers []string, topic string) {
	t.Helper()
	opts, err := kafka.Config{Brokers: brokers}.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := []*kgo.Record{{Topic: topic, Value: []byte("no JSON")}}
	now := time.Now()
	for i := range 400 {
		x := float64(i % 7)
		if i == 399 {
			x = 1e6
		}
		for p := range int32(2) {
			value := fmt.Sprintf(`{"k":"key-%d","t":%d,"x":%g}`, p, now.UnixMilli()+int64(i)-400, x)
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte(value)})
		}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
