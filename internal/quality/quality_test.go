package quality

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be asked is refused, and not passed over in silence.
func TestRefused(t *testing.T) {
	for want, o := range map[string]Options{
		"--only is nabs": {Only: []string{"nabs"}, Seeds: 1},
		"--data":         {Only: []string{"nab"}, Seeds: 1},
		"--seeds is 0":   {},
	} {
		o.Log = io.Discard
		if _, err := Run(t.Context(), io.Discard, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run(%+v) = %v, want an error with %q", o, err, want)
		}
	}
}

// A figure below its floor is told by name; a floor whose question was not asked holds nothing up.
func TestFloor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "floor.json")
	if err := os.WriteFile(path, []byte(`{"a": 2, "b": 2, "c": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFloor(path)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Check(&Report{Figures: map[string]float64{"a": 1.5, "b": 2}})
	if err == nil || err.Error() != "a is 1.5, want 2 or more" {
		t.Errorf("Check = %v, want that a is 1.5", err)
	}
}
