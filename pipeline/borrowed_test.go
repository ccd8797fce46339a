package pipeline_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

// A record's bytes are lent for the call: a source has the next batch decompressed into them. So nothing that outlives the call, neither
// messages nor state, may change when they are overwritten after it.
func TestNothingOfARecordIsKept(t *testing.T) {
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			undisturbed, poisoned := newWorker(t, c), newWorker(t, c)
			for batch := range slices.Chunk(log(3000, 5, keysOf(name)), 37) {
				for i := range batch {
					batch[i].Key, batch[i].Headers = []byte("key"), []pipeline.Header{{Key: "header", Value: []byte("value")}}
				}
				want := undisturbed.Process(batch, 0)
				lent := lend(batch)
				got := poisoned.Process(lent, 0)
				poison(lent)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("messages of the records up to %d (-kept +overwritten):\n%s", batch[len(batch)-1].Offset, diff)
				}
			}
			if !slices.Equal(stateOf(t, undisturbed), stateOf(t, poisoned)) {
				t.Error("the states differ")
			}
		})
	}
}

// lend copies records to where they can be overwritten.
func lend(records []pipeline.Record) []pipeline.Record {
	lent := slices.Clone(records)
	for i := range lent {
		r := &lent[i]
		r.Key, r.Value, r.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
		for j := range r.Headers {
			r.Headers[j].Value = bytes.Clone(r.Headers[j].Value)
		}
	}
	return lent
}

// poison overwrites records.
func poison(records []pipeline.Record) {
	overwrite := func(b []byte) {
		for i := range b {
			b[i] = 0xdb
		}
	}
	for i := range records {
		overwrite(records[i].Key)
		overwrite(records[i].Value)
		for _, h := range records[i].Headers {
			overwrite(h.Value)
		}
		clear(records[i].Headers)
	}
	clear(records)
}
