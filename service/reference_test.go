package service_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/gonomaly/gonomaly/internal/golden"
	"github.com/gonomaly/gonomaly/service"
)

//go:generate go test . -run TestReference -update

// The page says what the code has.
func TestReference(t *testing.T) {
	var page bytes.Buffer
	if err := service.WriteReference(&page); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "../docs/metrics.md", page.String())
}

// atRest are metrics that are 0, or not there, while all is well or where a run is so short, and the test that sees them move.
var atRest = map[string]string{
	"gonomaly_records_replayed_total":                      "service.TestAlertsOnce",
	"gonomaly_series_evicted_total":                        "pipeline.TestEvictionsAreCounted",
	"gonomaly_series_learning":                             "service.TestReady",
	"gonomaly_future_records_total":                        "pipeline.TestFutureRecords",
	"gonomaly_checkpoints_damaged_total":                   "checkpoint.TestEveryDamageIsFound",
	"gonomaly_checkpoints_lost_total":                      "checkpoint.TestLostIsSaidOnce",
	"gonomaly_redis_errors_total":                          "checkpoint.TestWordsOfRedis",
	"gonomaly_tls_certificate_not_after_timestamp_seconds": "service.TestCertificates",
	"gonomaly_kafka_batches_skipped_total":                 "sources.TestTooLargeBatch",
	"gonomaly_kafka_offsets_skipped_total":                 "sources.TestQuarantine",
	"gonomaly_kafka_client_rebuilds_total":                 "sources.TestTwoProcessesOfOneInstance",
	"gonomaly_kafka_data_losses_total":                     "sources.TestWhatGoesWrongIsCounted",
	"gonomaly_kafka_fetch_errors_total":                    "sources.TestWhatGoesWrongIsCounted",
	"gonomaly_messages_cut_total":                          "sources.TestWhatGoesWrongIsCounted",
	"gonomaly_kafka_fenced_total":                          "sources.TestTwoProcessesOfOneInstance",
	"gonomaly_kafka_name_taken":                            "sources.TestTwoProcessesOfOneInstance",
	"gonomaly_kafka_forced_rebalances_total":               "sources.TestOrphan",
	"gonomaly_partitions_unowned":                          "sources.TestOrphan",
	"gonomaly_kafka_gaps_total":                            "sources.TestRetention",
	"gonomaly_kafka_gap_offsets_total":                     "sources.TestRetention",
	"gonomaly_kafka_rebuilds_cut_total":                    "sources.TestRebuildIsBounded",
	"gonomaly_kafka_stuck_total":                           "sources.TestStuckClient",
	"gonomaly_kafka_topics_recreated_total":                "sources.TestTopicIsMadeAnew",
	"gonomaly_memory_rests_total":                          "sources.TestRestForMemory",
	"gonomaly_memory_overruns_total":                       "sources.TestRestForMemory",
	"gonomaly_kafka_lag_records":                           "sources.TestLagIsLookedAt",
	"gonomaly_time_lag_seconds":                            "sources.TestLagIsLookedAt",
	"gonomaly_kafka_withheld_seconds":                      "sources.TestOpenTransaction",
	"gonomaly_restore_records_left":                        "sources.TestRebalanceInTheLog",
	"gonomaly_kafka_authentication_failures_total":         "kafka.TestAuthenticationFailures",
	"gonomaly_kafka_authorization_failures_total":          "kafka.TestAuthorizationFailures",
	"gonomaly_sink_breaker_state":                          "sinks.TestStoppedRedisStallsOnlyItself",
	"gonomaly_sink_failures_total":                         "sinks.TestStoppedRedisStallsOnlyItself",
	"gonomaly_sink_lag_records":                            "sinks.TestStoppedRedisStallsOnlyItself",
	"gonomaly_sink_oldest_undelivered_seconds":             "sinks.TestStoppedRedisStallsOnlyItself",
	"gonomaly_sink_retries_total":                          "sinks.TestRedisFailsAtRandom",
	"gonomaly_sink_rewinds_total":                          "sinks.TestRedisIsFlushed",
	"gonomaly_trace_spans_total":                           "service.TestTraces",
	"gonomaly_kafka_client_buffered_fetch_bytes":           theirs,
	"gonomaly_kafka_client_buffered_fetch_records_total":   theirs,
	"gonomaly_kafka_client_buffered_produce_bytes":         theirs,
	"gonomaly_kafka_client_buffered_produce_records_total": theirs,
	"gonomaly_kafka_client_connect_errors_total":           theirs,
	"gonomaly_kafka_client_disconnects_total":              theirs,
	"gonomaly_kafka_client_read_errors_total":              theirs,
	"gonomaly_kafka_client_write_errors_total":             theirs,
}

