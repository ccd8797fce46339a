package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// emitting is a configuration that has everything which has metrics of its own. Nothing of it is connected to.
const emitting = `
kafka: {brokers: ["127.0.0.1:1"]}
redis: {address: "127.0.0.1:1"}
streams:
  - name: machines
    topics: [machines]
    decode: {format: json, key: machine, time: {field: ts, unit: ms}, values: [temp]}
    detectors: [{kind: ewma, half_life: 30}]
sinks: [{kind: redis}]
`

// unshown are metrics that are emitted, and in no panel and no rule.
var unshown = map[string]string{
	"go_|process_": "of Go and of the process: we show those that tell of trouble, the others are for who looks for a cause by hand",
	"gonomaly_kafka_client_(connects|disconnects)_total":                                 "a steady coming and going; errors and bytes are shown",
	"gonomaly_kafka_client_(fetch|produce)_.*":                                           "of each broker and topic; gonomaly_records_received_total and the bytes read tell the same of a stream",
	"gonomaly_kafka_client_buffered_(fetch_bytes|produce_bytes|produce_records_total).*": "buffered_fetch_records_total tells the same, in records",
	"gonomaly_kafka_client_(read|write)_(time|wait)_seconds":                             "kprom describes these and observes nothing: its histograms are off",
	"gonomaly_kafka_client_request_.*_seconds":                                           "kprom describes these and observes nothing: its histograms are off, for they do not part requests by kind, and fetches wait for records on purpose: of slow brokers tells gonomaly_transaction_seconds",
}

// others are series that Prometheus makes.
var others = []string{"up"}

// emitted are the names of all metrics of a process, with their labels. A registry describes itself: no broker and no load is needed.
func emitted(t *testing.T) map[string][]string {
	t.Helper()
	s, err := service.New(service.Options{
		Load: func() (*config.Config, error) {
			return config.Parse("emitting.yaml", []byte(emitting), func(string) (string, bool) { return "", false })
		},
		Log: discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	opts, err := kafka.Config{Brokers: []string{"127.0.0.1:1"}}.Options()
	if err != nil {
		t.Fatal(err)
	}
	// A client registers its metrics when it is made, which streams and sinks do when they run.
	clients := prometheus.NewRegistry()
	client, err := kgo.NewClient(kafka.Observed(opts, kafka.NewMetrics(clients), "any", discard)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)

	descriptions := make(chan *prometheus.Desc)
	go func() {
		s.Gatherer().(*prometheus.Registry).Describe(descriptions)
		clients.Describe(descriptions)
		close(descriptions)
	}()
	names := map[string][]string{}
	for d := range descriptions {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%v: want a description with name and labels", d)
		}
		labels := append(strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' }), constant.FindAllString(m[2], -1)...)
		for i := range labels {
			labels[i] = strings.TrimSuffix(labels[i], "=")
		}
		names[m[1]] = append(names[m[1]], labels...)
	}
	return names
}

var (
	described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: .*, constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)
	constant  = regexp.MustCompile(`[a-z_]+=`)
)

// use is a series that a panel or a rule asks for.
type use struct{ where, name string }

// asked are all series that an expression asks for.
func asked(where, expr string) ([]use, error) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(grafana.Replace(expr))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", where, err, expr)
	}
	var all []use
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			all = append(all, use{where, s.Name})
		}
		return nil
	})
	return all, nil
}

// grafana stands in for what Grafana puts into a query.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h")

// everywhere are the series that any panel or rule asks for.
func everywhere(t *testing.T) []use {
	t.Helper()
	var all []use
	add := func(where, expr string) {
		uses, err := asked(where, expr)
		if err != nil {
			t.Error(err)
		}
		all = append(all, uses...)
	}
	for _, b := range boards {
		for _, r := range b.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					add(b.title+", "+p.title, q.promQL())
				}
			}
		}
		for _, m := range regexp.MustCompile(`label_values\(([^()]+), \w+\)`).FindAllStringSubmatch(rendered(t, b), -1) {
			add(b.title+", its variables", strings.ReplaceAll(m[1], `\"`, `"`))
		}
	}
	for _, r := range rules(t) {
		add(r.name(), r.Expr)
	}
	return all
}

// No panel and no rule names what nothing emits.
func TestNames(t *testing.T) {
	names := emitted(t)
	known := map[string]bool{}
	for name := range names {
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			known[name+suffix] = true
		}
	}
	for _, name := range others {
		known[name] = true
	}
	for _, r := range rules(t) {
		known[r.Record] = true
	}
	for _, u := range everywhere(t) {
		if !known[u.name] {
			t.Errorf("%s asks for %s, which nothing emits", u.where, u.name)
		}
	}
}

// What is emitted, and recorded, is shown or judged somewhere, or there is a reason.
func TestNothingIsEmittedInVain(t *testing.T) {
	used := map[string]bool{}
	for _, u := range everywhere(t) {
		used[u.name] = true
	}
	names := emitted(t)
	for _, r := range rules(t) {
		if r.Record != "" {
			names[r.Record] = nil
		}
	}
	excused := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if used[name] || used[name+"_bucket"] || used[name+"_sum"] || used[name+"_count"] {
			continue
		}
		why := ""
		for pattern := range unshown {
			if regexp.MustCompile("^(" + pattern + ")").MatchString(name) {
				why, excused[pattern] = pattern, true
			}
		}
		if why == "" {
			t.Errorf("%s is in no panel and no rule: show it, or say in unshown why not", name)
		}
	}
	for pattern := range unshown {
		if !excused[pattern] {
			t.Errorf("unshown excuses %s, which needs none", pattern)
		}
	}
}
