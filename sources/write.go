package sources

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// record is a message as the client takes it, under the event's key: the client heeds no partition that is set by hand.
func record(m *pipeline.Message) *kgo.Record {
	r := &kgo.Record{Topic: m.Topic, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// maxMessage is what a broker takes by default, less some room for the batch around a record, in bytes.
const maxMessage = 1_000_000 - 1024

// size is about what a message takes in a batch.
func size(m pipeline.Message) int {
	n := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value) + 10
	}
	return n
}

// fit cuts a message to what a broker takes. Compression lets a record in that is larger than that; its dead letter, refused again and
// again, would hold its partition up for ever. A header gonomaly.cut says how many bytes the value had; the origin still has them all.
func fit(m pipeline.Message) (_ pipeline.Message, cut bool) {
	over := size(m) - maxMessage
	if over <= 0 {
		return m, false
	}
	note := pipeline.Header{Key: "gonomaly.cut", Value: strconv.AppendInt(nil, int64(len(m.Value)), 10)}
	if over > len(m.Value) { // it is the key or the headers
		var own []pipeline.Header
		for _, h := range m.Headers {
			if strings.HasPrefix(h.Key, "gonomaly.") && len(h.Value) <= maxMessage/100 {
				own = append(own, h)
			}
		}
		m.Key, m.Value, m.Headers = nil, nil, own
	} else {
		m.Value = bytes.Clone(m.Value[:len(m.Value)-over]) // the rest is not to be held
	}
	m.Headers = append(m.Headers[:len(m.Headers):len(m.Headers)], note)
	return m, true
}

// failures are the messages of the open transaction that could not be written. The client tells them from its own goroutines.
type failures struct {
	mu  sync.Mutex
	err error
}

func (f *failures) note(r *kgo.Record, err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = fmt.Errorf("write to topic %s: %w", r.Topic, err)
	}
}

func (f *failures) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil
}

// take returns the first failure, nil if there is none, and forgets it.
func (f *failures) take() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	f.err = nil
	return err
}
