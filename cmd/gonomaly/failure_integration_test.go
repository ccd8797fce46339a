//go:build integration && unix

package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

const busy = `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: "<name>${GROUP:-}"}
instance: ${GONOMALY_INSTANCE:-one}
checkpoints: {every: 300ms}
streams:
  - name: machines
    topics: [<name>.in]
    group: "<name>${GROUP:-}"
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: metric, values: [temp]}, {kind: ewma, half_life: 30}]
    drift: [{kind: adwin, on: scores}]
    alert: {false_alarms: 1 per 1000 points, cool_down: 30m, topic: "<name>.in${GROUP:-}.alerts"}
sinks: [{kind: redis}]
`

// kill -9 in the middle of the stream, twice, once with Redis flushed before the restart: a committed reader finds the alerts of an
// undisturbed run, each once, and so does Redis.
func TestKill(t *testing.T) {
	w := newWorld(t)
	w.ownRedis()
	config := w.file("gonomaly.yaml", busy)
	topic := w.name + ".in"
	const events = 400_000
	w.gonomaly("produce", "--topic", topic, "--events", strconv.Itoa(events), "--keys", "200", "--anomalies", "5")

	for i, flush := range []bool{false, true} {
		p := w.run(config)
		w.eventually("it is in the middle", func() error {
			behind, err := kafka.Behind(t.Context(), w.opts, w.name, topic)
			if err == nil && behind > int64(events*(3-i)/4) {
				err = fmt.Errorf("%d records to go", behind)
			}
			return err
		})
		p.kill()
		behind, err := kafka.Behind(t.Context(), w.opts, w.name, topic)
		if err != nil || behind == 0 {
			t.Fatalf("it was not killed in the middle: %d records to go, %v", behind, err)
		}
		t.Logf("killed with %d of %d records to go", behind, events)
		if flush {
			if err := w.redisClient().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := w.run(config)
	w.caughtUp(w.name, topic)
	if n := p.metric("gonomaly_restores_total", "from", "log"); n == 0 {
		t.Error("no partition was rebuilt from its log, although Redis was flushed")
	}
	alerts := w.alerts(topic + ".alerts")

	undisturbed := w.run(config, "GROUP=.undisturbed", "GONOMALY_INSTANCE=other")
	w.caughtUp(w.name+".undisturbed", topic)
	want := w.alerts(topic + ".undisturbed.alerts")
	undisturbed.terminate()
	w.same("after two kills", alerts, want)
	w.eventually("Redis has every alert", func() error {
		if lag := p.metric("gonomaly_sink_lag_records", "topic", topic+".alerts"); lag > 0 {
			return fmt.Errorf("%v to go", lag)
		}
		return nil
	})
	w.same("Redis", w.redisAlerts(), want)
	t.Logf("%d alerts, the same as undisturbed", len(want))
}

// outage is how long Redis is away: a minute, or what OUTAGE says.
func outage() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("OUTAGE")); err == nil {
		return d
	}
	return time.Minute
}

// What an outage of Redis may take.
const (
	recoveryTime = 15 * time.Second // until the state is checkpointed as before
	noise        = 250 * time.Millisecond
)

