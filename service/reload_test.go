package service_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/sinks"
)

// A configuration that cannot come into force changes nothing but a metric.
func TestReloadRefuses(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	w.produce("machines", 3000)
	want := append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
	w.wantOnce("alerts.jsonl", want, "records", "windows")
	_, joined := p.metric("gonomaly_kafka_rebalances_total")
	for name, c := range map[string]struct{ old, new, says string }{
		"a typo":              {"half_life: 100", "half_lief: 100", "half_lief"},
		"out of range":        {"half_life: 100", "half_life: -1", "half_life"},
		"no YAML":             {"streams:", "streams: [", "g.yaml:"},
		"another Kafka":       {`["${BROKERS}"]`, `["localhost:1"]`, "a change of kafka needs a new process"},
		"another instance":    {"instance: one", "instance: two", "a change of instance needs a new process"},
		"another store":       {"store: file", "store: memory", "a change of checkpoints needs a new process"},
		"several at once":     {"instance: one", "instance: two\nlisten: 127.0.0.1:1", "a change of instance, listen needs a new process"},
		"a file nobody opens": {"${DIR}/alerts.jsonl", "${DIR}/none/alerts.jsonl", "no such file or directory"},
	} {
		w.edit(c.old, c.new)
		p.want(post, "/-/reload", http.StatusUnprocessableEntity, c.says)
		p.want(post, "/-/reload", http.StatusUnprocessableEntity, "The last good configuration stays in force.")
		if x, n := p.metric("gonomaly_config_last_reload_successful"); x != 0 || n != 1 {
			t.Errorf("%s: gonomaly_config_last_reload_successful is %v, want 0", name, x)
		}
		w.configure(settings)
	}
	w.produce("machines", 2000)
	want = append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
	w.wantOnce("alerts.jsonl", want, "records", "windows")
	if _, n := p.metric("gonomaly_kafka_rebalances_total"); n != joined {
		t.Errorf("%d rebalances, want the %d of the start", n, joined)
	}
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	if x, _ := p.metric("gonomaly_config_last_reload_successful"); x != 1 {
		t.Errorf("after a good one gonomaly_config_last_reload_successful is %v, want 1", x)
	}
	w.edit("cool_down: 30m", "cool_down: 31m")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	for outcome, want := range map[string]float64{"refused": 16, "unchanged": 1, "loaded": 1} {
		if n, _ := p.metric("gonomaly_config_reloads_total", fmt.Sprintf("outcome=%q", outcome)); n != want {
			t.Errorf("%v reloads are %s, want %v", n, outcome, want)
		}
	}
}

