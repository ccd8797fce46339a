package sources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// fileHandler writes down what it is told, and returns the records that say so as messages.
type fileHandler struct {
	from   int64
	values []string
	calls  []string
	fail   string // the call that fails
	cancel func() // called by the first Process
}

func (h *fileHandler) call(name string, p pipeline.Partition, args ...any) error {
	call := strings.TrimSpace(fmt.Sprintln(append([]any{name, p}, args...)...))
	h.calls = append(h.calls, call)
	if name == h.fail {
		return errors.New("no")
	}
	return nil
}

func (h *fileHandler) Assign(_ context.Context, p pipeline.Partition, committed int64) (int64, error) {
	return h.from, h.call("assign", p, committed)
}

func (h *fileHandler) Process(_ context.Context, p pipeline.Partition, records []pipeline.Record) (out []pipeline.Message, err error) {
	for _, r := range records {
		h.values = append(h.values, string(r.Value))
		if strings.Contains(string(r.Value), "alert") {
			out = append(out, pipeline.Message{Offset: r.Offset})
		}
	}
	if h.cancel != nil {
		h.cancel()
	}
	return out, h.call("process", p, records[0].Offset, len(records))
}

func (h *fileHandler) Position(pipeline.Partition) int64 {
	panic("a file commits what it has handed on")
}

func (h *fileHandler) Due(pipeline.Partition) bool { return false }

func (h *fileHandler) Committed(_ context.Context, p pipeline.Partition, offset int64) error {
	return h.call("committed", p, offset)
}

func (h *fileHandler) Revoke(ctx context.Context, p pipeline.Partition) error {
	return errors.Join(ctx.Err(), h.call("revoke", p))
}

func newFile(t *testing.T, in string, emitted *[]int64) *File {
	t.Helper()
	r, err := NewFileReader("dir/x.jsonl", strings.NewReader(in), decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &File{Reader: r, Emit: func(out []pipeline.Message) error {
		for _, m := range out {
			*emitted = append(*emitted, m.Offset)
		}
		return nil
	}}
}

func TestFileRun(t *testing.T) {
	in, want := "", []string{}
	for i := range 2*fileBatch + 500 {
		value := fmt.Sprintf(`{"n":%d}`, i)
		if i%1000 == 7 {
			value = fmt.Sprintf(`{"alert":%d}`, i)
		}
		in += value + "\n"
		want = append(want, value)
	}
	for from, calls := range map[int64][]string{
		pipeline.FromLatest: {"assign x.jsonl/0 -1", "process x.jsonl/0 0 1000", "committed x.jsonl/0 1000", "process x.jsonl/0 1000 1000",
			"committed x.jsonl/0 2000", "process x.jsonl/0 2000 500", "committed x.jsonl/0 2500", "revoke x.jsonl/0"},
		1600: {"assign x.jsonl/0 -1", "process x.jsonl/0 1600 900", "committed x.jsonl/0 2500", "revoke x.jsonl/0"},
		9999: {"assign x.jsonl/0 -1", "revoke x.jsonl/0"},
	} {
		var emitted []int64
		h := &fileHandler{from: from}
		f := newFile(t, in, &emitted)
		var rows, done int64
		f.Progress = func(n, bytes, _ int64) { rows, done = n, bytes }
		if err := f.Run(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		first := min(max(0, int(from)), len(want))
		if !slices.Equal(h.calls, calls) || !slices.Equal(h.values, want[first:]) {
			t.Errorf("from %d: %d values, calls %q, want %d, %q", from, len(h.values), h.calls, len(want)-first, calls)
		}
		alerts := slices.DeleteFunc([]int64{7, 1007, 2007}, func(n int64) bool { return n < from })
		if !slices.Equal(emitted, alerts) {
			t.Errorf("from %d: emitted %v, want %v", from, emitted, alerts)
		}
		if first < len(want) && (rows != int64(len(want)) || done != int64(len(in))) {
			t.Errorf("from %d: progress says %d rows and %d bytes, want %d and %d", from, rows, done, len(want), len(in))
		}
	}
}

func TestFileRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := &fileHandler{from: pipeline.FromStart, cancel: cancel}
	var emitted []int64
	if err := newFile(t, strings.Repeat("{}\n", 3*fileBatch), &emitted).Run(ctx, h); err != nil {
		t.Fatal(err)
	}
	if want := []string{"assign x.jsonl/0 -1", "process x.jsonl/0 0 1000", "committed x.jsonl/0 1000", "revoke x.jsonl/0"}; !slices.Equal(h.calls, want) {
		t.Errorf("calls %q, want %q", h.calls, want)
	}
}

func TestFileRunErrors(t *testing.T) {
	for fail, want := range map[string]string{
		"assign": "assign t/0: no", "process": "process t/0: no", "committed": "commit t/0 at offset 2: no", "revoke": "revoke t/0: no",
		"emit": "emit alerts of t/0: full", "": "dir/x.jsonl:4: 1 columns, want the header's 2",
	} {
		var emitted []int64
		f := newFile(t, "a,b\n1,alert\n2,\n3\n", &emitted)
		f.Topic = "t"
		if fail == "emit" {
			f.Emit = func([]pipeline.Message) error { return errors.New("full") }
		}
		h := &fileHandler{from: pipeline.FromStart, fail: fail}
		if err := f.Run(t.Context(), h); err == nil || strings.Split(err.Error(), "\n")[0] != want && fail != "revoke" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q fails: %v, want %s", fail, err, want)
		}
		if fail == "" && (len(h.values) != 2 || len(emitted) != 1) {
			t.Errorf("before the bad row: values %q, emitted %v", h.values, emitted)
		}
		if revoked := slices.Contains(h.calls, "revoke t/0"); revoked != (fail != "assign") {
			t.Errorf("%q fails: revoked is %v", fail, revoked)
		}
	}
}
