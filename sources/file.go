package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
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
	Progress func(rows, done, size int64)   // where not nil, told after each batch how many rows are behind, and what FileReader.Progress says
}

// partition is the one that Run passes to its handler.
func (f *File) partition() pipeline.Partition {
	if f.Topic != "" {
		return pipeline.Partition{Topic: f.Topic}
	}
	return pipeline.Partition{Topic: filepath.Base(f.Reader.Name())}
}

// Run drives h over all records that it wants, and returns nil at the end of the file, or where ctx is done. The partition is
// revoked in any case.
func (f *File) Run(ctx context.Context, h pipeline.Handler) error {
	p := f.partition()
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
	if f.Batch == 1 { // the next record of a pipe may be long in coming, and what fails is to be said before that
		var b rows
		for b.stop == nil {
			b.fill(f.Reader, from, 1)
			if err := f.take(ctx, h, p, &b); err != nil {
				return err
			}
		}
		return b.failed()
	}
	return f.ahead(ctx, h, p, from)
}

// ahead is process that reads a batch while the one before it is processed.
func (f *File) ahead(ctx context.Context, h pipeline.Handler, p pipeline.Partition, from int64) error {
	read, free, done := make(chan *rows), make(chan *rows, 2), make(chan struct{})
	free <- &rows{}
	free <- &rows{}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			b := <-free
			b.fill(f.Reader, from, cmp.Or(f.Batch, fileBatch))
			select {
			case read <- b:
			case <-done:
				return
			}
			if b.stop != nil {
				return
			}
		}
	})
	defer reading.Wait()
	defer close(done)
	for {
		b := <-read
		if err := f.take(ctx, h, p, b); err != nil {
			return err
		}
		if b.stop != nil {
			return b.failed()
		}
		free <- b
	}
}

// take hands on what is read, and tells.
func (f *File) take(ctx context.Context, h pipeline.Handler, p pipeline.Partition, b *rows) error {
	if err := f.hand(ctx, h, p, b.records); err != nil {
		return err
	}
	if f.Progress != nil && len(b.records) > 0 {
		done, size := f.Reader.Progress()
		f.Progress(b.records[len(b.records)-1].Offset+1, done, size)
	}
	return nil
}

// rows are what is handed on at once.
type rows struct {
	records []pipeline.Record
	values  []byte // of the records; where it grows, the values so far stay in the old array
	stop    error  // why reading ended, after these records
}

// failed is why reading ended, nil for the end of the file.
func (b *rows) failed() error {
	if b.stop == io.EOF {
		return nil
	}
	return b.stop
}

// fill reads up to n records from an offset on.
func (b *rows) fill(r *FileReader, from int64, n int) {
	b.records, b.values = b.records[:0], b.values[:0]
	for len(b.records) < n {
		record, values, err := r.appendNext(b.values)
		if b.stop = err; err != nil {
			return
		}
		if record.Offset >= from {
			b.values = values
			b.records = append(b.records, record)
		}
	}
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
