package demo

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/generate"
)

// The whole demo, twice: it finds what it promises, shows it, and both runs tell the same alerts.
func TestRun(t *testing.T) {
	run := func(seed uint64) (Summary, string) {
		var out bytes.Buffer
		s, err := Run(t.Context(), Options{
			Seed: seed, Rate: 1e5, For: 600 * time.Millisecond, Listen: "127.0.0.1:0", Out: &out, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s, out.String()
	}
	first, shown := run(1)
	if first.Events != 60_000 || first.Injected < 15 || first.Found+first.Missed != first.Injected {
		t.Errorf("summary %+v: want 60000 events, and every injection found or missed", first)
	}
	if 10*first.Found < 8*first.Injected {
		t.Errorf("%d of %d injected anomalies are found, want 80 %%", first.Found, first.Injected)
	}
	if limit := int(first.Events) * 2 / 10_000; first.False > limit {
		t.Errorf("%d false alerts, want at most %d", first.False, limit)
	}
	if len(first.NamedMissed) > 0 || first.Other > 5 { // Independence Day and Labor Day's weekend are among them
		t.Errorf("missed %v and %d others, want none missed and at most 5 others", first.NamedMissed, first.Other)
	}
	if n := strings.Count(shown, "\nALERT ") + strings.Count(shown, "\nWORSE "); n != first.Alerts {
		t.Errorf("%d alerts are shown, %d in the summary", n, first.Alerts)
	}
	for _, want := range []string{"[Thanksgiving]", "[injected: ", "value is ", "Metrics: http://127.0.0.1:"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the show lacks %q:\n%s", want, shown)
		}
	}
	second, _ := run(1)
	first.EventsPerSecond, second.EventsPerSecond, first.LagSecondsMax, second.LagSecondsMax = 0, 0, 0, 0
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two runs with one seed differ: %s", diff)
	}
	if other, _ := run(2); other.Digest == first.Digest {
		t.Error("another seed gives the same alerts")
	}
}

func TestTooFewEvents(t *testing.T) {
	_, err := Run(t.Context(), Options{Rate: 1, For: time.Second, Out: io.Discard, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "want 100 events or more") {
		t.Errorf("Run of one event: %v, want how many are needed", err)
	}
}

// While the demo plays, its HTTP port answers as that of the service does.
func TestMetricsAreServed(t *testing.T) {
	out := &watched{found: make(chan string, 1)}
	done := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), Options{Seed: 1, Rate: 5000, For: time.Second, Listen: "127.0.0.1:0", Out: out, Log: slog.New(slog.DiscardHandler)})
		done <- err
	}()
	resp, err := http.Get(<-out.found) //nolint:gosec,noctx // its own port
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), "gonomaly_config_info") {
		t.Errorf("metrics: %v, %.200s", err, body)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// watched looks for the address of the metrics in what is shown.
type watched struct{ found chan string }

var address = regexp.MustCompile(`http://\S+/metrics`)

func (w *watched) Write(b []byte) (int, error) {
	if at := address.FindString(string(b)); at != "" {
		w.found <- at
	}
	return len(b), nil
}

func TestJudge(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	alert := func(key string, at int, status pipeline.Status) pipeline.Alert {
		return pipeline.Alert{ID: key + string(status), Key: key, Kind: pipeline.Anomaly, Status: status, Time: minute(at)}
	}
	injected := []generate.Injection{
		{Machine: "a", Start: minute(100), End: minute(110)},
		{Machine: "a", Start: minute(300), End: minute(310)},
		{Machine: "b", Start: minute(100), End: minute(110)},
	}
	named := []generate.Named{{Name: "fair", Start: minute(10), End: minute(20)}, {Name: "storm", Start: minute(30), End: minute(40)}}
	drift := alert("a", 301, pipeline.Open)
	drift.Kind = pipeline.Drift
	told := []pipeline.Alert{
		alert("a", 104, pipeline.Open), alert("a", 106, pipeline.Update), // found, after 4 points
		alert("b", 119, pipeline.Open),                                       // found in the aftermath, after 19
		alert("a", 99, pipeline.Open),                                        // false: before its time
		alert("c", 105, pipeline.Open),                                       // false: another machine
		alert("a", 301, pipeline.Resolve), alert("c", 106, pipeline.Resolve), // over, and no alerts of their own
		drift, // no anomaly
		alert(generate.TaxiKey, 10, pipeline.Open), alert(generate.TaxiKey, 25, pipeline.Open),
	}
	slices.Reverse(told) // in any order
	got := judge(told, injected, named, time.Minute)
	got.Digest = ""
	want := Summary{
		Alerts: 7, Injected: 3, Found: 2, Missed: 1, False: 2, DelayMedian: 11.5,
		Named: []string{"fair"}, NamedMissed: []string{"storm"}, Other: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestSummaryOfDelays(t *testing.T) {
	for _, c := range []struct {
		s    Summary
		want string
	}{
		{Summary{Found: 2, Injected: 2}, " false; half of those found at their first point\n"},
		{Summary{Found: 2, Injected: 2, DelayMedian: 3}, " false; half of those found within 3 points of their start\n"},
		{Summary{Injected: 2}, " false\n"},
	} {
		var out bytes.Buffer
		if err := c.s.Print(&out); err != nil || !strings.HasSuffix(out.String(), c.want) {
			t.Errorf("%+v: %v, it ends\n%s\nwant%s", c.s, err, &out, c.want)
		}
	}
}
