package quality

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Pairs by hand: of anomalies at 3 and 2 and others at 1, 2 and 4 the pairs 3>1, 3>2, 2>1 count 1 and 2=2 a half, of 6.
func TestAUC(t *testing.T) {
	inf := math.Inf(-1)
	for _, c := range []struct {
		scores  []float64
		anomaly []bool
		want    float64
	}{
		{[]float64{3, 1, 2, 2, 4}, []bool{true, false, true, false, false}, 3.5 / 6},
		{[]float64{1, 2, 3}, []bool{false, false, true}, 1},
		{[]float64{1, 2, 3}, []bool{true, false, false}, 0},
		{[]float64{5, 5, 5, 5}, []bool{true, false, true, false}, 0.5},
		{[]float64{inf, inf, 1}, []bool{true, false, false}, 0.25}, // in warm-up
	} {
		if got := auc(c.scores, c.anomaly); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("auc(%v, %v) = %v, want %v", c.scores, c.anomaly, got, c.want)
		}
	}
}

// writeGzip writes a file of the folder that the questions read.
func writeGzip(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	g := gzip.NewWriter(f)
	if _, err := g.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A folder with one set, in which the anomalies are the last rows and the largest, gets a table in which the row number is right.
func TestPointsQuestion(t *testing.T) {
	dir := t.TempDir()
	rows := "f1,f2,label\n" + strings.Repeat("1,2,0\n2,1,0\n1,3,0\n", 100) + strings.Repeat("90,90,1\n", 6)
	writeGzip(t, filepath.Join(dir, "points", "toy.csv.gz"), rows)
	var b strings.Builder
	r, err := Run(context.Background(), &b, Options{Data: dir, Only: []string{"points"}, Seeds: 2, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| in file order | toy |", "| row number | 1.000 |", "| minus row number | 0.000 |", "| length of x | 1.000 |", "| shuffled | toy |", "| reversed |", "| **mean** |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if got := r.Figures["points.file.toy.points"]; got != 1 {
		t.Errorf("the figure is %v, want 1", got)
	}
}
