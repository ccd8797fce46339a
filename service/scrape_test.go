package service_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const many = 64 // partitions

// scraped starts an instance with many partitions, on all of which it has worked, and returns what scrapes it.
func scraped(t testing.TB) (scrape func() string) {
	t.Helper()
	broker, err := embedded.Start(many, "machines")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	opts, err := kafka.Config{Brokers: broker.Addresses()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: 1, Machines: 1000, Anomalies: 40, WarmUp: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&generate.Producer{Topic: "machines", Events: 50_000}).Run(t.Context(), opts, fleet.Events()); err != nil {
		t.Fatal(err)
	}
	one, _, _ := strings.Cut(settings, "  - name: windows")
	yaml := strings.NewReplacer("${BROKERS}", broker.Addresses()[0], "${DIR}", t.TempDir()).Replace(one)
	open := make(chan net.Addr, 1)
	s, err := service.New(service.Options{
		Load:   func() (*config.Config, error) { return config.Parse("g.yaml", []byte(yaml), nil) },
		Listen: "127.0.0.1:0", Log: discard, Serving: func(at net.Addr) { open <- at },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	url := "http://" + (<-open).String() + "/metrics"
	scrape = func() string {
		resp, err := http.Get(url) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // only read
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		text := scrape()
		all := true
		for id := range many {
			all = all && strings.Contains(text, fmt.Sprintf("gonomaly_time_lag_seconds{partition=\"%d\",stream=\"records\",topic=\"machines\"} 0\n", id)) &&
				strings.Contains(text, fmt.Sprintf("gonomaly_sink_lag_records{partition=\"%d\",sink=\"file\",topic=\"machines.alerts\"} 0\n", id))
		}
		if all {
			return scrape
		}
		if time.Now().After(until) {
			t.Fatalf("not all partitions have caught up:\n%s", text)
		}
	}
}

// A scrape of an instance with many partitions stays small: an instance has as many series as it has partitions, and no more.
func TestScrapeIsSmall(t *testing.T) {
	t.Parallel()
	if n := len(scraped(t)()); n > 1_000_000/4 {
		t.Errorf("a scrape of %d partitions has %d bytes, want a quarter of a megabyte at most, of the one that it may have", many, n)
	}
}

func BenchmarkScrape(b *testing.B) {
	scrape := scraped(b)
	n := 0
	for b.Loop() {
		n = len(scrape())
		b.StopTimer()
		time.Sleep(150 * time.Millisecond) // the next one asks the brokers again
		b.StartTimer()
	}
	b.ReportMetric(float64(n), "bytes")
}
