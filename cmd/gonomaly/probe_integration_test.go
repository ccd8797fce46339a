//go:build integration && unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const heartbeat = `
instance: "${INSTANCE}"
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
checkpoints: {every: 1s}
streams:
  - name: machines
    group: <name>
    topics: [<name>.in]
    probe: {every: 1s, timeout: 10s}
    decode: {key: machine, time: {field: ts, unit: ms}, max_ahead: 17520h, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: ewma, half_life: 100}]
    alert: {false_alarms: 1 per 1000 points, cool_down: 30m}
sinks: [{kind: redis}]
`

// Probes go round while events flow and a process is killed. Behind a transaction that nobody ends they are lost, those of the other partition
// are not, and then they return again. Each that stands in the topic is answered once, and the alerts are byte for byte those of the log without
// probes.
func TestProbes(t *testing.T) {
	w := newWorld(t)
	w.withRedis()
	in := w.name + ".in"
	if err := kafka.Create(t.Context(), w.opts, 2, in); err != nil {
		t.Fatal(err)
	}
	file := w.file("gonomaly.yaml", heartbeat)
	a, b := w.run(file, "INSTANCE=a"), w.run(file, "INSTANCE=b")
	w.eventually("ready", func() error { return errors.Join(a.ready(), b.ready()) })
	feeding := w.command("produce", "--topic", in, "--rate", "500", "--for", "30s", "--keys", "20", "--anomalies", "20")
	if err := feeding.Start(); err != nil {
		t.Fatal(err)
	}
	probes := func(p *process, outcome string) float64 { return p.metric("gonomaly_probes_total", "outcome", outcome) }
	more := func(what, outcome string, n float64, all ...*process) {
		t.Helper()
		for _, p := range all {
			from := probes(p, outcome)
			w.eventually(what, func() error {
				if now := probes(p, outcome); now < from+n {
					return fmt.Errorf("%v are %s, and %v before", now, outcome, from)
				}
				return nil
			})
		}
	}
	more("probes return", "returned", 8, a, b)
	t.Logf("undisturbed round trips take %v and %v on average", a.roundTrip(), b.roundTrip())
	if lost := probes(a, "lost") + probes(b, "lost"); lost > 0 {
		slow(t, "%v probes are lost, and nothing is disturbed", lost)
	}
	a.kill()
	a = w.run(file, "INSTANCE=a")
	more("probes return after a crash", "returned", 8, a, b)

	upstream, err := kgo.NewClient(append(w.opts, kgo.TransactionalID(w.name), kgo.TransactionTimeout(10*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	if err := upstream.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := upstream.ProduceSync(t.Context(), &kgo.Record{Topic: in, Value: []byte("withheld")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	more("probes behind an open transaction are lost", "lost", 3, a, b)
	more("probes of the other partition return", "returned", 3, a, b)
	if err := upstream.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is said that they come back", func() error {
		for _, p := range []*process{a, b} {
			p.mu.Lock()
			log := strings.Join(p.log, "\n")
			p.mu.Unlock()
			if !strings.Contains(log, "a probe has not come back") || !strings.Contains(log, "probes come back again") {
				return errors.New("a log says nothing of it")
			}
		}
		return nil
	})
	if err := feeding.Wait(); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*process{"a": a, "b": b} {
		trip := p.family("gonomaly_probe_round_trip_seconds").Metric[0].GetHistogram()
		returned := probes(p, "returned")
		if n := float64(trip.GetSampleCount()); n < returned || trip.GetSampleSum() <= 0 { // some may return in between
			t.Errorf("%v round trips of %s are measured, of %v probes that returned, in %v s", n, name, returned, trip.GetSampleSum())
		}
		t.Logf("%s: %v returned, %v on average; %v lost, %v failed", name, returned, p.roundTrip(), probes(p, "lost"), probes(p, "failed"))
		if n := p.metric("gonomaly_sink_deliveries_total", "outcome", "unreadable"); n > 0 {
			t.Errorf("%v answers were taken for alerts", n)
		}
	}
	a.terminate()
	b.terminate()
	last := w.run(w.file("last.yaml", strings.Replace(heartbeat, "    probe: {every: 1s, timeout: 10s}\n", "", 1)), "INSTANCE=a")
	w.caughtUp(w.name, in)
	last.terminate()
	w.judgeProbes(file, in)
}

// roundTrip is the average of the process's probes.
func (p *process) roundTrip() time.Duration {
	p.w.Helper()
	trip := p.family("gonomaly_probe_round_trip_seconds").Metric[0].GetHistogram()
	return time.Duration(1e9 * trip.GetSampleSum() / float64(trip.GetSampleCount())).Round(time.Millisecond)
}

// judgeProbes holds what was told against the log.
func (w *world) judgeProbes(file, in string) {
	w.Helper()
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		w.Fatal(err)
	}
	c, err := config.Parse(file, text, func(string) (string, bool) { return "any", true })
	if err != nil {
		w.Fatal(err)
	}
	s := c.Streams[0]
	records, err := kafka.ReadAll(w.Context(), w.opts, in)
	if err != nil {
		w.Fatal(err)
	}
	workers, want, sent := map[int32]*pipeline.Worker{}, map[string]int{}, map[string]bool{}
	for _, r := range records {
		if header := r.Headers[pipeline.ProbeHeader]; header != "" {
			sent[header] = true
			continue
		}
		if workers[r.Partition] == nil {
			if workers[r.Partition], err = pipeline.NewWorker(s.Name, s.Config, pipeline.Partition{Topic: in, ID: r.Partition}); err != nil {
				w.Fatal(err)
			}
		}
		record := pipeline.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixNano(), Key: r.Key, Value: r.Value}
		for _, m := range workers[r.Partition].Process([]pipeline.Record{record}, 0) {
			if m.Topic == s.Alert.Topic {
				want[string(m.Value)]++
			}
		}
	}
	told, err := kafka.ReadAll(w.Context(), w.opts, s.Alert.Topic)
	if err != nil {
		w.Fatal(err)
	}
	alerts, answers := map[string]int{}, map[string]int{}
	for _, r := range told {
		if header := r.Headers[pipeline.ProbeHeader]; header == "" {
			alerts[string(r.Value)]++
		} else if a, err := pipeline.ParseAnswer(r.Value); err != nil || a.Probe != header {
			w.Errorf("%s is no answer to %s: %v", r.Value, header, err)
		} else {
			answers[header]++
		}
	}
	w.once("alerts", alerts, want)
	once := map[string]int{}
	for header := range sent {
		once[header] = 1
	}
	w.once("answers", answers, once)
	w.Logf("%d records, %d of them probes; %d alerts", len(records), len(sent), len(alerts))
}

func (w *world) once(what string, got, want map[string]int) {
	w.Helper()
	lost, wrong, doubled := 0, 0, 0
	for text := range want {
		if got[text] == 0 {
			lost++
		}
	}
	for text, n := range got {
		if want[text] == 0 {
			wrong++
		} else if n > 1 {
			doubled++
		}
	}
	if lost+wrong+doubled > 0 || len(want) == 0 {
		w.Errorf("of %d %s %d are lost, %d wrong, %d doubled", len(want), what, lost, wrong, doubled)
	}
}
