package sources

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// A file that is a pipe to which nobody writes is left when ctx is done, in the midst of a read.
func TestFileIsLeft(t *testing.T) {
	for _, batch := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			in, out := io.Pipe()
			defer out.Close() //nolint:errcheck // it ends the read that is left behind
			opened := make(chan *FileReader)
			go func() {
				r, err := NewFileReader("pipe", newInterruptible(ctx, in), decode.Config{})
				if err != nil {
					t.Error(err)
				}
				opened <- r
			}()
			if _, err := out.Write([]byte("{\"n\":1}\n{\"n\":2}\n")); err != nil {
				t.Fatal(err)
			}
			h := &fileHandler{from: pipeline.FromStart}
			f := &File{Reader: <-opened, Batch: batch, Emit: func([]pipeline.Message) error { return nil }}
			done := make(chan error)
			go func() { done <- f.Run(ctx, h) }()
			synctest.Wait()
			if n := len(h.values); batch == 1 && n != 2 {
				t.Errorf("%d records while more may come, want 2", n)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("batch %d: Run = %v, want nil", batch, err)
			}
		})
	}
}

// Standard input is such a file, before its first byte too.
func TestStandardInputIsLeft(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	was := os.Stdin
	os.Stdin = in
	t.Cleanup(func() {
		os.Stdin = was
		_ = errors.Join(out.Close(), in.Close())
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenFile(ctx, stdin, decode.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("OpenFile = %v, want %v", err, context.Canceled)
	}
}
