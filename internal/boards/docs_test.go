package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each dashboard is explained beside its picture, and a picture is small enough to be read on a page.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(root + "docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"top.svg"}
	for _, b := range boards {
		files = append(files, strings.TrimSuffix(b.file(), ".json")+".svg")
		if title := "## " + strings.TrimPrefix(b.title, "Gonomaly / ") + "\n"; !strings.Contains(string(page), title) {
			t.Errorf("docs/dashboards.md lacks %q", title)
		}
	}
	const most = 300_000 // bytes
	for _, f := range files {
		if !strings.Contains(string(page), "(dashboards/"+f+")") {
			t.Errorf("docs/dashboards.md does not show %s", f)
		}
		if info, err := os.Stat(filepath.Join(root+pictured, f)); err != nil || info.Size() > most {
			t.Errorf("%s: %v, want a picture of at most %d bytes: run make pictures", f, err, most)
		}
	}
}
