package decode

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

func TestConfigIsChecked(t *testing.T) {
	x := Fields{"x"}
	csv := Config{Format: "csv", Columns: []string{"x", "y"}, Values: x}
	timed := func(c Time) Config { return Config{Values: x, Time: c} }
	for _, c := range []struct {
		config Config
		names  string // of the values complained about
	}{
		{Config{}, "values"},
		{Config{Values: x, Format: "xml"}, "format"},
		{Config{Values: x, Columns: []string{"x"}}, "columns"},
		{Config{Values: x, Format: "csv"}, "columns"},
		{Config{Values: x, Format: "csv", Columns: []string{"x", "", "", "x"}}, "columns[3]"},
		{Config{Values: Fields{"x", "x"}, Key: Fields{"k", "l", "k"}}, "key[2] values[1]"},
		{Config{Values: Fields{"", ".x", "x.", "a..b", `x\`, `x\y`, "\xff"}},
			"values[0] values[1] values[2] values[3] values[4] values[5] values[6]"},
		{Config{Values: x, MaxBytes: -1, MaxDepth: 1001, MaxAhead: -time.Second}, "max_bytes max_depth max_ahead"},
		{Config{Values: x, MaxBytes: 100<<20 + 1, MaxDepth: -1}, "max_bytes max_depth"},
		{Config{Format: "csv", Columns: csv.Columns, Key: Fields{"k"}, Values: Fields{"z", ""}, Time: Time{Field: "t"}},
			"key[0] time.field values[0] values[1]"},
		{timed(Time{Field: "t", Unit: "m"}), "time.unit"},
		{timed(Time{Field: "t", Unit: "s", Layout: time.DateTime}), "time.layout"},
		{timed(Time{Field: "t", Layout: "YYYY-MM-DD"}), "time.layout"},
		{timed(Time{Field: "t", Layout: "15:04:05"}), "time.layout"},
		{timed(Time{Field: "t", Layout: time.DateTime, Zone: "Europe/Atlantis"}), "time.zone"},
		{timed(Time{Field: "t", Layout: time.DateTime, Zone: "Local"}), "time.zone"},
		{timed(Time{Field: "t", Zone: "Europe/Berlin"}), "time.zone"},
		{timed(Time{Unit: "s"}), "time.field"},
		{timed(Time{Layout: time.DateTime}), "time.field"},
	} {
		_, err := New(c.config)
		if names := strings.Join(complaints(err), " "); names != c.names {
			t.Errorf("New(%+v) complains about %q, want %q", c.config, names, c.names)
		}
	}
}

func TestEveryLayoutWithADateIsTaken(t *testing.T) {
	for _, layout := range []string{time.DateTime, time.DateOnly, time.ANSIC, time.RFC1123, time.RFC1123Z, time.RFC850, "02/01/06 15h04", "2006-002"} {
		for _, zone := range []string{"", "Europe/Berlin", "Asia/Kolkata"} {
			if _, err := New(Config{Values: Fields{"x"}, Time: Time{Field: "t", Layout: layout, Zone: zone}}); err != nil {
				t.Errorf("layout %q in zone %q: %v", layout, zone, err)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for path, want := range map[string][]string{
		"x": {"x"}, "a.b.c": {"a", "b", "c"}, `a\.b.c`: {"a.b", "c"}, `a\\.b`: {`a\`, "b"}, "é x": {"é x"},
	} {
		if got := split(path); !slices.Equal(got, want) {
			t.Errorf("split(%s) = %q, want %q", path, got, want)
		}
	}
}

// The defaults that New fills in are those that the schema tells.
func TestDefaultsAreThoseOfTheSchema(t *testing.T) {
	d := Defaults()
	for name, want := range map[string]string{"Format": "default=json", "MaxBytes": "default=1048576", "MaxDepth": "default=32", "MaxAhead": "default=10m"} {
		field, _ := reflect.TypeOf(d).FieldByName(name)
		if tag := field.Tag.Get("jsonschema"); !slices.Contains(strings.Split(tag, ","), want) {
			t.Errorf("schema of %s is %q, want %s", name, tag, want)
		}
	}
	if d.Format != "json" || d.MaxBytes != 1048576 || d.MaxDepth != 32 || d.MaxAhead != 10*time.Minute || d.Time.Zone != "UTC" {
		t.Errorf("Defaults() = %+v", d)
	}
}

// complaints are the names of the values that err complains about.
func complaints(err error) (names []string) {
	var value *invalid.Value
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			names = append(names, complaints(e)...)
		}
	} else if errors.As(err, &value) {
		names = append(names, value.Name)
	}
	return names
}
