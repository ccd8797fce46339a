package quality

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// Every kind has a time on every set, and a figure where there are ten fields.
func TestCostQuestion(t *testing.T) {
	dir := t.TempDir()
	writeGzip(t, filepath.Join(dir, "points", "toy.csv.gz"), "a,b,c,d,e,f,g,h,i,j,label\n"+strings.Repeat("1,2,3,4,5,6,7,8,9,0,0\n2,1,4,3,6,5,8,7,0,9,0\n", 100))
	var b strings.Builder
	r, err := Run(context.Background(), &b, Options{Data: dir, Only: []string{"cost"}, Seeds: 1, Log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range multivariate {
		if got := r.Figures["cost.ten_fields."+kind]; !(got < 0) {
			t.Errorf("%s takes %v µs", kind, -got)
		}
	}
	if want := "| µs a point | toy, 10 fields |"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in:\n%s", want, b.String())
	}
}
