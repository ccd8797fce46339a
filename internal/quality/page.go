package quality

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const pageHead = `# Quality

How good the detectors are, beside the published ones and beside dummies that know nothing. This page is made by

` + "```" + `
gonomaly bench quality --data DIR --output docs/quality.md              # or: make quality DATA=DIR OUTPUT=docs/quality.md
gonomaly bench quality --data DIR --output docs/quality.md --only nab   # one section anew, the others stay
` + "```" + `

DIR has ` + "`nab/`" + ` (31 files of the Numenta Anomaly Benchmark), ` + "`points/`" + ` (sets of ADBench), ` + "`sensors/`" + ` (17 runs of the Skoltech Anomaly Benchmark) and
` + "`drift/elec.csv.gz`" + ` (Electricity). Every score is of a row that is not yet learned; no minimum, maximum or length of a file is known in advance; each kind has its
defaults, the same for all data; what depends on a seed is the median of several, with its range. Settings were compared on these files while the
detectors were made (some 15 variants of ` + "`metric`" + `, 55 of the law of ranked scores, 330 of ` + "`points`" + `, settings of the drift monitors): figures on files that nobody has looked at are lower.

Peers were not run by the command: their figures are published results, scored anew by the same rules where there are raw results, or were
measured by others on the same files. "Wanted" is what was set out to reach.
`

const shortTitle = "Where Gonomaly falls short"

// WritePage asks the questions, and puts the answers into the Markdown file at path, its plots into a folder beside it that is named as the file is.
// Sections of questions that were not asked stay as they are.
func WritePage(ctx context.Context, path string, o Options) (*Report, error) {
	before, err := os.ReadFile(path) //nolint:gosec // a file that the user names
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	dir := strings.TrimSuffix(path, filepath.Ext(path))
	if err := os.MkdirAll(dir, 0o750); err != nil { // before the long work
		return nil, err
	}
	var b bytes.Buffer
	r := newReport(&b, o)
	r.folder = filepath.Base(dir)
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	for name, svg := range r.plots {
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), svg, 0o644); err != nil { //nolint:gosec // for all to read
			return nil, err
		}
	}
	return r, os.WriteFile(path, []byte(page(sections(string(before)), sections(b.String()))), 0o644) //nolint:gosec // for all to read
}

// sections are the parts of a page by their titles.
func sections(text string) map[string]string {
	parts := map[string]string{}
	for _, part := range strings.Split("\n"+text, "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		parts[title] = strings.TrimSpace(body)
	}
	return parts
}

// page puts sections together in the order of the questions, the newer ones in place of older ones, and tells first what was not reached.
func page(older, newer map[string]string) string {
	var short, all strings.Builder
	for _, q := range questions {
		body, ok := newer[q.title]
		if !ok {
			if body, ok = older[q.title]; !ok {
				body = fmt.Sprintf("Not asked yet: `--only %s`.", q.name)
			}
		}
		fmt.Fprintf(&all, "\n## %s\n\n%s\n", q.title, body)
		for line := range strings.Lines(body) {
			if strings.HasSuffix(line, loss+" |\n") {
				fmt.Fprintf(&short, "| %s %s", q.name, line)
			}
		}
	}
	text := pageHead + "\n## " + shortTitle + "\n\n"
	if short.Len() == 0 {
		return text + "In no figure that was set out to be reached.\n" + all.String()
	}
	return text + "| question | " + strings.Join(goalHeader, " | ") + " |\n|" + strings.Repeat(" --- |", 1+len(goalHeader)) + "\n" + short.String() + all.String()
}
