package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// sheet is a dashboard as Grafana reads it: as much of it as is drawn.
type sheet struct {
	Title, Description string
	Panels             []pane
}

// pane is a panel of a sheet, or the title of a row.
type pane struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Min        *float64
			Thresholds struct {
				Steps []struct {
					Value *float64
					Color string
				}
			}
			Custom struct {
				Stacking        struct{ Mode string }
				ThresholdsStyle struct{ Mode string }
			}
		}
	}
}

// views are where and when a dashboard is looked at.
type views struct {
	prometheus string // URL
	from, to   time.Time
}

// points is about how many a line has: a picture is small.
const points = 120

// step is that between two points.
func (v views) step() time.Duration {
	return max(time.Second, v.to.Sub(v.from)/points).Round(time.Second)
}

// draw writes a picture of each dashboard of a directory, with what a Prometheus has for its queries.
func (v views) draw(ctx context.Context, dashboards, into string) error {
	files, err := filepath.Glob(filepath.Join(dashboards, "*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s has no dashboards: run make dashboards", dashboards)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Clean(f))
		if err != nil {
			return err
		}
		var s sheet
		if err := json.Unmarshal(text, &s); err != nil {
			return fmt.Errorf("read %s: %w", f, err)
		}
		picture, err := v.picture(ctx, &s)
		if err != nil {
			return fmt.Errorf("draw %s: %w", s.Title, err)
		}
		name := strings.TrimSuffix(filepath.Base(f), ".json") + ".svg"
		if err := os.WriteFile(filepath.Join(into, name), picture, 0o644); err != nil { //nolint:gosec // to be read by everybody
			return err
		}
	}
	return nil
}

// filled is a query with all that a viewer may choose: everything, over the time that is shown.
func (v views) filled(expr string) string {
	return strings.NewReplacer(
		"$__rate_interval", model.Duration(max(20*time.Second, 4*v.step())).String(), "$__range", model.Duration(v.to.Sub(v.from).Round(time.Second)).String(),
		"$job", ".+", "$instance", ".+", "$stream", ".+",
	).Replace(expr)
}

// line is a series of a panel, by what its legend calls it.
type line struct {
	name   string
	labels model.Metric
	values []model.SamplePair
}

// lines are what a panel's queries return over time.
func (v views) lines(ctx context.Context, p *pane) ([]line, error) {
	var all []line
	for _, t := range p.Targets {
		var found struct{ Result model.Matrix }
		err := v.ask(ctx, "query_range", map[string]string{
			"query": v.filled(t.Expr), "start": stamp(v.from), "end": stamp(v.to), "step": v.step().String(),
		}, &found)
		if err != nil {
			return nil, err
		}
		for _, s := range found.Result {
			all = append(all, line{legend(t.LegendFormat, s.Metric), s.Metric, s.Values})
		}
	}
	return all, nil
}

// now are what a panel's queries return at the end of the time that is shown.
func (v views) now(ctx context.Context, p *pane) ([]line, error) {
	var all []line
	for _, t := range p.Targets {
		var found struct{ Result model.Vector }
		if err := v.ask(ctx, "query", map[string]string{"query": v.filled(t.Expr), "time": stamp(v.to)}, &found); err != nil {
			return nil, err
		}
		for _, s := range found.Result {
			all = append(all, line{legend(t.LegendFormat, s.Metric), s.Metric, []model.SamplePair{{Timestamp: s.Timestamp, Value: s.Value}}})
		}
	}
	return all, nil
}

// legend fills a legend's {{label}}; without one the labels themselves stand there.
func legend(format string, m model.Metric) string {
	if format == "" {
		return m.String()
	}
	for name, value := range m {
		format = strings.ReplaceAll(format, "{{"+string(name)+"}}", string(value))
	}
	return strings.TrimSpace(format)
}

// columns are the labels that a table has, in the order of their names.
func columns(rows []line) []model.LabelName {
	met := map[model.LabelName]bool{}
	var all []model.LabelName
	for _, r := range rows {
		for name := range r.labels {
			if !met[name] {
				met[name] = true
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}
