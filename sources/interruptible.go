package sources

import (
	"context"
	"io"
)

// interruptible reads until ctx is done: nothing else ends a read of a pipe to which nobody writes. Such a read is left behind, with a buffer
// of its own.
type interruptible struct {
	ctx  context.Context
	r    io.Reader
	b    [64 << 10]byte
	read chan result
}

// result is what a read returned.
type result struct {
	n   int
	err error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	return &interruptible{ctx: ctx, r: r, read: make(chan result, 1)}
}

func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	into := i.b[:min(len(b), len(i.b))]
	go func() {
		n, err := i.r.Read(into)
		i.read <- result{n, err}
	}()
	select {
	case got := <-i.read:
		return copy(b, into[:got.n]), got.err
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	}
}
