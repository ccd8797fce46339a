package pipeline_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

// A trace shows what ordinary points score, which else is not worked out; alerts and state are the same.
func TestTraceChangesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			plain, traced := newWorker(t, c), newWorker(t, c)
			traced.Trace = func(pipeline.Trace) {}
			records := log(6000, 9, keysOf(name))
			if diff := cmp.Diff(plain.Process(records, 0), traced.Process(records, 0)); diff != "" {
				t.Fatalf("messages (-plain +traced):\n%s", diff)
			}
			if diff := cmp.Diff(plain.Counts(), traced.Counts()); diff != "" {
				t.Errorf("counts (-plain +traced):\n%s", diff)
			}
			if !slices.Equal(stateOf(t, plain), stateOf(t, traced)) {
				t.Error("the states differ")
			}
		})
	}
}