const theirs = "the client library sets it"

// A service tells all metrics of the page, each of the type and with the labels that the page has; and each has another value than 0, or does
// not while all is well.
func TestEveryMetricIsEmitted(t *testing.T) {
	address := miniredis.RunT(t).Addr()
	w := newWorld(t, strings.NewReplacer(`store: file, directory: "${DIR}/state"`, "store: redis",
		"kafka:", "redis: {address: "+address+", key_prefix: all}\nkafka:", `sinks: [`, "sinks: [{kind: redis}, ", "  - name: windows", "    probe: {every: 1s}\n  - name: windows").Replace(settings), "machines")
	scraped := exposition{types: map[string]string{}, labels: map[string]map[string]bool{}, sums: map[string]float64{}}
	for range 2 {
		p := w.start()
		w.produce("machines", 4000)
		want := append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
		w.wantOnce("alerts.jsonl", want, "records", "windows")
		p.want(post, "/-/reload", http.StatusOK, "reloaded")
		for _, name := range []string{"gonomaly_partitions_unowned", "gonomaly_sink_lag_records", "gonomaly_sink_delivery_seconds_count", "gonomaly_probe_last_return_timestamp_seconds"} {
			p.eventually(name+" is told", func() error { return p.has(name) })
		}
		p.eventually("probes return", func() error {
			if n, _ := p.metric("gonomaly_probes_total", `outcome="returned"`); n < partitions {
				return fmt.Errorf("%v", n)
			}
			return nil
		})
		p.eventually("checkpoints are stored", func() error {
			if n, _ := p.metric("gonomaly_checkpoints_total", `outcome="stored"`); n < 2*partitions {
				return fmt.Errorf("%v", n)
			}
			return nil
		})
		_, text := p.ask(get, "/metrics")
		scraped.add(t, text)
		p.quit()
	}
	sections, err := service.Reference()
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, s := range sections {
		for _, m := range s.Metrics {
			documented[m.Name] = true
			_, rests := atRest[m.Name]
			switch {
			case scraped.types[m.Name] == "" && !rests:
				t.Errorf("%s is never told", m.Name)
			case scraped.types[m.Name] == "":
			case scraped.types[m.Name] != m.Type:
				t.Errorf("%s is a %s, the page says %s", m.Name, scraped.types[m.Name], m.Type)
			case !slices.Equal(slices.Sorted(maps.Keys(scraped.labels[m.Name])), slices.Sorted(slices.Values(m.Labels))):
				t.Errorf("%s has the labels %v, the page says %v", m.Name, slices.Sorted(maps.Keys(scraped.labels[m.Name])), m.Labels)
			case scraped.sums[m.Name] == 0 && !rests:
				t.Errorf("%s is 0 all the time: does anything set it?", m.Name)
			}
		}
	}
	for name := range scraped.types {
		if strings.HasPrefix(name, "gonomaly_") && !documented[name] {
			t.Errorf("%s is not on the page", name)
		}
	}
	for name, test := range atRest {
		if !documented[name] {
			t.Errorf("%s is said to rest, and is no metric", name)
		}
		if test != theirs && !exists(t, test) {
			t.Errorf("%s is seen to move by %s, which does not exist", name, test)
		}
	}
}

// exists says whether a test is there, which is named by package and function.
func exists(t *testing.T, test string) bool {
	t.Helper()
	name, function, _ := strings.Cut(test, ".")
	dir := map[string]string{"checkpoint": "../pipeline/checkpoint", "kafka": "../sources/kafka"}[name]
	if dir == "" {
		dir = "../" + name
	}
	files, err := filepath.Glob(dir + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("func "+function+"(")) {
			return true
		}
	}
	return false
}

// exposition is what scrapes have shown of each metric: its type, the names of its labels, and the sum of its values, or of a histogram's
// observations.
type exposition struct {
	types  map[string]string
	labels map[string]map[string]bool
	sums   map[string]float64
}

func (e *exposition) add(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(rest), " ")
			e.types[name], e.labels[name] = kind, map[string]bool{}
		}
		if !strings.HasPrefix(line, "gonomaly_") {
			continue
		}
		at := strings.LastIndex(strings.TrimSpace(line), " ")
		series, text := line[:at], strings.TrimSpace(line[at:])
		name, labels, _ := strings.Cut(series, "{")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, part); base != name && e.types[base] == "histogram" {
				if name = base; part != "_count" {
					value = 0
				}
				break
			}
		}
		if e.labels[name] == nil {
			t.Fatalf("%q has no type", line)
		}
		for one := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
			if label, _, ok := strings.Cut(one, "="); ok && label != "le" {
				e.labels[name][label] = true
			}
		}
		e.sums[name] += value
	}
}
