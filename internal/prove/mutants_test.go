package main

import (
	"path/filepath"
	"testing"
)

// What is measured and is no longer where it was would be measured on both sides.
func TestMeasuresAreOfThisCode(t *testing.T) {
	if _, err := withoutMeasures(filepath.Join("..", "..")); err != nil {
		t.Error(err)
	}
}

// A mutant whose text is no longer in its file switches nothing off: it would be found out only by the long run that is to catch it.
func TestMutantsAreOfThisCode(t *testing.T) {
	described := map[string]bool{}
	for _, m := range mutants {
		described[m.what] = true
		if _, err := m.overlay(filepath.Join("..", "..")); err != nil {
			t.Errorf("%s, %s: %v", m.rule, m.what, err)
		}
	}
	for what := range seconds {
		if !described[what] {
			t.Errorf("no mutant is to %q", what)
		}
	}
}
