// Package golden compares what tests find with files of the repository, which go test -update writes anew.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write anew the files that tests compare with; read what has changed in them")

// Check fails the test where the file holds anything else than got.
func Check(t testing.TB, file, got string) {
	t.Helper()
	file = filepath.Clean(file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run go test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s has something else (-want +got); see it with go test -update:\n%s", file, diff)
	}
}
