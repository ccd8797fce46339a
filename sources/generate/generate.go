// Package generate makes events with anomalies that are known beforehand: a real series whose five odd weeks have names, and a fleet
// of simulated machines with faults injected. Each sequence is a function of its settings and seed alone, so that what a run has
// found can be held against what there was to find, and two runs against each other.
package generate

import (
	"io"
	"iter"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources"
)

// Event is a record to be. Its slices are valid until the next event of the sequence.
type Event struct {
	Key       []byte     // names the series: the machine; nil where rows of a file have none
	Value     []byte     // JSON
	Time      int64      // event time, Unix nanoseconds
	Injection *Injection // the anomaly that begins with this event, else nil; it stays valid
}

// Injection is an anomaly injected into one machine.
type Injection struct {
	Machine string    `json:"machine"`
	Kind    Kind      `json:"kind"`
	Field   string    `json:"field"` // the first, where several are disturbed
	Start   time.Time `json:"start"` // event time of the first disturbed event
	End     time.Time `json:"end"`   // event time of the last one
}

// File is the rest of a file as events without a key, and a function that returns, once they are read, what kept the sequence from the
// file's end.
func File(r *sources.FileReader) (events iter.Seq[Event], failed func() error) {
	var err error
	events = func(yield func(Event) bool) {
		for {
			var rec pipeline.Record
			if rec, err = r.Next(); err != nil || !yield(Event{Value: rec.Value, Time: rec.Timestamp}) {
				break
			}
		}
	}
	failed = func() error {
		if err == io.EOF {
			return nil
		}
		return err
	}
	return events, failed
}
