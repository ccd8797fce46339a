package pipeline

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// maxMessage is what a broker takes by default, less some room for the batch around a record, in bytes.
const maxMessage = 1_000_000 - 1024

// Size is about what a message takes in a batch, in bytes.
func (m *Message) Size() int {
	n := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += h.size()
	}
	return n
}

func (h *Header) size() int { return len(h.Key) + len(h.Value) + 10 }

// Fit cuts a message to what a broker takes. Compression lets a record in that is larger than that; its dead letter, refused again and
// again, would hold its partition up for ever. A header gonomaly.cut says how many bytes the value had; the origin still has them all.
func (m Message) Fit() (_ Message, cut bool) {
	over := m.Size() - maxMessage
	if over <= 0 {
		return m, false
	}
	note := Header{Key: "gonomaly.cut", Value: strconv.AppendInt(nil, int64(len(m.Value)), 10)}
	if over <= len(m.Value) {
		m.Value = bytes.Clone(m.Value[:len(m.Value)-over]) // the rest is not to be held
	} else { // it is the key or the headers, of which those that say what has become of the record stand last
		first, room := len(m.Headers), maxMessage
		for first > 0 && strings.HasPrefix(m.Headers[first-1].Key, "gonomaly.") && m.Headers[first-1].size() <= room {
			first--
			room -= m.Headers[first].size()
		}
		m.Key, m.Value, m.Headers = nil, nil, slices.Clone(m.Headers[first:])
	}
	m.Headers = append(m.Headers[:len(m.Headers):len(m.Headers)], note)
	return m, true
}
