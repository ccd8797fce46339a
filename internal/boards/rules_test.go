package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// root is the top of the repository, where tests of this package find what is committed.
const root = "../../"

// rule is an entry of alert_rules.yml.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func (r rule) name() string { return "rule " + r.Record + r.Alert }

func load(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config/monitoring", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	load(t, "alert_rules.yml", &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("alert_rules.yml has no rules")
	}
	return all
}

// Whoever is woken reads what is wrong, with which, by how much, and where it is written what to do.
func TestAlerts(t *testing.T) {
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) || !slices.Contains([]string{"platform", "data", "security"}, r.Labels["team"]) {
			t.Errorf("%s: labels are %v, want severity critical or warning and team platform, data or security", r.Alert, r.Labels)
		}
		if s := r.Annotations["summary"]; !strings.Contains(s, "$labels.") {
			t.Errorf("%s: the summary does not name the object: %q", r.Alert, s)
		} else if !strings.Contains(s, "$value") && !slices.Contains(figureless, r.Alert) {
			t.Errorf("%s: the summary has no figure: %q", r.Alert, s)
		}
		if got, want := r.Annotations["runbook_url"], runbook(r.Alert); got != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, got, want)
		}
		if r.Annotations["description"] == "" {
			t.Errorf("%s says nothing of what it means", r.Alert)
		}
	}
}

// figureless are alerts of which there is no more to say than that it is so.
var figureless = []string{"GonomalyDown", "GonomalyFenced", "GonomalyInstanceDown", "GonomalyReloadRefused"}

// promtool's tests, which .ci/run runs, have each alert fire and stay silent.
func TestEveryRuleIsTested(t *testing.T) {
	type tests struct {
		Tests []struct {
			Alerts []struct {
				Alertname string
				Expected  []struct {
					Labels map[string]string `yaml:"exp_labels"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Expressions []struct{ Expr string } `yaml:"promql_expr_test"`
		}
	}
	var all tests
	for _, name := range []string{"alert_rules_test.yml", "alert_rules_week_test.yml"} {
		var file tests
		load(t, name, &file)
		all.Tests = append(all.Tests, file.Tests...)
	}
	fires, silent, recorded := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, test := range all.Tests {
		for _, a := range test.Alerts {
			for _, e := range a.Expected {
				fires[a.Alertname+" "+e.Labels["severity"]] = true
			}
			if len(a.Expected) == 0 {
				silent[a.Alertname] = true
			}
		}
		for _, e := range test.Expressions {
			uses, err := asked("a test of rules", e.Expr)
			if err != nil {
				t.Error(err)
			}
			for _, u := range uses {
				recorded[u.name] = true
			}
		}
	}
	for _, r := range rules(t) {
		switch {
		case r.Record != "" && !recorded[r.Record]:
			t.Errorf("no test looks at %s", r.Record)
		case r.Alert != "" && !fires[r.Alert+" "+r.Labels["severity"]]:
			t.Errorf("no test has %s fire as %s", r.Alert, r.Labels["severity"])
		case r.Alert != "" && !silent[r.Alert]:
			t.Errorf("no test has %s be silent", r.Alert)
		}
	}
}
