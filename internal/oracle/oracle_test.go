package oracle

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/config"
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

// A worker matches the replay of what it has taken, to the last byte, and nothing else.
func TestMatches(t *testing.T) {
	c, err := config.Parse("oracle", []byte(`
checkpoints: {store: memory}
streams: [{name: s, topics: [in], decode: {key: k, time: {field: ts, unit: ms}, values: [v]}, detectors: [{kind: ewma}]}]
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	p := pipeline.Partition{Topic: "in"}
	record := func(offset int64, value float64) pipeline.Record {
		return pipeline.Record{Offset: offset, Timestamp: offset * 1e9, Value: fmt.Appendf(nil, `{"k":"a","ts":%d,"v":%v}`, 1000*offset, value)}
	}
	for name, of := range map[string]struct {
		records []pipeline.Record
		says    string
	}{
		"the same":     {[]pipeline.Record{record(0, 1), record(1, 2)}, ""},
		"another":      {[]pipeline.Record{record(0, 1), record(1, 3)}, "is not that of the log"},
		"one too few":  {[]pipeline.Record{record(0, 1)}, "that at 1, the log is at 2"},
		"one too many": {[]pipeline.Record{record(0, 1), record(1, 2), record(2, 3)}, "that at 3, the log is at 2"},
	} {
		replay, err := NewReplay("s", c.Streams[0].Config, p, NewOutput())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(replay.Take(record(0, 1)), replay.Take(record(1, 2))); err != nil {
			t.Fatal(err)
		}
		w, err := pipeline.NewWorker("s", c.Streams[0].Config, p)
		if err != nil {
			t.Fatal(err)
		}
		w.Process(of.records, 0)
		if err := replay.Matches(w); (err == nil) != (of.says == "") || err != nil && !strings.Contains(err.Error(), of.says) {
			t.Errorf("%s: %v, want %q", name, err, of.says)
		}
	}
}
