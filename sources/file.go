package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// fileBatch is how many records a File hands on at once: enough to make the hand-over cheap, few enough for a lively progress bar.
const fileBatch = 1000

// fileRevoke is how long the last checkpoint may take once the context is done.
const fileRevoke = 5 * time.Second

// File is a source that reads one file, as one partition of a topic named after it. Nothing is durable about a file: what the
// handler returns is emitted, and the position committed, batch by batch.
type File struct {
	Reader   *FileReader                    // not read from yet; the caller closes it
	Topic    string                         // by default the file's base name, or stdin
	Batch    int                            // records handed on at once; 0 for many, 1 for a pipe whose records count as they come
	Emit     func([]pipeline.Message) error // takes what is to be written, in order; it keeps nothing
	Progress func(done, size int64)         // where not nil, told after each batch what FileReader.Progress says
}

// Partition is the partition that Run passes to its handler.
func (f *File) Partition() pipeline.Partition {
	if f.Topic != "" {
		return pipeline.Partition{Topic: f.Topic}
	}
	return pipeline.Partition{Topic: filepath.Base(f.Reader.Name())}
}

// Run drives h over all records that it wants, and returns nil at the end of the file, or where ctx is done. The partition is
// revoked in any case.
func (f *File) Run(ctx context.Context, h pipeline.Handler) error {
	p := f.Partition()
	from, err := h.Assign(ctx, p, -1)
	if err != nil {
		return fmt.Errorf("assign %v: %w", p, err)
	}
	err = f.process(ctx, h, p, from)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // stopped, not broken
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), fileRevoke)
	defer cancel()
	if e := h.Revoke(last, p); e != nil {
		err = errors.Join(err, fmt.Errorf("revoke %v: %w", p, e))
	}
	return err
}

// process hands on the records from an offset on, which may be one of the negative ones: a file is read from its start.
func (f *File) process(ctx context.Context, h pipeline.Handler, p pipeline.Partition, from int64) error {
	records := make([]pipeline.Record, 0, fileBatch)
	var values []byte // of the batch; where it grows, the values so far stay in the old array
	var stop error    // why reading ended
	batch := cmp.Or(f.Batch, fileBatch)
	for stop == nil {
		records, values = records[:0], values[:0]
		for len(records) < batch {
			var r pipeline.Record
			if r, stop = f.Reader.Next(); stop != nil {
				break
			}
			if r.Offset >= from {
				start := len(values)
				values = append(values, r.Value...)
				r.Value = values[start:len(values):len(values)]
				records = append(records, r)
			}
		}
		if err := f.hand(ctx, h, p, records); err != nil {
			return err
		}
		if f.Progress != nil {
			f.Progress(f.Reader.Progress())
		}
	}
	if stop == io.EOF {
		return nil
	}
	return stop
}

// hand passes one batch on and commits what came of it.
func (f *File) hand(ctx context.Context, h pipeline.Handler, p pipeline.Partition, records []pipeline.Record) error {
	if err := ctx.Err(); err != nil || len(records) == 0 {
		return err
	}
	out, err := h.Process(ctx, p, records)
	if err != nil {
		return fmt.Errorf("process %v: %w", p, err)
	}
	if len(out) > 0 {
		if err := f.Emit(out); err != nil {
			return fmt.Errorf("emit alerts of %v: %w", p, err)
		}
	}
	next := records[len(records)-1].Offset + 1
	if err := h.Committed(ctx, p, next); err != nil {
		return fmt.Errorf("commit %v at offset %d: %w", p, next, err)
	}
	return nil
}
