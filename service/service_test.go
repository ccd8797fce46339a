package service_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/service"
)

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// Two streams read one topic: one its records, one its windows.
const settings = `
kafka: {brokers: ["${BROKERS}"]}
instance: one
checkpoints: {store: file, directory: "${DIR}/state", every: 100ms}
sinks: [{kind: file, path: "${DIR}/alerts.jsonl"}]
streams:
  - name: records
    topics: [machines]
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: ewma, half_life: 100}]
    alert: {false_alarms: 1 per 1000 points, cool_down: 30m}
  - name: windows
    topics: [machines]
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp, load]}
    window: {every: 5m, aggregate: [mean]}
    detectors: [{kind: ewma, half_life: 50}]
    alert: {false_alarms: 1 per 1000 points, cool_down: 60m, topic: windows.alerts}
`

var everything map[int32]int64 // is told

// What the log says is told once, also over a restart, whatever is left of the state; and every record is accounted for.
func TestAlertsOnce(t *testing.T) {
	for store, replays := range map[string]bool{`store: file, directory: "${DIR}/state"`: false, "store: memory": true} {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, strings.Replace(settings, `store: file, directory: "${DIR}/state"`, store, 1), "machines")
			for round := range 3 {
				if round == 1 {
					w.produce("machines", 1000) // while nobody reads
				}
				p := w.start()
				w.produce("machines", 4000)
				want := append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
				w.wantOnce("alerts.jsonl", want, "records", "windows")
				for _, stream := range []string{"records", "windows"} {
					p.wantAccounts(stream, round, replays && round > 0)
				}
				p.quit()
			}
		})
	}
}

// A stream that begins at the end of a topic knows what is before it, where it is to: it tells there what one tells that has always been
// there. It is not ready before, and says where its state came from.
func TestWarmUp(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(settings, "topics: [machines]", "topics: [machines]\n    start: latest\n    warm_up: 10000h"), "machines")
	w.produce("machines", 8000)
	p := w.start()
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	var want []string
	begins := map[string]map[int32]int64{}
	for _, stream := range []string{"records", "windows"} {
		s := w.stream(stream)
		w.caughtUp(s)
		if n := len(w.told(s.Alert.Topic)); n > 0 {
			t.Errorf("stream %s tells %d alerts of what is before it", stream, n)
		}
		if n, _ := p.metric("gonomaly_restores_total", `from="history"`, "stream=\""+stream+"\""); n != partitions {
			t.Errorf("stream %s: %v partitions have warmed up, want %d", stream, n, partitions)
		}
		begins[stream] = w.committed(s)
	}
	w.produce("machines", 4000)
	for stream, from := range begins {
		want = append(want, w.fold(w.stream(stream), from)...)
	}
	w.wantOnce("alerts.jsonl", want, "records", "windows")
}

// wantAccounts checks a process's metrics after its round.
func (p *process) wantAccounts(stream string, round int, replays bool) {
	p.Helper()
	label := fmt.Sprintf("stream=%q", stream)
	bad := float64(partitions)
	records := 4000 + bad
	if round == 1 {
		records, bad = records+1000+bad, 2*bad
	}
	p.eventually("every record of "+stream+" has an outcome", func() error {
		received, _ := p.metric("gonomaly_records_received_total", label)
		sum, _ := p.metric("gonomaly_records_total", label)
		if received != records || sum != records {
			return fmt.Errorf("%v received, %v in all outcomes, want %v", received, sum, records)
		}
		return nil
	})
	outcome := "scored"
	if stream == "windows" {
		outcome = "aggregated"
	}
	good, _ := p.metric("gonomaly_records_total", label, fmt.Sprintf("outcome=%q", outcome))
	warming, _ := p.metric("gonomaly_records_total", label, `outcome="warming"`)
	dead, _ := p.metric("gonomaly_records_total", label, `outcome="dead_lettered"`)
	if dead != bad || good+warming != records-bad || good == 0 {
		p.Errorf("%s: %v records are %s, %v warming, %v dead letters, want %v in all and %v", stream, good, outcome, warming, dead, records, bad)
	}
	if n, _ := p.metric("gonomaly_records_replayed_total", label); (n > 0) != replays {
		p.Errorf("%s: %v records are folded again: want some %v", stream, n, replays)
	}
}

func TestReady(t *testing.T) {
	w := newWorld(t, settings, "other")
	p := w.start()
	p.eventually("it says what is missing", func() error {
		return p.says(get, "/-/ready", http.StatusServiceUnavailable, "topic machines does not exist")
	})
	p.want(get, "/-/healthy", http.StatusOK, "healthy")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	w.createTopic("machines")
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	p.eventually("all partitions are assigned", func() error {
		if _, n := p.metric("gonomaly_time_lag_seconds"); n != 2*partitions {
			return fmt.Errorf("%d are, want %d", n, 2*partitions)
		}
		return nil
	})
	p.want(get, "/-/healthy", http.StatusOK, "healthy")
	w.produce("machines", 20)
	p.eventually("it says what is learning", func() error {
		return p.says(get, "/-/ready", http.StatusOK, "series are learning")
	})
	if n, gauges := p.metric("gonomaly_series_learning", `stream="records"`); n == 0 || gauges != partitions {
		t.Errorf("%v series of %d partitions are learning, want some, of %d", n, gauges, partitions)
	}
}

func TestHTTP(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	for _, c := range []struct {
		method, path string
		status       int
		text         string
	}{
		{get, "/", http.StatusOK, "/-/ready"},
		{get, "/metrics", http.StatusOK, "gonomaly_config_last_reload_successful 1\n"},
		{get, "/-/healthy", http.StatusOK, "healthy"},
		{get, "/-/alerts", http.StatusOK, `"alerts":[]`},
		{get, "/-/keys", http.StatusOK, `"keys":[]`},
		{get, "/-/reload", http.StatusMethodNotAllowed, ""},
		{post, "/-/healthy", http.StatusMethodNotAllowed, ""},
		{post, "/metrics", http.StatusMethodNotAllowed, ""},
		{get, "/-/nothing", http.StatusNotFound, ""},
		{get, "/debug/pprof/", http.StatusNotFound, ""},
	} {
		p.want(c.method, c.path, c.status, c.text)
	}
}

// Without a broker it serves, says so, and ends in time.
func TestWithoutBroker(t *testing.T) {
	for name, gone := range map[string]bool{"never there": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, settings, "machines")
			if !gone {
				w.broker.Close()
			}
			p := w.start()
			if gone {
				w.produce("machines", 500)
				p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
				w.broker.Close()
			}
			p.eventually("not ready", func() error { return p.says(get, "/-/ready", http.StatusServiceUnavailable, "stream records: ") })
			p.want(get, "/-/healthy", http.StatusOK, "healthy")
			p.quit()
		})
	}
}

func TestErrorsAtTheStart(t *testing.T) {
	w := newWorld(t, settings, "machines")
	for _, c := range []struct{ old, new, says string }{
		{"half_life: 100", "half_life: -1", "half_life"},
		{"${DIR}/alerts.jsonl", "${DIR}", "open alerts file"},
		{"${DIR}/state", "/dev/null/state", "/dev/null"},
	} {
		w.edit(c.old, c.new)
		if _, err := service.New(service.Options{Load: w.load, Log: discard}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("New with %s: %v, want an error that says %s", c.new, err, c.says)
		}
		w.configure(settings)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // it listens only
	s, err := service.New(service.Options{Load: w.load, Listen: taken.Addr().String(), Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "open the HTTP port: ") {
		t.Errorf("Run on a port that is taken: %v, want an error that says so", err)
	}
}
