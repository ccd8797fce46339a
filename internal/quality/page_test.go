package quality

import (
	"bufio"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A section that is asked anew takes the place of the older one, the others stay, and what is not reached, or below others, is told first.
func TestPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docs", "quality.md")
	write := func(only string) string {
		t.Helper()
		if _, err := WritePage(t.Context(), path, Options{Only: []string{only}, Seeds: 1, Log: io.Discard}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := write("charts")
	if !strings.HasPrefix(first, pageHead) || strings.Count(first, "\n## ") != 1+len(questions) || !strings.Contains(first, "Not asked yet: `--only nab`.") || !strings.Contains(first, "| EWMA, λ = 0.05") {
		t.Errorf("the page is\n%s", first)
	}

	older, newer := map[string]string{}, map[string]string{"Control charts: points until an alarm": "new"}
	for _, q := range questions {
		older[q.title] = "old " + q.name
	}
	older[questions[0].title] = "| m | x 3 | 2 | 1 | **no**, **others are better** |\n| n | – | 2 | 2 | yes |\n\nend"
	want := `
## Where Gonomaly falls short

| question | measured | best of others | wanted | got | reached |
| --- | --- | --- | --- | --- | --- |
| nab | m | x 3 | 2 | 1 | **no**, **others are better** |
`
	for _, q := range questions {
		want += "\n## " + q.title + "\n\n" + cmp.Or(newer[q.title], older[q.title]) + "\n"
	}
	got := strings.TrimPrefix(page(older, newer), pageHead)
	if got != want {
		t.Errorf("page = %s\nwant %s", got, want)
	}
	if again := page(sections(pageHead+got), nil); again != pageHead+got {
		t.Errorf("a page that is read is written as\n%s", again)
	}
}

// Figures are held against what is wanted and against others, each to the digits that are printed.
func TestGoals(t *testing.T) {
	var b strings.Builder
	r := &Report{Figures: map[string]float64{"drift.x_perm": 0.8996, "drift.y_swap": 0.5}, folder: "quality", plots: map[string][]byte{}, w: bufio.NewWriter(&b)}
	r.goals("drift")
	_ = r.w.Flush()
	for _, want := range []string{
		"| F1, abrupt x_perm, `adwin`, rises of the error | SEED 0.896 | 0.900 | 0.900 | yes |\n",
		"| F1, abrupt y_swap, `adwin`, rises of the error | SEED 0.566 | 0.600 | 0.500 | **no**, **others are better** |\n",
		"![drift](quality/drift.svg)",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report is\n%s\nwant %s", b.String(), want)
		}
	}
	if svg := string(r.plots["drift"]); strings.Count(svg, "<circle") != 4 || !strings.HasSuffix(svg, "</svg>\n") {
		t.Errorf("the plot is\n%s", svg)
	}
}

// Every goal is below a question, and of a figure that has its name.
func TestGoalsAreOfQuestions(t *testing.T) {
	for question, all := range goals {
		if !slices.Contains(Names(), question) {
			t.Errorf("goals of %s, which nobody asks", question)
		}
		for _, g := range all {
			if !strings.HasPrefix(g.figure, question+".") {
				t.Errorf("goal %s of the question %s", g.figure, question)
			}
		}
	}
}
