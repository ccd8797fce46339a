package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is foretold stands in words. That it comes so is tested where it happens, in pipeline and service.
func TestForetell(t *testing.T) {
	const file = `checkpoints: {store: file, directory: d}
streams:
  - name: a
    topics: [in]
    decode: {values: [x, y]}
    detectors: [{kind: ewma, half_life: 10}, {kind: ewma, half_life: 20}]
    drift: [{kind: adwin, on: values}]
`
	before := parseString(t, file)
	for _, c := range []struct{ old, new, want string }{
		{"half_life: 10", "half_life: 10", "stream a keeps detectors[0] ewma, detectors[1] ewma, drift[0] adwin of x, drift[0] adwin of y"},
		{"half_life: 10", "half_life: 11", "stream a starts cold with detectors[0] ewma; drops detectors[0] ewma; keeps detectors[1] ewma, drift[0] adwin of x, drift[0] adwin of y"},
		{", half_life: 10}", "}, {kind: ewma, half_life: 10}", "stream a starts cold with detectors[0] ewma; keeps detectors[1] ewma, detectors[2] ewma, drift[0] adwin of x, drift[0] adwin of y"},
		{"    drift: [{kind: adwin, on: values}]\n", "    alert: {cool_down: 7m}\n", "stream a drops drift[0] adwin of x, drift[0] adwin of y; keeps detectors[0] ewma, detectors[1] ewma"},
		{"[x, y]", "[y, x]", "stream a is rebuilt from the log: decode or window make other points of the same records"},
		{"[in]", "[in, more]", "stream a starts cold on topic more; keeps detectors[0] ewma, detectors[1] ewma, drift[0] adwin of x, drift[0] adwin of y"},
		{"name: a", "name: b", "stream b starts cold: group gonomaly.b is new\nstream a is no more: the state and the offsets of group gonomaly.a stay where they are"},
		{"name: a", "name: b\n    group: gonomaly.a", "stream b keeps detectors[0] ewma, detectors[1] ewma, drift[0] adwin of x, drift[0] adwin of y"},
		{"directory: d", "directory: e", "stream a is rebuilt from the log: checkpoints.directory is another"},
		{"store: file, directory: d", "store: memory", "stream a is rebuilt from the log: checkpoints.store is another"},
	} {
		if strings.Count(file, c.old) != 1 {
			t.Fatalf("%q does not stand once in the file", c.old)
		}
		fates, err := Foretell(before, parseString(t, strings.Replace(file, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range fates {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s → %s (-want +got):\n%s", c.old, c.new, diff)
		}
	}
}