// A stream that has changed goes on where it was, and keeps what it knows but for the detector that is new; others are not disturbed.
func TestReloadChangesAStream(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	w.produce("machines", 3000)
	old, windows := w.stream("records"), w.stream("windows")
	before := w.fold(old, everything)
	w.wantOnce("alerts.jsonl", append(w.fold(windows, everything), before...), "records", "windows")
	from := w.committed(old)
	undisturbed, _ := p.metric("gonomaly_restores_total", `stream="windows"`)

	w.edit("{kind: ewma, half_life: 100}", "{kind: ewma, half_life: 30}, {kind: ewma, half_life: 100}", "alerts.jsonl", "more.jsonl")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	changed := w.stream("records")
	if x, n := p.metric("gonomaly_config_info", `stream="records"`, changed.Hash()); x != 1 || n != 1 || changed.Hash() == old.Hash() {
		t.Errorf("the hash of the stream in force is not the new one's")
	}
	w.produce("machines", 3000)
	w.caughtUp(changed)
	w.caughtUp(windows)
	after := w.foldChanged(old, changed, from, from)
	w.compare("the alerts topic", w.told(changed.Alert.Topic), append(before, after...))
	all := w.fold(windows, everything)
	w.compare("the other alerts topic", w.told(windows.Alert.Topic), all)
	w.eventually("the new file has the alerts since", func() error {
		if got, want := len(w.written("alerts.jsonl"))+len(w.written("more.jsonl")), len(before)+len(after)+len(all); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
	w.compare("the files", append(w.written("alerts.jsonl"), w.written("more.jsonl")...), append(append(all, before...), after...))
	if n := len(w.written("more.jsonl")); n < len(after) {
		t.Errorf("%d alerts are in the new file, want all %d since", n, len(after))
	}
	if n, _ := p.metric("gonomaly_kafka_client_rebuilds_total"); n != 0 {
		t.Errorf("%v clients failed: the stream before and after were in each other's way", n)
	}
	if n, _ := p.metric("gonomaly_restores_total", `stream="windows"`); n != undisturbed {
		t.Errorf("the stream that has not changed is restored %v times, want %v", n, undisturbed)
	}
}

// While a stream gives way to what it changes into the process is not ready, nor does it forget that it has the stream.
func TestReloadIsNotReady(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	unready := 0
	for reload := 0; reload < 50 && unready == 0 && !t.Failed(); reload++ { // the look may come too late for one
		w.edit("cool_down: 30m", "cool_down: 31m", "cool_down: 31m", "cool_down: 30m", "cool_down: 60m", "cool_down: 61m", "cool_down: 61m", "cool_down: 60m")
		reloaded := make(chan error, 1)
		go func() { reloaded <- p.service.Reload() }()
		for over := false; !over; {
			if r := p.service.Readiness(); len(r.Streams) != 2 {
				t.Errorf("ready %v, of %d streams, want 2", r.Ready, len(r.Streams))
			} else if !r.Ready {
				unready++
			}
			if n := len(p.service.Health().Loops); n != 2 {
				t.Errorf("healthy, of %d streams, want 2", n)
			}
			select {
			case err := <-reloaded:
				if over = true; err != nil {
					t.Error(err)
				}
			case <-time.After(time.Millisecond):
			}
			over = over || t.Failed()
		}
	}
	if unready == 0 {
		t.Error("it was ready all the time")
	}
}

// A change of what is learned waits while the state cannot be stored; sinks change all the same.
func TestReloadIsPending(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	w.produce("machines", 2000)
	w.caughtUp(w.stream("records"))
	state := filepath.Join(w.dir, "state")
	if err := os.Rename(state, state+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, nil, 0o600); err != nil { // in its place
		t.Fatal(err)
	}
	w.produce("machines", 500)
	p.eventually("not ready", func() error {
		return p.says(get, "/-/ready", http.StatusServiceUnavailable, "stream records: machines/0: save checkpoint")
	})
	w.edit("half_life: 100", "half_life: 30")
	p.want(post, "/-/reload", http.StatusUnprocessableEntity, "stays pending")
	w.edit("half_life: 30", "half_life: 100", "alerts.jsonl", "more.jsonl")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	w.edit("half_life: 100", "half_life: 30")
	if err := errors.Join(os.Remove(state), os.Rename(state+".away", state)); err != nil {
		t.Fatal(err)
	}
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
}

// Processes with the configuration before and after take partitions from each other, as in a rolling deployment: nothing is lost or told
// twice, each goes on from the state that the other has left, and incidents go on under their ids. The change adds a monitor that finds
// nothing, so that what is to be told does not depend on who has a partition when.
func TestRollingChange(t *testing.T) {
	before, _, _ := strings.Cut(settings, "  - name: windows")
	before = strings.NewReplacer(`store: file, directory: "${DIR}/state"`, "store: redis", "kafka:", "redis: {address: "+miniredis.RunT(t).Addr()+", key_prefix: rolling}\nkafka:",
		`{kind: file, path: "${DIR}/alerts.jsonl"}`, "").Replace(before)
	w := newWorld(t, before, "machines")
	old := w.stream("records")
	w.edit("    alert:", "    drift: [{kind: page_hinkley, on: values, lambda: 1e9}]\n    alert:", "instance: one", "instance: two")
	loaded := map[string]*config.Config{}
	load := func(instance, yaml string) {
		w.configure(yaml)
		c, err := w.load()
		if err != nil {
			t.Fatal(err)
		}
		loaded[instance] = c
	}
	load("two", w.yaml)
	load("one", before)
	as := func(instance string) func(*service.Options) {
		return func(o *service.Options) { o.Load = func() (*config.Config, error) { return loaded[instance], nil } }
	}
	var all []*process
	running := map[string]*process{}
	for turn, change := range []string{"one", "two", "-one", "one", "-two", "two", "-one"} {
		if instance, leaves := strings.CutPrefix(change, "-"); leaves {
			running[instance].wantNoRebuild(change, turn)
			running[instance].quit()
			delete(running, instance)
		} else {
			running[change] = w.start(as(change))
			all = append(all, running[change])
		}
		for instance, p := range running {
			p.eventually(fmt.Sprintf("turn %d, %s: %s has its partitions", turn, change, instance), func() error {
				if _, n := p.metric("gonomaly_series"); n != partitions/len(running) {
					return fmt.Errorf("it has %d", n)
				}
				return nil
			})
		}
		w.produce("machines", 1000)
		w.caughtUp(old)
	}
	for _, p := range running {
		p.wantNoRebuild("the end", len(all))
		p.quit()
	}
	seen, opened := func(alerts []pipeline.Alert) (seen []string) {
		for _, a := range alerts {
			seen = append(seen, fmt.Sprintf("%d/%d %s %s %d", a.Origin.Partition, a.Origin.Offset, a.Key, a.Status, a.Revision))
		}
		return seen
	}, map[string]bool{}
	told := w.toldAlerts(old.Alert.Topic)
	w.compare("the alerts topic", seen(told), seen(w.alerts(old, old, everything, everything)))
	hashes := map[string]int{}
	for _, a := range told {
		opened[a.ID] = a.Status == pipeline.Open
		hashes[a.ConfigHash]++
	}
	for _, a := range told {
		if !opened[a.Incident] {
			t.Errorf("%s of incident %s, which nobody has opened", a.Status, a.Incident)
		}
	}
	if len(hashes) != 2 {
		t.Errorf("alerts by configuration are %v, want some of both", hashes)
	}
}

// wantNoRebuild wants that each partition was taken over from its checkpoint, or is new.
func (p *process) wantNoRebuild(when string, turn int) {
	p.Helper()
	if n, _ := p.metric("gonomaly_restores_total", `from="log"`); n != 0 {
		p.Errorf("turn %d, %s: %v partitions were rebuilt from the log, want none", turn, when, n)
	}
}

// A stream that is gone leaves no gauge behind. When it comes back it goes on where it was.
func TestReloadRemovesAStream(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	w.produce("machines", 2000)
	gauges := map[string]string{
		"gonomaly_series": `stream="windows"`, "gonomaly_watermark_timestamp_seconds": `stream="windows"`,
		"gonomaly_checkpoint_age_seconds": `stream="windows"`, "gonomaly_checkpoint_bytes": `stream="windows"`,
		"gonomaly_kafka_lag_records": `stream="windows"`, "gonomaly_time_lag_seconds": `stream="windows"`,
		"gonomaly_partition_status": `stream="windows"`, "gonomaly_partitions_unowned": `stream="windows"`,
		"gonomaly_loop_last_progress_timestamp_seconds": `stream="windows"`,
		"gonomaly_config_info":                          `stream="windows"`, "gonomaly_kafka_client_connects_total": `client="windows"`,
		"gonomaly_sink_lag_records": `topic="windows.alerts"`, "gonomaly_sink_oldest_undelivered_seconds": `topic="windows.alerts"`,
	}
	for name, label := range gauges {
		p.eventually(name+" of the stream", func() error { return p.has(name, label) })
	}
	w.caughtUp(w.stream("windows"))
	told := w.told("windows.alerts")
	_, windows, _ := strings.Cut(settings, "  - name: windows")
	w.edit("  - name: windows"+windows, "")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	for name, label := range gauges {
		if _, n := p.metric(name, label); n != 0 {
			t.Errorf("%s has %d series of the stream that is gone, want none", name, n)
		}
	}
	stays := strings.NewReplacer("windows.alerts", "machines.alerts", "windows", "records")
	for name, label := range gauges {
		p.eventually(name+" of the stream that stays", func() error { return p.has(name, stays.Replace(label)) })
	}
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	w.produce("machines", 2000)
	w.caughtUp(w.stream("records"))
	w.compare("the alerts topic of the stream that is gone", w.told("windows.alerts"), told)

	w.configure(settings)
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	want := append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
	w.wantOnce("alerts.jsonl", want, "records", "windows")
}

// A stream that comes is waited for like any other, and its alerts are carried.
func TestReloadAddsAStream(t *testing.T) {
	before, windows, _ := strings.Cut(settings, "  - name: windows")
	w := newWorld(t, before, "machines")
	p := w.start()
	w.produce("machines", 2000)
	w.wantOnce("alerts.jsonl", w.fold(w.stream("records"), everything), "records")
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	w.configure(before + "  - name: late" + strings.Replace(windows, "[machines]", "[late]", 1))
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	p.eventually("it says what the new stream waits for", func() error {
		return p.says(get, "/-/ready", http.StatusServiceUnavailable, "stream late: topic late does not exist")
	})
	w.createTopic("late")
	w.produce("late", 3000)
	w.wantOnce("alerts.jsonl", append(w.fold(w.stream("records"), everything), w.fold(w.stream("late"), everything)...), "records", "late")
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	p.quit()
	if n := w.members(w.stream("late").Group); n != 0 {
		t.Errorf("after the end the new stream's group has %d members, want none", n)
	}
}

// A sink that is gone leaves no gauge behind.
func TestReloadRemovesASink(t *testing.T) {
	w := newWorld(t, strings.Replace(settings, "sinks: [", `sinks: [{name: second, kind: file, path: "${DIR}/second.jsonl"}, `, 1), "machines")
	p := w.start()
	sinks := []string{"gonomaly_sink_lag_records", "gonomaly_sink_oldest_undelivered_seconds", "gonomaly_sink_breaker_state", "gonomaly_sink_deliveries_total"}
	for _, name := range sinks {
		p.eventually(name, func() error { return p.has(name, `sink="second"`) })
	}
	w.edit(`{name: second, kind: file, path: "${DIR}/second.jsonl"}, `, "")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	for _, name := range sinks {
		if _, n := p.metric(name, `sink="second"`); n != 0 {
			t.Errorf("%s has %d series of the sink that is gone, want none", name, n)
		}
	}
}

// The process's own sinks outlive a reload, and the level of its log follows it.
func TestReloadKeepsOptions(t *testing.T) {
	w := newWorld(t, "log: {level: warn}\n"+settings, "machines")
	var level slog.LevelVar
	own := sinks.SinkConfig{Name: "own", Kind: "file", Params: &sinks.FileConfig{Path: filepath.Join(w.dir, "own.jsonl"), Format: "json"}}
	p := w.start(func(o *service.Options) { o.Level, o.Sinks = &level, []sinks.SinkConfig{own} })
	if level.Level() != slog.LevelWarn {
		t.Errorf("at the start the level is %v, want %v", level.Level(), slog.LevelWarn)
	}
	for yaml, want := range map[string]slog.Level{"log: {level: debug}\n" + settings: slog.LevelDebug, settings: slog.LevelInfo} {
		w.configure(strings.Replace(yaml, "sinks: [{kind: file", "sinks: [{name: "+want.String()+", kind: file", 1))
		p.want(post, "/-/reload", http.StatusOK, "reloaded")
		if level.Level() != want {
			t.Errorf("after a reload the level is %v, want %v", level.Level(), want)
		}
	}
	w.produce("machines", 2000)
	want := append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
	w.wantOnce("own.jsonl", want, "records", "windows")
}

// A reload that the end comes upon is answered, and holds nothing up.
func TestReloadAtTheEnd(t *testing.T) {
	w := newWorld(t, settings, "machines")
	p := w.start()
	w.produce("machines", 1000)
	w.edit("half_life: 100", "half_life: 30")
	answered := make(chan error, 1)
	go func() { answered <- p.service.Reload() }()
	p.quit()
	if err := <-answered; err != nil && !strings.Contains(err.Error(), "the service has stopped") {
		t.Errorf("Reload at the end: %v, want nil or that the service has stopped", err)
	}
	if err := p.service.Reload(); err == nil {
		t.Error("Reload of a service that has stopped: no error")
	}
	next := w.start()
	w.produce("machines", 2000)
	w.caughtUp(w.stream("windows"))
	w.compare("the other alerts topic", w.told("windows.alerts"), w.fold(w.stream("windows"), everything))
	next.quit()
}
