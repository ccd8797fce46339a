//go:build integration && unix

package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const taxiFile = "../../sources/generate/data/nyc_taxi.csv.gz"

// The demo's real series and a generated fleet go in by produce. The alerts topics and Redis have the same alerts, once each, and
// backtest on the same records says the same.
func TestEndToEnd(t *testing.T) {
	w := newWorld(t).withRedis()
	config := w.file("gonomaly.yaml", `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
instance: only
streams:
  - name: taxi
    topics: [<name>.taxi]
    group: <name>.taxi
    decode: {time: {field: timestamp, layout: "2006-01-02 15:04:05"}, values: [value]}
    detectors: [{kind: metric}]
    alert: {false_alarms: 1 per 1000 points, cool_down: 36h}
  - name: machines
    topics: [<name>.machines]
    group: <name>.machines
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: ewma, half_life: 30}, {kind: forest, trees: 8}]
    drift: [{kind: page_hinkley, on: values}]
    alert: {cool_down: 30m}
sinks: [{kind: redis}]
`)
	w.gonomaly("produce", "--topic", w.name+".taxi", "--input", taxiFile)
	p := w.run(config)
	injected := w.gonomaly("produce", "--topic", w.name+".machines", "--events", "60000", "--keys", "20", "--anomalies", "8")
	if strings.Count(injected, "\n") < 20 {
		t.Errorf("produce tells %d anomalies, want 20 or more", strings.Count(injected, "\n"))
	}
	all := map[string]pipeline.Alert{}
	for _, stream := range []string{"taxi", "machines"} {
		topic := w.name + "." + stream
		w.caughtUp(topic, topic)
		alerts := w.alerts(topic + ".alerts")
		for id, a := range alerts {
			all[id] = a
		}
		w.backtested(config, stream, topic, alerts)
	}
	w.eventually("Redis has the alerts", func() error {
		n, err := w.redisClient().XLen(t.Context(), w.name+":alerts").Result()
		if err == nil && int(n) < len(all) {
			err = fmt.Errorf("%d of %d", n, len(all))
		}
		return err
	})
	w.same("Redis", w.redisAlerts(), all)
	w.incidents(all)
	if n := p.metric("gonomaly_records_received_total"); n != 60000+10320 || p.metric("gonomaly_records_total") != n {
		t.Errorf("%v records received and %v by outcome, want %d", n, p.metric("gonomaly_records_total"), 60000+10320)
	}
	if lag := p.metric("gonomaly_time_lag_seconds"); lag != 0 {
		t.Errorf("the time lag is %v s with nothing to do", lag)
	}
	if took := p.terminate(); took > 10*time.Second {
		slow(t, "SIGTERM took %v, want at most 10 s", took)
	}
	t.Logf("%d alerts of 70320 records in Kafka and Redis, and from backtest", len(all))
}

// redisAlerts are those in the Redis stream, each of which must stand there once, under its id.
func (w *world) redisAlerts() map[string]pipeline.Alert {
	w.Helper()
	entries, err := w.redisClient().XRange(w.Context(), w.name+":alerts", "-", "+").Result()
	if err != nil {
		w.Fatal(err)
	}
	alerts := map[string]pipeline.Alert{}
	for _, e := range entries {
		a, err := pipeline.ParseAlert([]byte(e.Values["data"].(string)))
		if err != nil {
			w.Fatal(err)
		}
		if _, twice := alerts[a.ID]; twice || a.ID != e.Values["id"] {
			w.Errorf("alert %s stands in Redis twice, or under the id %v", a.ID, e.Values["id"])
		}
		alerts[a.ID] = a
	}
	return alerts
}

// incidents checks that Redis holds exactly the incidents that are open after all the alerts.
func (w *world) incidents(alerts map[string]pipeline.Alert) {
	w.Helper()
	open := map[string]bool{}
	for _, a := range alerts {
		open[a.Incident] = true
	}
	for _, a := range alerts {
		if a.Status == pipeline.Resolve {
			delete(open, a.Incident)
		}
	}
	held, err := w.redisClient().HKeys(w.Context(), w.name+":incidents").Result()
	if err != nil {
		w.Fatal(err)
	}
	for _, id := range held {
		if !open[id] {
			w.Errorf("Redis holds incident %s, which is over", id)
		}
	}
	if len(held) != len(open) {
		w.Errorf("Redis holds %d incidents, %d are open", len(held), len(open))
	}
}

// told is what production and a backtest must say alike of a point.
type told struct {
	Key    string
	Time   int64
	Kind   pipeline.Kind
	Status pipeline.Status
	Score  float64
	PValue float64
}

func tellings(alerts []pipeline.Alert) []string {
	var all []string
	for _, a := range alerts {
		all = append(all, fmt.Sprintf("%+v", told{a.Key, a.Time.UnixNano(), a.Kind, a.Status, a.Score, a.PValue}))
	}
	slices.Sort(all)
	return all
}

// backtested plays each partition of a topic from a file, and compares.
func (w *world) backtested(config, stream, topic string, alerts map[string]pipeline.Alert) {
	w.Helper()
	records, err := kafka.ReadAll(w.Context(), w.opts, topic)
	if err != nil {
		w.Fatal(err)
	}
	logs := map[int32]*bytes.Buffer{}
	for _, r := range records {
		if logs[r.Partition] == nil {
			logs[r.Partition] = &bytes.Buffer{}
		}
		logs[r.Partition].Write(r.Value)
		logs[r.Partition].WriteByte('\n')
	}
	in, out := w.TempDir(), w.TempDir()
	for id, b := range logs {
		if err := os.WriteFile(filepath.Join(in, fmt.Sprintf("%d.jsonl", id)), b.Bytes(), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	w.gonomaly("backtest", "-c", config, "--stream", stream, "--input", in, "--out", out)
	lines, err := os.ReadFile(filepath.Join(out, "alerts.jsonl"))
	if err != nil {
		w.Fatal(err)
	}
	var played []pipeline.Alert
	for line := range bytes.Lines(lines) {
		a, err := pipeline.ParseAlert(line)
		if err != nil {
			w.Fatal(err)
		}
		played = append(played, a)
	}
	var produced []pipeline.Alert
	for _, a := range alerts {
		produced = append(produced, a)
	}
	if got, want := tellings(played), tellings(produced); !slices.Equal(got, want) || len(want) == 0 {
		w.Errorf("stream %s: backtest tells %d alerts, production %d, and they are not the same", stream, len(got), len(want))
	}
	w.scored(out, len(records))
}

// scored checks that the scores have a row for each record, and as many alerts as were told.
func (w *world) scored(out string, records int) {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(out, "*.scores.csv"))
	if err != nil {
		w.Fatal(err)
	}
	rows := 0
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			w.Fatal(err)
		}
		all, err := csv.NewReader(f).ReadAll()
		_ = f.Close()
		if err != nil {
			w.Fatal(err)
		}
		rows += len(all) - 1
	}
	if rows != records {
		w.Errorf("scores have %d rows, want one for each of %d records", rows, records)
	}
}
