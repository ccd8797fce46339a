//go:build chaos && unix

package chaos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/oracle"
	"github.com/gonomaly/gonomaly/pipeline"
)

// scan calls f with the records of a topic up to where it ends now, of each partition in order, and with the markers of transactions.
func (w *world) scan(topic string, level kgo.IsolationLevel, f func(*kgo.Record) error) error {
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
		kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())...)
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
			if ok && r.Offset < end {
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

// decided calls f with the records of a topic that is written in transactions, of each partition in order. Whether a record was
// committed is what the markers in the log say. A broker's list of aborts may lack some (TestAbortsThatAFollowerMisplaces).
func (w *world) decided(topic string, f func(r *kgo.Record, committed bool) error) error {
	logs := map[int32][]*kgo.Record{}
	err := w.scan(topic, kgo.ReadUncommitted(), func(r *kgo.Record) error {
		logs[r.Partition] = append(logs[r.Partition], r)
		return nil
	})
	if err != nil {
		return err
	}
	for _, log := range logs {
		committed, ends := make([]bool, len(log)), map[int64]bool{} // by producer, how the transaction ends that is walked through
		for i, r := range slices.Backward(log) {
			if r.Attrs.IsControl() {
				ends[r.ProducerID] = isCommit(r)
			}
			committed[i] = ends[r.ProducerID]
		}
		for i, r := range log {
			if r.Attrs.IsControl() {
				continue
			}
			if err := f(r, committed[i]); err != nil {
				return fmt.Errorf("%s/%d at %d: %w", topic, r.Partition, r.Offset, err)
			}
		}
	}
	return nil
}

// isCommit says how a marker ends its transaction.
func isCommit(marker *kgo.Record) bool {
	return len(marker.Key) >= 4 && binary.BigEndian.Uint16(marker.Key[2:]) == 1
}

// told is decided, and holds what a reader of committed records is shown against it: records that were aborted, and those that are
// hidden from it although they were committed.
func (w *world) told(topic string, f func(r *kgo.Record, committed bool) error) (shown, hidden int, err error) {
	type place struct {
		partition int32
		offset    int64
	}
	missing := map[place]bool{}
	err = w.decided(topic, func(r *kgo.Record, committed bool) error {
		if committed {
			missing[place{r.Partition, r.Offset}] = true
		}
		return f(r, committed)
	})
	if err != nil {
		return 0, 0, err
	}
	err = w.scan(topic, kgo.ReadCommitted(), func(r *kgo.Record) error {
		if at := (place{r.Partition, r.Offset}); missing[at] {
			delete(missing, at)
		} else if !r.Attrs.IsControl() {
			shown++
		}
		return nil
	})
	return shown, len(missing), err
}

// alerts is what a topic of alerts tells.
type alerts struct {
	oracle.Output
	answers oracle.Output   // to probes, which are no alerts
	open    map[string]bool // incidents, at the end
	aborted map[string]int  // how often an alert stands in a transaction that was aborted
}

func newAlerts() alerts {
	return alerts{oracle.NewOutput(), oracle.NewOutput(), map[string]bool{}, map[string]int{}}
}

// isAnswer says of a record of an alerts topic that it answers a probe.
func isAnswer(r *kgo.Record) bool { return strings.HasPrefix(string(r.Key), pipeline.ProbeKey+"/") }

func (a alerts) add(r *kgo.Record, committed bool) error {
	if isAnswer(r) {
		if _, err := pipeline.ParseAnswer(r.Value); err != nil || !committed {
			return err
		}
		_, err := a.answers.AddAnswer(r.Key, r.Value)
		return err
	}
	if !committed {
		alert, err := pipeline.ParseAlert(r.Value)
		a.aborted[alert.ID]++
		return err
	}
	alert, err := a.AddAlert(r.Key, r.Value)
	if alert.Status == pipeline.Resolve {
		delete(a.open, alert.Incident)
	} else {
		a.open[alert.Incident] = true
	}
	return err
}

// letter adds a dead letter to an output.
func letter(o oracle.Output, r *kgo.Record) {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	o.AddLetter(r.Key, r.Value, headers)
}