// Redis is stopped under load: detection and the alerts topic go on, no alert is later than those of another process whose Redis stays,
// memory stays flat, readiness and metrics say what is wrong; when it is back the state is soon checkpointed as before, and every alert is
// there, once.
func TestRedisOutage(t *testing.T) {
	w := newWorld(t)
	w.ownRedis()
	undisturbed := w.file("undisturbed.yaml", busy)
	server := w.ownRedis()
	config := w.file("gonomaly.yaml", busy)
	topic := w.name + ".in"
	away := outage()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		w.gonomaly("produce", "--topic", topic, "--rate", "10000", "--for", (away + 2*recoveryTime).String(), "--keys", "100", "--anomalies", "5")
	}()
	p, other := w.run(config), w.run(undisturbed, "GROUP=.undisturbed", "GONOMALY_INSTANCE=other")
	w.eventually("alerts are delivered", func() error {
		if n := p.metric("gonomaly_sink_deliveries_total", "outcome", "delivered"); n < 5 {
			return fmt.Errorf("%v deliveries", n)
		}
		return nil
	})
	w.eventually("ready", p.ready)
	w.eventually("the other is ready", other.ready)
	before, otherBefore, age := p.latencies(), other.latencies(), p.metric("gonomaly_checkpoint_age_seconds")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	w.eventually("readiness says what is wrong", func() error {
		if code, body := p.get("/-/ready"); code != http.StatusServiceUnavailable || !strings.Contains(body, "redis") {
			return fmt.Errorf("%d: %s", code, body)
		}
		return nil
	})
	time.Sleep(away / 4)
	early, firstRSS := len(w.alerts(topic+".alerts")), p.rss()
	most := firstRSS
	for time.Since(stopped) < away {
		time.Sleep(time.Second)
		most = max(most, p.rss())
	}
	without, ordinary := p.latencies().since(before).quantile(0.99), other.latencies().since(otherBefore).quantile(0.99)
	late := len(w.alerts(topic + ".alerts"))
	if late <= early {
		t.Errorf("the alerts topic stands at %d alerts while Redis is away", late)
	}
	if lag := p.metric("gonomaly_time_lag_seconds"); lag > 5 {
		slow(t, "detection lags by %v s while Redis is away", lag)
	}
	if most > firstRSS+64<<20 {
		t.Errorf("memory grows from %d to %d MiB while Redis is away", firstRSS>>20, most>>20)
	}
	for _, want := range []struct {
		metric string
		labels []string
	}{
		{"gonomaly_sink_lag_records", []string{"sink", "redis"}},
		{"gonomaly_sink_failures_total", []string{"sink", "redis"}},
		{"gonomaly_sink_retries_total", []string{"sink", "redis"}},
		{"gonomaly_sink_oldest_undelivered_seconds", []string{"sink", "redis"}},
		{"gonomaly_checkpoints_total", []string{"outcome", "failed"}},
	} {
		if p.metric(want.metric, want.labels...) == 0 {
			t.Errorf("%s is 0 while Redis is away", want.metric)
		}
	}
	if code, body := p.get("/-/healthy"); code != http.StatusOK {
		t.Errorf("the loops make progress, yet it is not healthy: %d %s", code, body)
	}
	if without > 2*ordinary+noise {
		slow(t, "99 of 100 alerts come within %v while Redis is away, within %v where it is not", without, ordinary)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	w.eventually("checkpoints are as old as before", func() error {
		if now := p.metric("gonomaly_checkpoint_age_seconds"); now > age+4 { // a second more for each partition
			return fmt.Errorf("they are %.1f s old together, %.1f s before", now, age)
		}
		return nil
	})
	recovered := time.Since(back)
	if recovered > recoveryTime {
		slow(t, "checkpoints are as old as before %v after Redis is back, want at most %v", recovered, recoveryTime)
	}
	<-loaded
	w.caughtUp(w.name, topic)
	alerts := w.alerts(topic + ".alerts")
	w.eventually("Redis has every alert", func() error {
		n, err := w.redisClient().XLen(t.Context(), w.name+":alerts").Result()
		if err == nil && int(n) < len(alerts) {
			err = fmt.Errorf("%d of %d", n, len(alerts))
		}
		return err
	})
	w.same("Redis", w.redisAlerts(), alerts)
	w.eventually("ready again", p.ready)
	t.Logf("away for %v: 99 of 100 alerts come within %v, and within %v where it is not; alerts went from %d to %d, memory from %d to at most %d MiB; "+
		"checkpoints as before after %v; all %d alerts in Redis once",
		away, without, ordinary, early, late, firstRSS>>20, most>>20, recovered.Round(time.Millisecond), len(alerts))
}

// histogram is how many observations lie at or below each bound.
type histogram map[float64]uint64

// latencies are those of the alerts so far.
func (p *process) latencies() histogram {
	p.w.Helper()
	h := histogram{}
	for _, m := range p.family("gonomaly_alert_latency_seconds").Metric {
		for _, b := range m.Histogram.Bucket {
			h[b.GetUpperBound()] += b.GetCumulativeCount()
		}
	}
	return h
}

func (h histogram) since(before histogram) histogram {
	since := histogram{}
	for bound, n := range h {
		since[bound] = n - before[bound]
	}
	return since
}

// quantile is where a share of the observations lies below, as Prometheus estimates it.
func (h histogram) quantile(share float64) time.Duration {
	bounds := slices.Sorted(maps.Keys(h))
	rank := share * float64(h[bounds[len(bounds)-1]])
	lower, below := 0.0, 0.0
	for _, bound := range bounds {
		n := float64(h[bound])
		if math.IsInf(bound, 1) {
			bound = 2 * lower
		}
		if n >= rank && n > below {
			return time.Duration((lower + (bound-lower)*(rank-below)/(n-below)) * float64(time.Second)).Round(time.Millisecond)
		}
		lower, below = bound, n
	}
	return 0
}

// rss is the process's resident memory in bytes.
func (p *process) rss() int64 { return int64(p.metric("process_resident_memory_bytes")) }
