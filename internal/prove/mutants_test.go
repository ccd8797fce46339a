package main

import (
	"os"
	"path/filepath"
	"strings"
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
	for _, m := range mutants {
		b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.file)))
		if err != nil {
			t.Error(err)
			continue
		}
		if n := strings.Count(string(b), m.old); n == 0 {
			t.Errorf("%s, %s: %s has nothing like\n%s", m.rule, m.what, m.file, m.old)
		}
	}
}
