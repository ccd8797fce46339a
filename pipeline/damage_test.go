package pipeline_test

import (
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// kept is what a process left: two chains of checkpoints in a directory, at 700 and 900, and at 1500 and 1600.
type kept struct {
	*testing.T
	dir string
}

var keptLog = pipeline.Log{Group: "g", Partition: partitionOfPlay}

const (
	keptFirst, keptWhole, keptChanges = "1-700.checkpoint", "1-1500.checkpoint", "1-1600-1500.changes"
	keptCommitted                     = 2000
)

// keep stores the chains of a log. What change makes of a state is stored in its place.
func (k kept) keep(l pipeline.Log, c pipeline.Config, records []pipeline.Record, change func(offset int64, state []byte)) {
	k.Helper()
	store := k.store()
	w := newWorker(k.T, c)
	after := int64(pipeline.Whole)
	for _, offset := range []int64{700, 900, 1500, 1600} {
		w.Process(records[max(0, w.Position()):offset], 0)
		if offset == 1500 {
			after = pipeline.Whole
		}
		state := bytesOf(k.T, w.Cut(after == pipeline.Whole))
		change(offset, state)
		err := store.Save(k.Context(), l, pipeline.Checkpoint{Offset: offset, After: after, Config: c.Hashes()}, pipeline.InPieces(state))
		if err != nil {
			k.Fatal(err)
		}
		after = offset
	}
}

func (k kept) store() *checkpoint.Store {
	k.Helper()
	s, err := checkpoint.NewFile(k.dir, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		k.Fatal(err)
	}
	return s
}

func (k kept) path(partition, file string) string {
	return filepath.Join(k.dir, "g,t,"+partition, file)
}

func (k kept) read(path string) []byte {
	k.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		k.Fatal(err)
	}
	return b
}

func (k kept) write(path string, b []byte) {
	k.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		k.Fatal(err)
	}
}

// edit changes files of the partition.
func (k kept) edit(change func(b []byte) []byte, files ...string) {
	k.Helper()
	for _, f := range files {
		k.write(k.path("0", f), change(k.read(k.path("0", f))))
	}
}

func flip(b []byte) []byte { b[len(b)/2] ^= 1; return b }

// later makes a checkpoint one of a later version, sound as it is.
func later(b []byte) []byte {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	body := b[:len(b)-4]
	body[4] = 250
	return binary.LittleEndian.AppendUint32(body, crc32.Update(crc32.Checksum([]byte("g:t:0"), castagnoli), castagnoli, body))
}

// Whatever has become of the checkpoints, the state is restored from the newest that is sound and ours, and the log; the alerts and the state
// are those of an undisturbed run. What a later version has written stays where it is.
func TestRecoveryFromDamagedCheckpoints(t *testing.T) {
	c := settingsOf(t, settings["records"])
	records, others := log(3000, 7, 3), log(3000, 8, 3)
	undisturbed := newWorker(t, c)
	undisturbed.Process(records[:keptCommitted], 0)
	want := ids(t, undisturbed.Process(records[keptCommitted:], 0))
	sound := func(int64, []byte) {}
	laterState := func(from int64) func(int64, []byte) {
		return func(offset int64, state []byte) {
			if offset >= from {
				state[0]++
			}
		}
	}
	for name, test := range map[string]struct {
		state  func(offset int64, state []byte)
		damage func(k kept)
		from   int64
	}{
		"nothing":     {sound, func(kept) {}, 1600},
		"the changes": {sound, func(k kept) { k.edit(flip, keptChanges) }, 1500},
		"the whole":   {sound, func(k kept) { k.edit(flip, keptWhole) }, 900},
		"all":         {sound, func(k kept) { k.edit(flip, keptWhole, keptFirst) }, pipeline.FromStart},
		"truncated":   {sound, func(k kept) { k.edit(func(b []byte) []byte { return b[:len(b)-1] }, keptWhole) }, 900},
		"empty":       {sound, func(k kept) { k.edit(func([]byte) []byte { return nil }, keptWhole) }, 900},
		"those of another partition": {sound, func(k kept) {
			for _, f := range []string{keptWhole, keptChanges} {
				k.write(k.path("0", f), k.read(k.path("1", f)))
			}
		}, 900},
		"two offsets swapped": {sound, func(k kept) {
			whole, changes := k.read(k.path("0", keptWhole)), k.read(k.path("0", keptChanges))
			k.write(k.path("0", keptWhole), changes)
			k.write(k.path("0", keptChanges), whole)
		}, 900},
		"an older one in place of a newer": {sound, func(k kept) {
			k.write(k.path("0", keptWhole), k.read(k.path("0", keptFirst)))
		}, 900},

		// An older version after a newer one: a rollback.
		"changes of a later version": {sound, func(k kept) { k.edit(later, keptChanges) }, 1500},
		"a later version":            {sound, func(k kept) { k.edit(later, keptWhole, keptChanges) }, 900},
		"a later version only":       {sound, func(k kept) { k.edit(later, keptFirst, keptWhole, keptChanges) }, pipeline.FromStart},
		"a later state":              {laterState(1500), func(kept) {}, 900},
		"a later state's changes":    {laterState(1600), func(kept) {}, 1500},
		"later states only":          {laterState(0), func(kept) {}, pipeline.FromStart},
	} {
		t.Run(name, func(t *testing.T) {
			k := kept{t, t.TempDir()}
			k.keep(keptLog, c, records, test.state)
			other := keptLog
			other.ID = 1
			k.keep(other, c, others, sound)
			test.damage(k)

			stream, err := pipeline.NewStream(pipeline.Options{
				Name: "s", Group: keptLog.Group, Topics: []string{"t"}, Config: c, Checkpoints: k.store(), CheckpointEvery: time.Hour,
				Metrics: pipeline.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			from, err := stream.Assign(t.Context(), partitionOfPlay, keptCommitted)
			if err != nil || from != test.from {
				t.Fatalf("Assign = %d, %v, want %d", from, err, test.from)
			}
			begin := max(0, stream.Position(partitionOfPlay))
			if told, err := stream.Process(t.Context(), partitionOfPlay, records[begin:keptCommitted]); err != nil || len(told) > 0 {
				t.Fatalf("%d alerts told again, %v", len(told), err)
			}
			told, err := stream.Process(t.Context(), partitionOfPlay, records[keptCommitted:])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, ids(t, told)); diff != "" {
				t.Errorf("(-undisturbed +recovered):\n%s", diff)
			}

			// The state that is stored at the end is the same too.
			if err := stream.Committed(t.Context(), partitionOfPlay, int64(len(records))); err != nil {
				t.Fatal(err)
			}
			if err := stream.Revoke(t.Context(), partitionOfPlay); err != nil {
				t.Fatal(err)
			}
			stream.Wait()
			states, err := k.store().Load(t.Context(), keptLog, int64(len(records)), c.Hashes())
			if err != nil {
				t.Fatal(err)
			}
			w := newWorker(t, c)
			var parts [][]byte
			for _, s := range states {
				parts = append(parts, s.State)
			}
			if err := w.Restore(parts); err != nil || !slices.Equal(stateOf(t, w), stateOf(t, undisturbed)) {
				t.Errorf("Restore = %v, or another state", err)
			}
			if _, err := os.Stat(k.path("0", keptWhole)); err != nil {
				t.Errorf("the checkpoint at 1500, for who can read it: %v", err)
			}
		})
	}
}
