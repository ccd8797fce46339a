//go:build chaos && unix

package chaos

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// scan calls f with the committed records of a topic up to where it ends now, of each partition in order.
func (w *world) scan(topic string, f func(*kgo.Record) error) error {
	ends, err := w.admin.ListCommittedOffsets(w.Context(), topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return fmt.Errorf("scan %s: %w", topic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	client, err := kgo.NewClient(append(slices.Clone(w.direct), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return fmt.Errorf("scan %s: %w", topic, err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(w.Context())
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("scan %s: %w", topic, err)
		}
		for r := range fetches.RecordsAll() {
			end, ok := left[r.Partition]
			if ok && r.Offset < end && !r.Attrs.IsControl() {
				if err := f(r); err != nil {
					return fmt.Errorf("%s/%d at %d: %w", topic, r.Partition, r.Offset, err)
				}
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// output is what was told: under each alert's id, or each dead letter's origin, a digest of each record that tells it.
type output map[string][]uint64

func (o output) add(name string, key, value []byte) {
	sum := sha256.Sum256(slices.Concat(binary.AppendUvarint(nil, uint64(len(key))), key, value))
	o[name] = append(o[name], binary.LittleEndian.Uint64(sum[:]))
}

// against counts what was lost of what should be told, told wrongly, and told more than once.
func (o output) against(want output) (lost, wrong, doubled int, examples []string) {
	note := func(what, name string) {
		if len(examples) < 20 {
			examples = append(examples, what+" "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if len(o[name]) == 0 {
			lost++
			note("lost", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if n := len(o[name]) - 1; n > 0 {
			doubled += n
			note("doubled", name)
		}
		if len(want[name]) == 0 || o[name][0] != want[name][0] {
			wrong++
			note("wrong", name)
		}
	}
	return lost, wrong, doubled, examples
}

// alertID is the id of an alert on the wire.
func alertID(value []byte) (string, error) {
	var e struct{ ID string }
	err := json.Unmarshal(value, &e)
	if err == nil && e.ID == "" {
		err = errors.New("an alert without id")
	}
	return e.ID, err
}

// letterID names a dead letter by its origin and its stream: each stream sets aside for itself.
func letterID(headers map[string]string) string {
	of := func(name string) string { return headers["gonomaly."+name] }
	return fmt.Sprintf("%s of %s/%s at %s for %s", of("stream"), of("topic"), of("partition"), of("offset"), of("reason"))
}

// alerts reads a topic of alerts into o, and counts those that stand behind a later one of their key.
func (w *world) alerts(topic string, o output, incidents map[string]bool) (disordered int, err error) {
	type line struct {
		in, of int32
		key    string
	}
	last := map[line]int64{}
	err = w.scan(topic, func(r *kgo.Record) error {
		a, err := pipeline.ParseAlert(r.Value)
		if err != nil {
			return err
		}
		again := len(o[a.ID]) > 0
		o.add(a.ID, r.Key, r.Value)
		if again {
			return nil
		}
		at := line{r.Partition, a.Origin.Partition, a.Key}
		if before, ok := last[at]; ok && a.Origin.Offset < before {
			disordered++
			w.say("disordered: alert %s of %s/%d at %d stands behind one at %d", a.ID, a.Origin.Topic, a.Origin.Partition, a.Origin.Offset, before)
		}
		last[at] = a.Origin.Offset
		if a.Status == pipeline.Resolve {
			delete(incidents, a.Incident)
		} else {
			incidents[a.Incident] = true
		}
		return nil
	})
	return disordered, err
}

// letters reads the dead letters of the input into o.
func (w *world) letters(o output) error {
	return w.scan(pipeline.DeadLetterTopic(input), func(r *kgo.Record) error {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		o.add(letterID(headers), r.Key, r.Value)
		return nil
	})
}
