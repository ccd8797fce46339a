package bench

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// fixed is a result with three runs of one figure and one of another.
func fixed(cpu ...float64) *Result {
	r := &Result{Benchmark: "path"}
	for _, x := range cpu {
		r.Add("records", "CPU µs/event", x)
	}
	r.Add("idle", "% of a core", 0.5)
	return r
}

// A table has medians with their range, and beside an earlier result the ratio of the medians, from least over most to most over least.
func TestTable(t *testing.T) {
	r, before := fixed(1, 3, 2), fixed(4, 5)
	for _, c := range []struct {
		cell func(string, *Figure) string
		want string
	}{
		{Plain, "| records | 2 (1 – 3) |  |\n| idle |  | 0.5 |"},
		{Against(before), "| records | 2 (1 – 3): 0.44× (0.20 – 0.75) |  |\n| idle |  | 0.5: 1.00× |"}, // 2/4.5, 1/5, 3/4
	} {
		var b strings.Builder
		if err := r.Table(&b, c.cell); err != nil {
			t.Fatal(err)
		}
		want := "| path | CPU µs/event | % of a core |\n| --- | --- | --- |\n" + c.want + "\n"
		if b.String() != want {
			t.Errorf("the table is\n%swant\n%s", b.String(), want)
		}
	}
}

func TestShort(t *testing.T) {
	for x, want := range map[float64]string{0.04012: "0.0401", 1.5: "1.5", 999: "999", 1234.5: "1,234", 1234567: "1,234,567"} {
		if got := short(x); got != want {
			t.Errorf("short(%v) = %s, want %s", x, got, want)
		}
	}
}

// What is written is read again; a figure without runs is refused.
func TestResultIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	if err := fixed(1, 2).Write(file); err != nil {
		t.Fatal(err)
	}
	r, err := Read(file)
	if err != nil || r.Median("records", "CPU µs/event") != 1.5 {
		t.Errorf("Read gives %+v, %v, want the median 1.5", r, err)
	}
	if err := (&Result{Rows: []Row{{Name: "x", Figures: []Figure{{Name: "y"}}}}}).Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil {
		t.Error("a figure without runs is taken")
	}
}

// The gate lets through what lies within the tolerance, and says of what does not how far above the baseline it is.
func TestGate(t *testing.T) {
	gate := func(baseline float64, row string) Gate {
		return Gate{Tolerance: 0.25, Baseline: map[string]map[string]float64{row: {"CPU µs/event": baseline}}}
	}
	for _, c := range []struct {
		gate Gate
		says string
	}{
		{gate(1.6, "records"), ""}, // 2 is 1.25 times 1.6
		{gate(1.5, "records"), "1.33 times the baseline 1.5"},
		{gate(9, "none"), "was not measured"},
		{Gate{}, ""},
	} {
		err := c.gate.Check(fixed(2))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v says %v, want %q", c.gate, err, c.says)
		}
	}
}

// The gate that CI sets names rows and figures of the path.
func TestCommittedGate(t *testing.T) {
	g, err := ReadGate("gate.json")
	if err != nil || g.Tolerance <= 0 {
		t.Fatalf("%+v, %v", g, err)
	}
	for name, figures := range g.Baseline {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) || figures[allocations] <= 0 {
			t.Errorf("baseline of %s: %v", name, figures)
		}
	}
}

// fresh is a client that remembers no topics.
func fresh(t *testing.T, opts kafka.Options) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// On a broker that others use nothing is left of a run, and theirs is not touched.
func TestNothingIsLeft(t *testing.T) {
	broker, err := embedded.Start(1)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	opts, err := kafka.Config{Brokers: broker.Addresses()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	w, admin := &world{opts: opts, topic: "bench-1"}, kadm.NewClient(fresh(t, opts))
	if err := w.clear(t.Context()); err != nil {
		t.Errorf("where there is nothing: %v", err)
	}
	for _, topic := range []string{"bench-1", "bench-1.1.alerts", "theirs"} {
		if err := kafka.Create(t.Context(), opts, 1, topic); err != nil {
			t.Fatal(err)
		}
	}
	var offsets kadm.Offsets
	offsets.AddOffset("bench-1", 0, 0, -1)
	for _, group := range []string{"bench-1.1", "theirs"} {
		if all, err := admin.CommitOffsets(t.Context(), group, offsets); errors.Join(err, all.Error()) != nil {
			t.Fatal(err, all.Error())
		}
	}
	if err := w.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	topics, err := kadm.NewClient(fresh(t, opts)).ListTopics(t.Context())
	if got := topics.Names(); err != nil || !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("topics %q are left, %v", got, err)
	}
	groups, err := admin.ListGroups(t.Context())
	if got := groups.Groups(); err != nil || !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("groups %q are left, %v", got, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{}, "--runs is 0"},
		{Options{Runs: 1, Events: 1, Keys: 1, Partitions: 1, Rate: 1, Only: []string{"nothing"}}, "--only is nothing"},
		{Options{Runs: 1, Keys: 1, Partitions: 1, Rate: 1}, "--events is 0"},
		{Options{Runs: 1, Events: 1, Partitions: 1, Rate: 1}, "--keys is 0"},
		{Options{Runs: 1, Events: 1, Keys: 1, Rate: 1}, "--partitions is 0"},
		{Options{Runs: 1, Events: 1, Keys: 1, Partitions: 1}, "--rate is 0"},
	} {
		c.o.Log = io.Discard
		if _, err := pathBenchmark.Run(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.says)
		}
	}
}
