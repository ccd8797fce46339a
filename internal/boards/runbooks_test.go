package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every alert has a runbook with its parts, every runbook an alert, and what panels link to is there.
func TestRunbooks(t *testing.T) {
	alerts := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			alerts[r.Alert] = true
		}
	}
	for alert := range alerts {
		text, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(runbook(alert), repository)))
		if err != nil {
			t.Errorf("%s has no runbook: %v", alert, err)
			continue
		}
		for _, part := range []string{"# " + alert, "## What users feel", "## First look", "## Usual causes", "## Cure", "## When to escalate"} {
			if !strings.Contains(string(text), part+"\n") {
				t.Errorf("the runbook of %s has no part %q", alert, part)
			}
		}
	}
	files, err := filepath.Glob(root + "docs/runbooks/Gonomaly*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !alerts[strings.TrimSuffix(filepath.Base(f), ".md")] {
			t.Errorf("%s is the runbook of no alert", f)
		}
	}
	for _, b := range boards {
		for _, m := range regexp.MustCompile(regexp.QuoteMeta(repository)+`([\w./-]+)`).FindAllStringSubmatch(rendered(t, b), -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s links to %s: %v", b.title, m[1], err)
			}
		}
	}
}
