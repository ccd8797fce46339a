package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var discard = slog.New(slog.DiscardHandler)

func rendered(t *testing.T, b board) string {
	t.Helper()
	text, err := b.render()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What operators deploy is what is made here.
func TestCommitted(t *testing.T) {
	directory := filepath.Join(root, "config/monitoring/grafana_dashboards")
	var names []string
	for _, b := range boards {
		names = append(names, b.file())
		committed, err := os.ReadFile(filepath.Join(directory, b.file()))
		if err != nil || string(committed) != rendered(t, b) {
			t.Errorf("%s differs from what is made (%v): run make dashboards", b.file(), err)
		}
	}
	files, err := filepath.Glob(filepath.Join(directory, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(names, filepath.Base(f)) {
			t.Errorf("%s is made by nobody: delete it", f)
		}
	}
}

func TestPanels(t *testing.T) {
	for _, b := range boards {
		if err := b.check(); err != nil {
			t.Error(err)
		}
	}
}
