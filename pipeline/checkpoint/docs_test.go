package checkpoint_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

//go:generate go test . -run TestDocs -update

// The page for operators says what the code does: its tables are written from here, with -update.
func TestDocs(t *testing.T) {
	const path = "../../docs/redis.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for begin, table := range map[string]string{
		"<!-- rights, from servers_test.go -->\n": checkpoint.RightsPage(),
		"<!-- troubles, from trouble.go -->\n":    checkpoint.TroublesPage(),
	} {
		head, rest, ok := strings.Cut(page, begin)
		_, tail, ended := strings.Cut(rest, "<!-- end -->")
		if !ok || !ended {
			t.Fatalf("%s has no %s with an end", path, begin)
		}
		page = head + begin + table + "<!-- end -->" + tail
	}
	if page == string(b) {
		return
	}
	if !*update {
		t.Fatalf("%s says something else than the code: go generate ./pipeline/checkpoint", path)
	}
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
}
