package main

import (
	"regexp"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// panel is one picture: what it shows, and what to do when it looks bad.
type panel struct {
	shape   shape
	title   string
	says    string
	alert   string // its runbook is linked
	unit    string // one of Grafana's
	red     float64
	below   bool // red is below, and not from, that value
	stacked bool
	queries []query
}

// query is PromQL with two abbreviations: {process} and {stream} begin the matchers of what the viewer has chosen, and [rate] is a range as
// wide as Grafana's resolution asks for.
type query struct{ expr, legend string }

type shape int

const (
	lines  shape = iota // over time, a third of the width
	wide                // over time, half of the width
	number              // now, in large letters
	list                // a table of what is now
)

// one is a panel's only query.
func one(expr string, legend ...string) []query {
	return []query{{expr, strings.Join(legend, " ")}}
}

// quantiles are the median and the 99th percentile of a classic histogram, by labels.
func quantiles(histogram, matchers, by string) []query {
	rest := strings.TrimSuffix("le, "+by, ", ")
	legend := ""
	if by != "" {
		legend = " {{" + by + "}}"
	}
	of := func(q, name string) query {
		return query{"histogram_quantile(" + q + ", sum by (" + rest + ") (rate(" + histogram + "_bucket" + matchers + "[rate])))", name + legend}
	}
	return []query{of("0.5", "p50"), of("0.99", "p99")}
}

// chosen replaces the abbreviations of a query.
var chosen = strings.NewReplacer(
	"{stream", `{job=~"$job", instance=~"$instance", stream=~"$stream"`,
	"{process", `{job=~"$job", instance=~"$instance"`,
	"{recorded", `{job=~"$job", stream=~"$stream"`, // by a rule, over all instances
	"{sinks", `{job=~"$job"`, // by a rule, over all instances
	"[rate]", "[$__rate_interval]",
)

func (q query) promQL() string { return chosen.Replace(q.expr) }

// exemplary are the histograms whose buckets name traces.
var exemplary = regexp.MustCompile(`gonomaly_(alert_latency|sink_delivery)_seconds_bucket`)

func (p panel) targets() []cog.Builder[variants.Dataquery] {
	var all []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		t := prometheus.NewDataqueryBuilder().Expr(q.promQL()).LegendFormat(q.legend).RefId(string(rune('A' + i))).Datasource(source())
		switch p.shape {
		case list:
			t.Instant().Format(prometheus.PromQueryFormatTable)
		case number:
			t.Instant()
		case lines, wide:
			t.Range()
			if i == len(p.queries)-1 && exemplary.MatchString(q.expr) { // the others are of the same buckets
				t.Exemplar(true)
			}
		}
		all = append(all, t)
	}
	return all
}

// thresholds turn red what somebody should look at.
func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "green"}}
	switch {
	case p.below:
		steps = []dashboard.Threshold{{Color: "red"}, {Color: "green", Value: &p.red}}
	case p.red > 0:
		steps = append(steps, dashboard.Threshold{Color: "red", Value: &p.red})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (p panel) links() []cog.Builder[dashboard.DashboardLink] {
	if p.alert == "" {
		return nil
	}
	return []cog.Builder[dashboard.DashboardLink]{
		dashboard.NewDashboardLinkBuilder("Runbook: " + p.alert).Type(dashboard.DashboardLinkTypeLink).Url(runbook(p.alert)).TargetBlank(true),
	}
}

// runbook is where an alert's runbook is.
func runbook(alert string) string { return repository + "docs/runbooks/" + alert + ".md" }

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	switch p.shape {
	case number:
		n := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Unit(p.unit).Datasource(source()).Height(4).Span(4).
			Targets(p.targets()).Links(p.links()).Thresholds(p.thresholds()).ColorMode(common.BigValueColorModeBackground).
			GraphMode(common.BigValueGraphModeNone).ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
		if p.unit == "percentunit" {
			n.Decimals(2) // a promise of 99.99 % that is just missed is not shown as 100 %, in red
		}
		return n
	case list:
		return table.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Unit(p.unit).Datasource(source()).Height(8).Span(12).
			Targets(p.targets()).Links(p.links()).Thresholds(p.thresholds()).
			WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{"excludeByName": map[string]any{"Time": true}}})
	case lines, wide:
	}
	t := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Unit(p.unit).Datasource(source()).Height(8).Span(8).
		Targets(p.targets()).Links(p.links()).Thresholds(p.thresholds()).Min(0).FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom))
	if p.shape == wide {
		t.Span(12)
	}
	if p.red > 0 {
		t.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.stacked {
		t.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(40)
	}
	return t
}
