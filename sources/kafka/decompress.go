package kafka

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Decompressor opens compressed batches within two bounds: one batch may take so much memory, and so may all between two calls of
// Refill. A batch over the first is refused without ever standing in memory; one over the second has to come again.
//
// The client's own bound is on a batch's bytes only. Of a fetch it opens every batch: hundreds just under the bound are no less of a bomb;
// and a batch of the smallest records takes twenty times its bytes once they are structs.
//
// It is also the client's pool, for kgo.WithPools: what a batch was opened into, and its structs, are used again once each of its records is
// recycled. Records that are not are left to the collector.
type Decompressor struct {
	max  int          // bytes of a batch
	left atomic.Int64 // bytes until Refill
	turn *sync.Mutex  // of looks, else nil
	*tools
}

// tools are what batches are opened with, and into.
type tools struct {
	bytes    pool[byte]
	records  pool[kgo.Record]
	buffers  sync.Pool
	gzips    sync.Pool
	lz4s     sync.Pool
	lz4Times atomic.Int64 // its bytes that the last batch of lz4 decompressed to, in sixteenths
	zstds    sync.Pool    // for what fits a buffer
	streams  sync.Pool    // for what does not
	standard kgo.Decompressor
	looks    sync.Mutex // for one look at a time
}

// ErrLater refuses a batch for which there is room after the next Refill.
var ErrLater = errors.New("what was fetched before is to be processed first")

const (
	small        = 4 << 20 // bytes; a larger batch is measured first, which takes the time to open it twice
	likely       = 32      // times its bytes a batch is likely to decompress to at most
	maxWindow    = 1 << 30 // bytes that a producer may have zstd look back: the highest levels say 128 MiB, however small the batch
	recordBytes  = 200     // of a kgo.Record and the pointer to it; some fields may grow
	headerBytes  = 40      // of a kgo.RecordHeader
	maxOverheads = 4       // times the bound on a batch's bytes may go into structs
	maxOpen      = 2       // times the bound on a batch may be open between two calls of Refill
)

// Decompressor returns a decompressor with the bounds of this configuration.
func (c Config) Decompressor() *Decompressor {
	d := &Decompressor{max: cmp.Or(c.MaxBatchBytes, defaultMaxBatch), tools: &tools{bytes: newPool[byte](small), records: newPool[kgo.Record](pooledRecords)}}
	d.standard = kgo.DefaultDecompressor(d)
	d.buffers.New = func() any { return new(bytes.Buffer) }
	d.gzips.New = func() any { return new(gzip.Reader) }
	d.lz4s.New = func() any { return lz4.NewReader(nil) }
	decoder := func(opts ...zstd.DOption) func() any {
		return func() any {
			r, err := zstd.NewReader(nil, append(opts, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))...)
			if err != nil {
				panic("options that zstd refuses: " + err.Error())
			}
			return r
		}
	}
	d.zstds.New = decoder(zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxWindow))
	d.streams.New = decoder(zstd.WithDecoderMaxMemory(uint64(d.max))) //nolint:gosec // it is positive
	d.Refill()
	return d
}

// Apart returns a decompressor with the same bounds, counted on their own, for a look at what is not to be processed. All such open one batch
// at a time, with the tools of the others: a bomb's take 12 MiB.
func (d *Decompressor) Apart() *Decompressor {
	other := &Decompressor{max: d.max, turn: &d.looks, tools: d.tools}
	other.Refill()
	return other
}

// Refill says that what was opened so far has been processed.
func (d *Decompressor) Refill() { d.left.Store(maxOpen * int64(d.max)) }

// Decompress is part of kgo.Decompressor.
func (d *Decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	if d.turn != nil {
		d.turn.Lock()
		defer d.turn.Unlock()
	}
	if d.left.Load() <= 0 {
		return nil, ErrLater
	}
	out, err := d.open(src, codec)
	if err != nil {
		return nil, err
	}
	structs := overhead(out)
	if structs > maxOverheads*d.max {
		return nil, fmt.Errorf("%d bytes of structs: %w", structs, kgo.ErrMaxDecompress)
	}
	d.left.Add(-int64(len(out) + structs))
	return out, nil
}

