package oracle

import (
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

// What is lost, wrong, doubled and out of order is told apart.
func TestAgainst(t *testing.T) {
	output := func(alerts ...string) Output {
		o := NewOutput()
		for _, a := range alerts {
			data, err := pipeline.EncodeAlert(&pipeline.Alert{ID: a[:1], Kind: "anomaly", Stream: "s", Key: "k", Incident: a[1:]})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.AddAlert([]byte("k"), data); err != nil {
				t.Fatal(err)
			}
		}
		return o
	}
	want := output("a", "b", "c", "d")
	for _, c := range []struct {
		name string
		got  Output
		want Difference
	}{
		{"the same", output("a", "b", "c", "d"), Difference{}},
		{"two lost", output("b", "d"), Difference{Lost: 2}},
		{"one in other words", output("a", "b!", "c", "d"), Difference{Wrong: 1}},
		{"one more", output("a", "b", "x", "c", "d"), Difference{Wrong: 1}},
		{"one three times", output("a", "b", "c", "b", "b", "d"), Difference{Doubled: 2}},
		{"twice, and in other words", output("a", "b", "b!", "c", "d"), Difference{Wrong: 1, Doubled: 1}},
		{"in another order", output("a", "c", "b", "d"), Difference{Disordered: 1}},
		{"in another order, and one lost", output("c", "b", "d"), Difference{Lost: 1, Disordered: 1}},
	} {
		d := c.got.Against(want)
		if d.Lost != c.want.Lost || d.Wrong != c.want.Wrong || d.Doubled != c.want.Doubled || d.Disordered != c.want.Disordered {
			t.Errorf("%s: %+v, want %+v", c.name, d, c.want)
		}
		if len(d.Examples) != d.Sum() {
			t.Errorf("%s: %d examples of %d differences", c.name, len(d.Examples), d.Sum())
		}
	}
}
