package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources/generate"
)

// terminal is the show: a sink as any other, which prints each alert beside what is known of it, and a line of progress each second.
type terminal struct {
	out      io.Writer
	colour   bool
	injected []generate.Injection

	mu   sync.Mutex
	told int // alerts that came, of whatever status
	open int // those printed
}

// Check is part of sinks.Config.
func (t *terminal) Check() error { return nil }

// New is part of sinks.Config: the terminal is its own sink.
func (t *terminal) New(sinks.Env) (sinks.Sink, error) { return t, nil }

// Send prints alerts that open an incident or tell that it became worse. That an incident is over is counted only.
func (t *terminal) Send(_ context.Context, ds []*sinks.Delivery) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, d := range ds {
		if d.Alert.Status != pipeline.Resolve {
			if _, err := fmt.Fprintln(t.out, t.lines(&d.Alert)); err != nil {
				return n, err
			}
			t.open++
		}
		t.told++
	}
	return len(ds), nil
}

// lines is an alert as
//
//	ALERT  nyc_taxi  2014-11-27 08:00  [Thanksgiving]
//	       value is 4943, expected 13280 (6731 to 19829): …
func (t *terminal) lines(a *pipeline.Alert) string {
	word, colour := "ALERT", red
	if a.Status == pipeline.Update {
		word, colour = "WORSE", yellow
	}
	return fmt.Sprintf("%s  %s  %s  %s\n       %s", t.paint(colour, word), a.Key, a.Time.Format("2006-01-02 15:04"), t.truth(a), a.Reason)
}

// truth says what is known to have been going on at the time of an alert.
func (t *terminal) truth(a *pipeline.Alert) string {
	if a.Key == generate.TaxiKey {
		if name := occasion(a, generate.TaxiAnomalies()); name != "" {
			return t.paint(green, "["+name+"]")
		}
		return t.paint(grey, "[no named event]")
	}
	if i, ok := cause(a, t.injected); ok {
		return t.paint(green, fmt.Sprintf("[injected: %s of %s]", strings.ReplaceAll(string(i.Kind), "_", " "), i.Field))
	}
	return t.paint(grey, "[false: nothing was injected]")
}

// count is how many alerts have come.
func (t *terminal) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told
}

// begin says what is to be seen.
func (t *terminal) begin(at net.Addr, brokers []string, o Options, p program) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintf(t.out, `Gonomaly reads two topics of an embedded Kafka broker at %s, and learns what is normal as the records come:
  taxi      %d half-hours of New York's taxi demand, 2014-15 (from the Numenta Anomaly Benchmark); five odd weeks are known by name
  machines  %d reports of %d simulated machines; %d faults are injected at known times
Seed %d, %s events a second. Metrics: http://%s/metrics

`, strings.Join(brokers, ","), p.taxi, p.fleet, p.machines, len(t.injected), o.Seed, thousands(int64(o.Rate)), at)
}

// watch prints a line of progress each tick until ctx is done, and returns the largest time lag seen, in seconds. It reads the metrics
// that anybody can scrape.
func (t *terminal) watch(ctx context.Context, metrics prometheus.Gatherer, begin time.Time) (lagMax float64) {
	look, say := time.NewTicker(tick/5), time.NewTicker(tick)
	defer look.Stop()
	defer say.Stop()
	before, last := int64(0), begin
	for {
		select {
		case <-ctx.Done():
			return lagMax
		case <-look.C:
			_, lag := read(metrics)
			lagMax = max(lagMax, lag)
		case now := <-say.C:
			events, lag := read(metrics)
			lagMax = max(lagMax, lag)
			t.progress(now.Sub(begin), events, float64(events-before)/now.Sub(last).Seconds(), lag)
			before, last = events, now
		}
	}
}

func (t *terminal) progress(elapsed time.Duration, events int64, rate, lag float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintln(t.out, t.paint(grey, fmt.Sprintf("%3.0f s  %s events  %s/s  time lag %.2f s  %d alerts",
		elapsed.Seconds(), thousands(events), thousands(int64(rate)), lag, t.open)))
}

// read sums the records received over streams, and finds the largest time lag of a partition, in seconds.
func read(metrics prometheus.Gatherer) (records int64, lag float64) {
	families, err := metrics.Gather()
	if err != nil {
		return 0, 0
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "gonomaly_records_received_total":
				records += int64(m.GetCounter().GetValue())
			case "gonomaly_time_lag_seconds":
				lag = max(lag, m.GetGauge().GetValue())
			}
		}
	}
	return records, lag
}

// ANSI escape sequences of colours.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	grey   = "\x1b[90m"
	plain  = "\x1b[0m"
)

func (t *terminal) paint(colour, text string) string {
	if !t.colour {
		return text
	}
	return colour + text + plain
}

// thousands writes n with commas between its thousands.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Print writes the summary for a person.
func (s *Summary) Print(w io.Writer) error {
	soon := ""
	switch {
	case s.Found > 0 && s.DelayMedian < 1:
		soon = "; half of those found at their first point"
	case s.Found > 0:
		soon = fmt.Sprintf("; half of those found within %.0f points of their start", s.DelayMedian)
	}
	_, err := fmt.Fprintf(w, `
Played %s events at %s a second; the largest time lag was %.3f s. %d alerts.
  taxi      %d of %d named events found%s, %d other alerts
  machines  %d of %d injected faults found, %d missed, %d false%s
`, thousands(s.Events), thousands(int64(s.EventsPerSecond)), s.LagSecondsMax, s.Alerts,
		len(s.Named), len(s.Named)+len(s.NamedMissed), named(s.Named), s.Other,
		s.Found, s.Injected, s.Missed, s.False, soon)
	return err
}

func named(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}