func (d *Decompressor) open(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecSnappy:
		if n, err := snappyLen(src); err != nil {
			return nil, err
		} else if n > d.max {
			return nil, kgo.ErrMaxDecompress
		}
		return d.standard.Decompress(src, codec)
	case kgo.CodecZstd:
		return d.zstd(src)
	case kgo.CodecGzip:
		r := d.gzips.Get().(*gzip.Reader)
		defer d.gzips.Put(r)
		return d.stream(len(src), func() (io.Reader, error) { return r, r.Reset(bytes.NewReader(src)) })
	case kgo.CodecLz4:
		if out := d.lz4Blocks(src); out != nil {
			return out, nil
		}
		r := d.lz4s.Get().(*lz4.Reader)
		defer d.lz4s.Put(r)
		return d.stream(len(src), func() (io.Reader, error) {
			r.Reset(bytes.NewReader(src))
			return r, nil
		})
	}
	return nil, fmt.Errorf("unknown compression codec %d", codec)
}

// zstd decodes into what is known to be enough, or is likely to be. That it was not shows as several errors.
func (d *Decompressor) zstd(src []byte) ([]byte, error) {
	whole := d.zstds.Get().(*zstd.Decoder)
	defer d.zstds.Put(whole)
	var h zstd.Header
	if err := h.Decode(src); err == nil && h.HasFCS && h.FrameContentSize <= uint64(d.max) { //nolint:gosec // it is positive
		if out, err := whole.DecodeAll(src, d.bytes.get(int(h.FrameContentSize))); err == nil && len(out) <= d.max { //nolint:gosec // within max
			return out, nil
		} // another frame may follow
	}
	b, most := d.buffer(len(src))
	defer d.buffers.Put(b)
	out, err := whole.DecodeAll(src, b.AvailableBuffer()[:0:most])
	if err == nil {
		return append(d.bytes.get(len(out)), out...), nil
	}
	r := d.streams.Get().(*zstd.Decoder)
	defer func() {
		_ = r.Reset(nil)
		d.streams.Put(r)
	}()
	out, err = d.large(func() (io.Reader, error) { return r, r.Reset(bytes.NewReader(src)) })
	if errors.Is(err, zstd.ErrWindowSizeExceeded) { // a window wider than the bound is for more than that, or for nothing
		out, err = whole.DecodeAll(src, make([]byte, 0, d.max))
	}
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = kgo.ErrMaxDecompress
	}
	return out, err
}

// buffer has room for what a batch of n bytes is likely to decompress to at most.
func (d *Decompressor) buffer(n int) (b *bytes.Buffer, most int) {
	most = min(small, d.max, max(likely*n, bytes.MinRead))
	b = d.buffers.Get().(*bytes.Buffer)
	b.Reset()
	b.Grow(most + 1 + bytes.MinRead) // else it would grow to see that there is more, or nothing
	return b, most
}

// stream reads what open gives of n bytes, in one go where it is as small as is likely.
func (d *Decompressor) stream(n int, open func() (io.Reader, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	b, most := d.buffer(n)
	defer d.buffers.Put(b)
	if n, err := b.ReadFrom(io.LimitReader(r, int64(most)+1)); err != nil {
		return nil, err
	} else if n <= int64(most) {
		return append(d.bytes.get(b.Len()), b.Bytes()...), nil
	}
	return d.large(open)
}

// large reads what open gives twice: to learn how long it is, and into as much memory.
func (d *Decompressor) large(open func() (io.Reader, error)) ([]byte, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, int64(d.max)+1))
	if err != nil {
		return nil, err
	}
	if n > int64(d.max) {
		return nil, kgo.ErrMaxDecompress
	}
	if r, err = open(); err != nil {
		return nil, err
	}
	out := make([]byte, n)
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, err
	}
	return out, nil
}
