package config

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	for _, test := range []struct{ text, want, wrong string }{
		{text: "plain", want: "plain"},
		{text: "${TEXT}", want: "machines"},
		{text: "a${TEXT}b${NUMBER}", want: "amachinesb7"},
		{text: "${EMPTY}", want: ""},
		{text: "${TEXT:-other}", want: "machines"},
		{text: "${EMPTY:-other}", want: "other"},
		{text: "${UNSET:-other}", want: "other"},
		{text: "${UNSET:-}", want: ""},
		{text: "${UNSET:-a:-b$$}", want: "a:-b$$"}, // a default is taken as it is
		{text: "$$TEXT $${TEXT}", want: "$TEXT ${TEXT}"},
		{text: "${UNSET}", wrong: "UNSET, which is not set"},
		{text: "${UNSET:?the address}", wrong: "UNSET: the address"},
		{text: "${EMPTY:?the address}", wrong: "EMPTY: the address"},
		{text: "${UNSET:?}", wrong: "UNSET: it is empty or not set"},
		{text: "$TEXT", wrong: "$$ for a dollar"},
		{text: "${TEXT", wrong: "$$ for a dollar"},
		{text: "${}", wrong: "$$ for a dollar"},
		{text: "${TEXT-x}", wrong: "$$ for a dollar"},
		{text: "${A:-${TEXT}}", wrong: "$$ for a dollar"}, // no nesting
		{text: "5$", wrong: "$$ for a dollar"},
	} {
		got, err := expand(test.text, environment)
		switch {
		case test.wrong == "" && (err != nil || got != test.want):
			t.Errorf("expand(%q) = %q, %v, want %q", test.text, got, err, test.want)
		case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
			t.Errorf("expand(%q): %v, want an error with %q", test.text, err, test.wrong)
		}
	}
}

// A variable is a value, whatever it holds.
func TestVariablesAreValues(t *testing.T) {
	c := parseString(t, `
instance: ${INJECTION}
streams: [{name: "${TEXT}", topics: [in], decode: {values: x}, detectors: [{kind: ewma, warm_up: `+"!!int 7"+`}], max_series: 3}]
`)
	if want, _ := environment("INJECTION"); c.Instance != want || len(c.Streams) != 1 {
		t.Errorf("instance is %q beside %d streams, want %q beside one", c.Instance, len(c.Streams), want)
	}
	c = parseString(t, "streams:\n- name: ${NUMBER}\n  topics: [in]\n  decode: {values: x}\n  detectors: [{kind: ewma}]\n  max_series: ${NUMBER}\n")
	if s := c.Streams[0]; s.Name != "7" || s.MaxSeries != 7 {
		t.Errorf("name %q and max_series %d, want both 7, each in its own type", s.Name, s.MaxSeries)
	}
}
