// Package oracle knows what should have been told. It folds a log with the worker that production has, record by record on one goroutine,
// and with nothing else of the way that records and alerts take there: no source, no transaction, no checkpoint, no rebalance. Simulation
// and chaos hold against it what they find in topics and, as Stored reads it, in checkpoints.
package oracle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Replay is one partition of a stream.
type Replay struct {
	worker *pipeline.Worker
	alerts string // topic
	output Output
	muted  int64 // offset of the first record that is told of
}

// NewReplay begins at the start of a partition. What it tells goes to o, which several may share.
func NewReplay(stream string, c pipeline.Config, p pipeline.Partition, o Output) (*Replay, error) {
	w, err := pipeline.NewWorker(stream, c, p)
	if err != nil {
		return nil, err
	}
	return &Replay{worker: w, alerts: c.Alert.Topic, output: o}, nil
}

// Mute has what lies before an offset be learned, and nothing told of it.
func (r *Replay) Mute(before int64) { r.muted = before }

// Take folds one record.
func (r *Replay) Take(record pipeline.Record) error {
	for _, m := range r.worker.Process([]pipeline.Record{record}, 0) {
		var err error
		switch {
		case record.Offset < r.muted:
		case m.Topic != r.alerts:
			headers := map[string]string{}
			for _, h := range m.Headers {
				headers[h.Key] = string(h.Value)
			}
			r.output.AddLetter(m.Key, m.Value, headers)
		case m.Status == "":
			_, err = r.output.AddAnswer(m.Key, m.Value)
		default:
			_, err = r.output.AddAlert(m.Key, m.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Position is the offset after the last record.
func (r *Replay) Position() int64 { return r.worker.Position() }

// Matches is nil when a worker is where the replay is, with the same state to the last byte.
func (r *Replay) Matches(w *pipeline.Worker) error {
	if got, want := w.Position(), r.Position(); got != want {
		return fmt.Errorf("the state is that at %d, the log is at %d", got, want)
	}
	got, err1 := w.AppendBinary(nil)
	want, err2 := r.worker.AppendBinary(nil)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the state at %d is not that of the log", r.Position())
	}
	return nil
}

// Output is what was told.
type Output struct {
	digests map[string][]uint64 // of each record that tells it, by the alert's or the answer's id, or the dead letter's origin
	lines   map[string][]string // ids of alerts, by stream, partition and key, in the order in which they were told first
}

// NewOutput is that of one who has told nothing.
func NewOutput() Output { return Output{map[string][]uint64{}, map[string][]string{}} }

// Len is how many alerts, answers and dead letters were told.
func (o Output) Len() int { return len(o.digests) }

// AddAlert adds a record of an alerts topic.
func (o Output) AddAlert(key, value []byte) (pipeline.Alert, error) {
	a, err := pipeline.ParseAlert(value)
	if err != nil {
		return a, err
	}
	if len(o.digests[a.ID]) == 0 {
		line := fmt.Sprintf("%s of %s/%d: %s", a.Stream, a.Origin.Topic, a.Origin.Partition, a.Key)
		o.lines[line] = append(o.lines[line], a.ID)
	}
	o.add(a.ID, key, value)
	return a, nil
}

// AddAnswer adds a record of an alerts topic that answers a probe.
func (o Output) AddAnswer(key, value []byte) (pipeline.Answer, error) {
	a, err := pipeline.ParseAnswer(value)
	if err == nil {
		o.add("answer "+a.ID, key, value)
	}
	return a, err
}

// AddLetter adds a record of a dead-letter topic. It is named by its origin and its stream: each stream sets aside for itself.
func (o Output) AddLetter(key, value []byte, headers map[string]string) {
	of := func(name string) string { return headers["gonomaly."+name] }
	o.add(fmt.Sprintf("%s of %s/%s at %s for %s", of("stream"), of("topic"), of("partition"), of("offset"), of("reason")), key, value)
}

func (o Output) add(name string, key, value []byte) {
	sum := sha256.Sum256(slices.Concat(binary.AppendUvarint(nil, uint64(len(key))), key, value))
	o.digests[name] = append(o.digests[name], binary.LittleEndian.Uint64(sum[:]))
}

// Difference is how an output differs from the one that should be.
type Difference struct {
	Lost, Wrong, Doubled int
	Disordered           int      // keys of which the alerts stand in another order
	Examples             []string // of them, a few
}

// Sum is 0 where nothing differs.
func (d Difference) Sum() int { return d.Lost + d.Wrong + d.Doubled + d.Disordered }

// Against counts what was lost of what should be told, told wrongly, told more than once, and told in another order.
func (o Output) Against(want Output) (d Difference) {
	note := func(n *int, what, name string) {
		if *n++; len(d.Examples) < 20 {
			d.Examples = append(d.Examples, what+" "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.digests)) {
		if len(o.digests[name]) == 0 {
			note(&d.Lost, "lost", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.digests)) {
		got, wanted := o.digests[name], want.digests[name]
		for range len(got) - 1 {
			note(&d.Doubled, "doubled", name)
		}
		if len(wanted) == 0 || slices.ContainsFunc(got, func(sum uint64) bool { return sum != wanted[0] }) {
			note(&d.Wrong, "wrong", name)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(want.lines)) {
		if !slices.Equal(both(o.lines[line], want), both(want.lines[line], o)) {
			note(&d.Disordered, "disordered", line)
		}
	}
	return d
}

// both are the names that another output has, too.
func both(names []string, other Output) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(other.digests[name]) == 0 })
}
