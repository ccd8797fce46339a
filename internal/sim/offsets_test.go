//go:build sim

package sim

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/gonomaly/gonomaly/pipeline"
)

// span is a part of a partition.
type span struct {
	partition int32
	from, to  int64
}

func (s span) has(a pipeline.Alert) bool {
	return a.Origin.Partition == s.partition && s.from <= a.Origin.Offset && a.Origin.Offset < s.to
}

// silence ends all processes, and waits until the group has no members.
func (w *world) silence() bool {
	for _, s := range w.slots {
		if p := s.process(); p != nil {
			s.killed(p, time.Hour)
		}
	}
	for begin := time.Now(); time.Since(begin) < 4*session; time.Sleep(100 * time.Millisecond) {
		if g := w.cluster.GroupInfo(w.stream.Group); g == nil || len(g.Members) == 0 {
			return true
		}
	}
	return false
}

func (w *world) wake() {
	for _, s := range w.slots {
		s.start()
	}
}

// rewindOne sets the offset of a partition back, as an operator does who wants its last alerts told again.
func (w *world) rewindOne(f fault) {
	defer w.wake()
	if !w.silence() {
		return
	}
	g := w.cluster.GroupInfo(w.stream.Group)
	if g == nil {
		return
	}
	id := int32(f.For.Milliseconds() % int64(w.partitions)) //nolint:gosec // a few
	at := g.Commits[input][id].Offset
	back := at / 2
	if back == 0 || back == at {
		return
	}
	if w.commit(id, back) != nil { // the group is not quite empty, which kfake does not show
		return
	}
	w.rewound = append(w.rewound, span{id, back, at})
	w.hits++
}

func (w *world) commit(id int32, offset int64) error {
	var o kadm.Offsets
	o.AddOffset(input, id, offset, -1)
	return untilTaken(func() error {
		all, err := w.admin.CommitOffsets(context.Background(), w.stream.Group, o)
		return errors.Join(err, all.Error())
	})
}

// untilTaken asks again for a minute: brokers may be refusing, longer than any client would ask.
func untilTaken(ask func() error) error {
	var err error
	for range 600 {
		if err = ask(); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// keep notes where the second newest chain of checkpoints of a partition ends: from there its state can be made again, whatever happens to
// the newest.
func (w *world) keep(pointer string, end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[pointer] = end
}

// trimAll deletes of each partition what lies before its second newest chain.
func (w *world) trimAll() {
	var topics kadm.TopicDetails
	err := untilTaken(func() (err error) {
		topics, err = w.admin.ListTopics(context.Background(), input)
		return errors.Join(err, topics.Error())
	})
	if err != nil {
		w.Errorf("trim: %v", err)
	}
	topicID := topics[input].ID
	for id := range w.partitions {
		w.mu.Lock()
		end := w.kept[fmt.Sprintf("sim:{%s:%s:%d}", w.stream.Group, hex.EncodeToString(topicID[:]), id)]
		w.mu.Unlock()
		if end > 0 {
			w.hits++
			w.deleteBefore(id, end)
		}
	}
}

// eatOne has retention overtake a partition while nobody reads.
func (w *world) eatOne(f fault) {
	defer w.wake()
	if !w.silence() {
		return
	}
	g := w.cluster.GroupInfo(w.stream.Group)
	if g == nil {
		return
	}
	id := int32(f.For.Milliseconds() % int64(w.partitions)) //nolint:gosec // a few
	p := w.cluster.PartitionInfos(input)[id]
	if c := g.Commits[input][p.Partition].Offset; c > 0 && c < p.HighWatermark {
		w.deleteBefore(p.Partition, p.HighWatermark)
		w.eaten[p.Partition] = true
		w.hits++
	}
}

func (w *world) deleteBefore(id int32, offset int64) {
	var o kadm.Offsets
	o.AddOffset(input, id, offset, -1)
	err := untilTaken(func() error {
		all, err := w.admin.DeleteRecords(context.Background(), o)
		return errors.Join(err, all.Error())
	})
	if err != nil {
		w.Errorf("delete records: %v", err)
	}
}

// again checks that alerts of what an operator wanted to have told again are told more than once.
func (w *world) again(v *verdict, told []pipeline.Alert) {
	times := map[string]int{}
	for _, a := range told {
		times[a.ID]++
	}
	for _, a := range told {
		for _, s := range w.rewound {
			if s.has(a) && times[a.ID] == 1 {
				v.wrong("alert %s of partition %d at %d was not told again, which was set back from %d to %d", a.ID, s.partition, a.Origin.Offset, s.to, s.from)
				return
			}
		}
	}
}
