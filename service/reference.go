package service

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Metric is what the reference says of one.
type Metric struct {
	Name, Type, Unit, Meaning string
	Labels                    []string
}

// kafkaClients is the section of what clients have by themselves.
const kafkaClients = "Kafka clients"

// unasked are metrics that the Kafka client library registers and sets only where they are asked for.
var unasked = regexp.MustCompile(`^gonomaly_kafka_client_((fetch|produce)_(batches|records|compressed_bytes)_total|(read|write)_(time|wait)_seconds|request_.*_seconds)$`)

// Section is a part of the reference: the metrics of one part of the process.
type Section struct {
	Title, About string
	Metrics      []Metric
}

// Reference lists the metrics of a service, as they are registered and not as somebody has written them down. Those of the Go runtime and of
// the process are the client library's own.
func Reference() ([]Section, error) {
	redis := checkpoint.DefaultRedis()
	quiet := slog.New(slog.DiscardHandler)
	var sections []Section
	seen := map[string]bool{}
	for _, part := range []struct {
		title, about string
		register     func(prometheus.Registerer) error
	}{
		{
			"Records, points, alerts and checkpoints", "Of each stream, by what its workers do.",
			func(reg prometheus.Registerer) error { pipeline.NewMetrics(reg); return nil },
		},
		{
			"Lag, the loop and transactions", "Of each stream's source.",
			func(reg prometheus.Registerer) error { sources.NewKafkaMetrics(reg); return nil },
		},
		{
			"Sinks", "Of each sink: what became of the alerts in the alerts topics.",
			func(reg prometheus.Registerer) error { sinks.NewMetrics(reg); return nil },
		},
		{
			"Traces", "See [tracing.md](tracing.md).",
			func(reg prometheus.Registerer) error { tracing.NewMetrics(reg); return nil },
		},
		{
			"Store of checkpoints, and Redis", "",
			func(reg prometheus.Registerer) error {
				client, err := redis.Client(reg)
				if err != nil {
					return err
				}
				checkpoint.NewRedis(client, redis.KeyPrefix, reg, quiet)
				return client.Close()
			},
		},
		{
			kafkaClients, "The label client is the stream, with ` preparing` behind it for what is looked up before it joins its group, and ` probing` for its\n" +
				"probes. Those that begin with `gonomaly_kafka_client_` are the client library's own.",
			kafka.Register,
		},
		{
			"Configuration and build", "",
			func(reg prometheus.Registerer) error { newMetrics(reg, Build{}); return nil },
		},
	} {
		c := catalogue{metrics: map[string]*Metric{}}
		if err := part.register(&c); err != nil {
			return nil, fmt.Errorf("list the metrics of %s: %w", strings.ToLower(part.title), err)
		}
		s := Section{Title: part.title, About: part.about}
		for _, name := range slices.Sorted(maps.Keys(c.metrics)) {
			if unasked.MatchString(name) {
				continue
			}
			if part.title == kafkaClients && strings.HasPrefix(name, "gonomaly_kafka_client_") {
				c.metrics[name].Labels = append([]string{"client"}, c.metrics[name].Labels...)
			}
			if !seen[name] { // the last part makes all the others, too
				seen[name] = true
				s.Metrics = append(s.Metrics, *c.metrics[name])
			}
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// catalogue is a registerer that notes what is registered.
type catalogue struct{ metrics map[string]*Metric }

// Register is part of prometheus.Registerer.
func (c *catalogue) Register(collector prometheus.Collector) error {
	kind := kindOf(collector)
	descs := make(chan *prometheus.Desc)
	go func() {
		collector.Describe(descs)
		close(descs)
	}()
	var failed error
	for d := range descs {
		m, err := describe(d, kind)
		if err != nil {
			failed = err
			continue
		}
		if before := c.metrics[m.Name]; before != nil {
			m.Labels = slices.Compact(slices.Sorted(slices.Values(append(m.Labels, before.Labels...))))
		}
		c.metrics[m.Name] = &m
	}
	return failed
}

// MustRegister is part of prometheus.Registerer.
func (c *catalogue) MustRegister(all ...prometheus.Collector) {
	for _, one := range all {
		if err := c.Register(one); err != nil {
			panic(err)
		}
	}
}

// Unregister is part of prometheus.Registerer.
func (c *catalogue) Unregister(prometheus.Collector) bool { return true }

// kindOf is the type of what a collector collects: as its metrics have it, if it has any before anything happens, or as its own type tells;
// "" where neither does.
func kindOf(collector prometheus.Collector) string {
	collected := make(chan prometheus.Metric)
	go func() {
		collector.Collect(collected)
		close(collected)
	}()
	kind := ""
	for one := range collected {
		var m dto.Metric
		switch err := one.Write(&m); {
		case err != nil:
		case m.GetCounter() != nil:
			kind = "counter"
		case m.GetHistogram() != nil:
			kind = "histogram"
		case m.GetGauge() != nil:
			kind = "gauge"
		}
	}
	switch collector.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	}
	return kind
}

// descText is how a description prints itself, which is the only way to read it.
var descText = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*")(?:, unit: "[^"]*")?, constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

func describe(d *prometheus.Desc, kind string) (Metric, error) {
	parts := descText.FindStringSubmatch(d.String())
	if parts == nil {
		return Metric{}, fmt.Errorf("a description that cannot be read: %s", d)
	}
	name, err1 := strconv.Unquote(parts[1])
	help, err2 := strconv.Unquote(parts[2])
	if err := cmp.Or(err1, err2); err != nil {
		return Metric{}, fmt.Errorf("a description that cannot be read: %s: %w", d, err)
	}
	m := Metric{Name: name, Meaning: help, Type: kind, Unit: unitOf(name)}
	if m.Type == "" { // a collector of our own, with nothing in it yet; a test compares with what a service tells
		m.Type = "gauge"
		if strings.HasSuffix(name, "_total") {
			m.Type = "counter"
		}
	}
	for _, list := range parts[3:] {
		for one := range strings.SplitSeq(list, ",") {
			label, _, _ := strings.Cut(one, "=")
			if label != "" {
				m.Labels = append(m.Labels, label)
			}
		}
	}
	slices.Sort(m.Labels)
	return m, nil
}

// units are those of the names whose last word is none.
var units = map[string]string{
	"info": "1", "successful": "0 or 1", "status": "0 or 1", "state": "0, 1 or 2", "letters": "records", "stuck": "times", "fenced": "times", "taken": "0 or 1", "connects": "connections",
	"disconnects": "connections",
}

// participles are last words behind that of which they say something.
var participles = []string{
	"left", "unowned", "learning", "evicted", "suppressed", "replayed", "received", "written", "skipped", "cut", "recreated", "damaged", "lost",
}

// unitOf is the unit of a metric: the last word of its name that is a noun, or as that is meant.
func unitOf(name string) string {
	if strings.HasSuffix(name, "_timestamp_seconds") {
		return "seconds since 1970"
	}
	words := strings.Split(strings.TrimSuffix(name, "_total"), "_")
	last := words[len(words)-1]
	if slices.Contains(participles, last) {
		last = words[len(words)-2]
	}
	return cmp.Or(units[last], last)
}

// WriteReference writes the page for operators.
func WriteReference(out io.Writer) error {
	sections, err := Reference()
	if err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString(`# Metrics

What ` + "`/metrics`" + ` has, made from the code by ` + "`gonomaly schema metrics`" + `. Labels are bounded: a key, an offset or a record's text is never one. Each histogram
is classic and native, but for those of the Kafka clients. Counters stand at 0 from the start. Those of the Go runtime (` + "`go_…`" + `) and of the process (` + "`process_…`" + `)
are as Prometheus' client library has them.
`)
	for _, s := range sections {
		fmt.Fprintf(&page, "\n## %s\n\n", s.Title)
		if s.About != "" {
			page.WriteString(s.About + "\n\n")
		}
		page.WriteString("| name | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n")
		for _, m := range s.Metrics {
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Unit, strings.ReplaceAll(m.Meaning, "|", `\|`))
		}
	}
	_, err = io.WriteString(out, page.String())
	return err
}
