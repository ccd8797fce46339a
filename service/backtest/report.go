package backtest

import (
	_ "embed"
	"html/template"
	"os"
	"path/filepath"
)

//go:embed report.html.tmpl
var reportPage string

var report = template.Must(template.New("report").Parse(reportPage))

// reportFiles is how many files are drawn; all are listed.
const reportFiles = 60

// writeReport writes one page that needs nothing else: no script, no network.
func writeReport(path, stream string, files []File) (err error) {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return err
	}
	type drawnFile struct {
		File
		Series []*lines
		Fields []string
	}
	page := struct {
		Stream string
		Files  []drawnFile
		Drawn  int
	}{Stream: stream, Drawn: min(len(files), reportFiles)}
	for i, file := range files {
		d := drawnFile{File: file}
		if i < reportFiles {
			d.Series, d.Fields = file.chart.series, file.chart.fields
		}
		page.Files = append(page.Files, d)
	}
	if err := report.Execute(f, page); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
