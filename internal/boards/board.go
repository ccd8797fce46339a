package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// board is a dashboard: rows of panels, the overview first, the causes below it.
type board struct {
	uid   string
	title string
	says  string // what question it answers
	rows  []row
}

type row struct {
	title  string
	panels []panel
}

// tag is by which the dashboards find each other.
const tag = "gonomaly"

// repository is where the runbooks can be read.
const repository = "https://github.com/gonomaly/gonomaly/blob/main/"

func (b board) file() string {
	return strings.ReplaceAll(strings.TrimPrefix(b.uid, tag+"-"), "-", "_") + ".json"
}

// render is the dashboard as Grafana reads it. Panels are numbered in their order, so that the same source gives the same bytes.
func (b board) render() ([]byte, error) {
	//nolint:staticcheck // the second schema loads in Grafana 12 and later only, and dashboard-linter knows the first better
	d := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.says).Tags([]string{tag}).
		Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).Time("now-3h", "now").Refresh("30s").Timezone("browser").
		Link(dashboard.NewDashboardLinkBuilder("Gonomaly").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{tag}).
			AsDropdown(true).IncludeVars(true).KeepTime(true)).
		Link(dashboard.NewDashboardLinkBuilder("Runbooks").Type(dashboard.DashboardLinkTypeLink).
			Url(repository + "docs/runbooks/README.md").TargetBlank(true))
	for _, v := range variables() {
		d.WithVariable(v)
	}
	id := uint32(0)
	for _, r := range b.rows {
		id++
		d.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		for _, p := range r.panels {
			id++
			d.WithPanel(p.build(id))
		}
	}
	made, err := d.Build()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(made, "", "  ")
	return append(text, '\n'), err
}

// source is the Prometheus that a viewer chooses.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

// variables are what a viewer chooses. The first job is found by a metric that every process has.
func variables() []cog.Builder[dashboard.VariableModel] {
	return []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"),
		choice("job", "Job", "label_values(gonomaly_config_last_reload_successful, job)"),
		choice("instance", "Instance", `label_values(gonomaly_config_last_reload_successful{job=~"$job"}, instance)`),
		choice("stream", "Stream", `label_values(gonomaly_config_info{job=~"$job", instance=~"$instance"}, stream)`),
	}
}

func choice(name, label, query string) cog.Builder[dashboard.VariableModel] {
	everything := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source()).Query(dashboard.StringOrMap{String: &query}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".+").
		Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: everything})
}

// check says what a board lacks that a person at three in the morning would miss.
func (b board) check() error {
	var errs []error
	seen := map[string]bool{}
	for _, r := range b.rows {
		for _, p := range r.panels {
			if seen[p.title] {
				errs = append(errs, fmt.Errorf("%s: two panels are called %q", b.title, p.title))
			}
			seen[p.title] = true
			if p.title == "" || p.says == "" || p.unit == "" || len(p.queries) == 0 {
				errs = append(errs, fmt.Errorf("%s: panel %q lacks a title, a description, a unit or a query", b.title, p.title))
			}
		}
	}
	return errors.Join(errs...)
}
