package pipeline

import (
	"context"
	"fmt"
)

// Partition is one log: what a Worker is the state machine of.
type Partition struct {
	Topic   string
	TopicID string // the broker's id of the topic, so that a topic deleted and made again is another; "" without a broker
	ID      int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.ID) }

// Record is what a source delivers: bytes at an offset of a partition. Its slices are valid during the call they are passed to.
type Record struct {
	Offset    int64
	Timestamp int64 // the broker's or producer's, Unix nanoseconds
	Key       []byte
	Value     []byte
	Headers   []Header
	Control   bool // a transaction marker: it moves the position and is nothing else
}

// Header is a record's header.
type Header struct {
	Key   string
	Value []byte
}

// Message is something to be written: an alert, a dead letter, or the answer to a probe. It owns its bytes.
type Message struct {
	Topic   string
	Key     []byte
	Value   []byte
	Headers []Header
	Offset  int64   // of the record that caused it: it is to be written once the position passes this offset, and not again
	Time    int64   // timestamp of that record, Unix nanoseconds; the latency of an alert counts from it; 0 of an answer
	Status  Status  // of an alert, so that nobody has to parse it for that; "" of anything else
	Trace   *Traced // nil without tracing, and of an answer
}

// Handler is what a source drives; a Stream is one. For one partition no two calls overlap; different partitions may run in
// parallel.
type Handler interface {
	// Assign prepares a partition and returns the offset to read from, at or below committed: records from there up to committed
	// are folded into the state without output. committed is -1 where the group has none. It may be called again for a partition
	// that is already assigned (after an interrupted rebalance, or with the end of the log that it wants to begin at, to warm up on what is
	// before it), and starts over.
	Assign(ctx context.Context, p Partition, committed int64) (from int64, err error)

	// Process folds records, in order of offset, and returns what is to be written for those at or above the committed offset.
	// Records below the position are skipped. The result is valid until the partition's next call.
	Process(ctx context.Context, p Partition, records []Record) ([]Message, error)

	// Position is the next offset the partition's state wants: what may be committed.
	Position(p Partition) int64

	// Due says that Committed would checkpoint the partition, if nothing were processed beyond what is committed. It may be called beside
	// Committed.
	Due(p Partition) bool

	// Committed says that everything up to offset is durable, output included.
	Committed(ctx context.Context, p Partition, offset int64) error

	// Revoke forgets the partition. When nothing is processed beyond the committed offset the state is checkpointed first, within ctx.
	Revoke(ctx context.Context, p Partition) error
}

// From values that are no offset: where a group has none committed and no state says more.
const (
	FromStart  = -2 // the first retained record
	FromLatest = -1
)
