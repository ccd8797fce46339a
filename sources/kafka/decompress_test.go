package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// codecs compress as producers do, a piece at a time.
var codecs = map[string]struct {
	codec kgo.CompressionCodecType
	open  func(io.Writer) (io.WriteCloser, error)
}{
	"gzip": {kgo.CodecGzip, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestSpeed) }},
	"lz4":  {kgo.CodecLz4, func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }},
	"lz4 with checksums of blocks": {kgo.CodecLz4, func(w io.Writer) (io.WriteCloser, error) {
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.BlockSizeOption(lz4.Block256Kb), lz4.BlockChecksumOption(true))
	}},
	"lz4 without checksums": {kgo.CodecLz4, func(w io.Writer) (io.WriteCloser, error) {
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.ChecksumOption(false))
	}},
	"zstd":              {kgo.CodecZstd, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }},
	"zstd, wide window": {kgo.CodecZstd, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithWindowSize(32<<20)) }},
	"snappy as Java frames it": {kgo.CodecSnappy, func(w io.Writer) (io.WriteCloser, error) {
		_, err := w.Write(append(append([]byte{}, xerial...), 0, 0, 0, 1, 0, 0, 0, 1))
		return blocks{w}, err
	}},
}

// blocks writes each piece as a block behind its length.
type blocks struct{ to io.Writer }

func (b blocks) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 32<<10)
		block := snappy.Encode(nil, rest[:n])
		if _, err := b.to.Write([]byte{byte(len(block) >> 24), byte(len(block) >> 16), byte(len(block) >> 8), byte(len(block))}); err != nil {
			return 0, err
		}
		if _, err := b.to.Write(block); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}
func (blocks) Close() error { return nil }

// compress gives so many copies of a piece, compressed.
func compress(t testing.TB, open func(io.Writer) (io.WriteCloser, error), piece []byte, copies int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	for range copies {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What a batch held comes back, whatever its size and codec, up to the bound; beyond it is refused.
func TestDecompress(t *testing.T) {
	text := make([]byte, 1<<16)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range text {
		text[i] = "0123456789{}\":, temp"[rng.IntN(20)]
	}
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			d := Config{MaxBatchBytes: 12 << 20}.Decompressor()
			for _, copies := range []int{0, 1, 16, small / len(text), small/len(text) + 1, 12 << 20 / len(text)} {
				if copies == 0 && c.codec == kgo.CodecSnappy {
					continue // there is no such thing
				}
				d.Refill()
				got, err := d.Decompress(compress(t, c.open, text, copies), c.codec)
				if err != nil || !bytes.Equal(got, bytes.Repeat(text, copies)) {
					t.Errorf("%d bytes come back as %d, %v", copies*len(text), len(got), err)
				}
			}
			for _, copies := range []int{12<<20/len(text) + 1, 64 << 20 / len(text)} {
				d.Refill()
				if got, err := d.Decompress(compress(t, c.open, text, copies), c.codec); !errors.Is(err, kgo.ErrMaxDecompress) {
					t.Errorf("%d bytes over the bound come back as %d, %v, want %v", copies*len(text), len(got), err, kgo.ErrMaxDecompress)
				}
			}
			for _, bad := range [][]byte{nil, {1}, []byte("this is no compressed data"), compress(t, c.open, text, 2)[:100]} {
				d.Refill()
				if _, err := d.Decompress(bad, c.codec); err == nil && len(bad) > 0 {
					t.Errorf("Decompress(%q) succeeds", bad[:min(20, len(bad))])
				} else if errors.Is(err, kgo.ErrMaxDecompress) {
					t.Errorf("Decompress(%q) = %v, want another error", bad[:min(20, len(bad))], err)
				}
			}
		})
	}
	if got, err := (Config{}).Decompressor().Decompress(text, kgo.CodecNone); err != nil || &got[0] != &text[0] {
		t.Errorf("what is not compressed is handed on as it is: %v", err)
	}
	if _, err := (Config{}).Decompressor().Decompress(text, 7); err == nil {
		t.Error("an unknown codec succeeds")
	}
}

// What producers write of lz4 is opened without the library's reader, into as much memory as it takes; anything else is left to that.
func TestLz4Blocks(t *testing.T) {
	text := bytes.Repeat([]byte("some text "), 20_000)
	random := make([]byte, 100_000) // which is stored
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	open := func(options ...lz4.Option) func(io.Writer) (io.WriteCloser, error) {
		return func(w io.Writer) (io.WriteCloser, error) {
			z := lz4.NewWriter(w)
			return z, z.Apply(options...)
		}
	}
	plain := compress(t, open(), text, 1)
	java := compress(t, open(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)), text, 1)
	version, reserved := slices.Clone(plain), slices.Clone(plain)
	version[4] ^= 1 << 7
	reserved[4] ^= 1 << 1
	for what, c := range map[string]struct{ src, want []byte }{
		"as franz-go writes it": {plain, text},
		"as Java does":          {java, text},
		"stored":                {compress(t, open(lz4.BlockSizeOption(lz4.Block64Kb)), random, 1), random},
		"hundreds of times":     {compress(t, open(), make([]byte, 1<<20), 1), make([]byte, 1<<20)},
		"too many times":        {compress(t, open(), make([]byte, small+1), 1), nil},
		"checksums of blocks":   {compress(t, open(lz4.BlockChecksumOption(true)), text, 1), nil},
		"with its size":         {compress(t, open(lz4.SizeOption(uint64(len(text)))), text, 1), nil},
		"two frames":            {append(slices.Clone(plain), plain...), nil},
		"cut off":               {plain[:len(plain)-1], nil},
		"and a byte more":       {append(slices.Clone(plain), 0), nil},
		"another version":       {version, nil},
		"a reserved bit":        {reserved, nil},
		"an end before its end": {slices.Concat(java[:lz4Header], make([]byte, 4), java[lz4Header:]), nil},
		"a broken block":        {slices.Concat(plain[:20], []byte{0xff, 0xff, 0xff}, plain[23:]), nil},
		"text":                  {text, nil},
		"nothing":               {nil, nil},
	} {
		d := Config{MaxBatchBytes: 12 << 20}.Decompressor()
		for range 2 { // by a guess, and by what it was
			if got := d.lz4Blocks(c.src); !bytes.Equal(got, c.want) {
				t.Errorf("%s: %d bytes, want %d", what, len(got), len(c.want))
			}
		}
	}
}

// A bomb of two gigabytes takes less memory than the bound, and little time.
func TestBombTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	zeros := make([]byte, 1<<20)
	for name, c := range codecs {
		t.Run(name, func(t *testing.T) {
			bomb := compress(t, c.open, zeros, 2<<10)
			d := Config{}.Decompressor() // with its default bound, of 64 MiB
			if _, err := d.Decompress(bomb, c.codec); !errors.Is(err, kgo.ErrMaxDecompress) {
				t.Fatalf("Decompress = %v, want %v", err, kgo.ErrMaxDecompress)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			for range 3 {
				if _, err := d.Decompress(bomb, c.codec); !errors.Is(err, kgo.ErrMaxDecompress) {
					t.Fatal(err)
				}
			}
			took := time.Since(begin) / 3
			runtime.ReadMemStats(&after)
			if n := (after.TotalAlloc - before.TotalAlloc) / 3; n > 64<<20 {
				t.Errorf("a bomb of %d KiB makes %d MiB of memory, want at most 64", len(bomb)>>10, n>>20)
			} else {
				t.Logf("a bomb of %d KiB: %d KiB of memory, %v", len(bomb)>>10, n>>10, took)
			}
		})
	}
}

// Between two calls of Refill so much is opened, and no more; a batch within its own bound always fits after a Refill.
func TestBudget(t *testing.T) {
	c := codecs["zstd"]
	batch := compress(t, c.open, make([]byte, 1<<20), 3)
	d := Config{MaxBatchBytes: 4 << 20}.Decompressor()
	for round := range 3 {
		opened := 0
		for {
			_, err := d.Decompress(batch, c.codec)
			if errors.Is(err, ErrLater) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			opened++
		}
		if opened != 3 { // of 3 MiB each: the third begins below the bound of 8
			t.Errorf("round %d: %d batches are opened, want 3", round, opened)
		}
		if _, err := d.Apart().Decompress(batch, c.codec); err != nil {
			t.Errorf("round %d: a look at the batch: %v", round, err)
		}
		d.Refill()
	}
}

// The memory of records is counted as the client makes them, and a batch that is nothing but the smallest of them is refused.
func TestOverhead(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	spy := &spying{Decompressor: Config{}.Decompressor()}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("in"), kgo.WithDecompressor(spy), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var records []*kgo.Record
	headers := 0
	for i := range 1000 {
		r := &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(strings.Repeat("v", i))}
		if i%3 == 0 {
			r.Key = nil
		}
		for range i % 5 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "h", Value: []byte("x")})
			headers++
		}
		records = append(records, r)
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < len(records); {
		got += client.PollFetches(t.Context()).NumRecords()
	}
	counted := 0
	for _, out := range spy.outs {
		counted += overhead(out)
	}
	if want := len(records)*recordBytes + headers*headerBytes; counted != want {
		t.Errorf("overhead = %d, want %d for %d records with %d headers", counted, want, len(records), headers)
	}

	smallest := []byte{12, 0, 0, 0, 1, 1, 0} // no key, no value, no headers
	c := codecs["zstd"]
	if _, err := (Config{}).Decompressor().Decompress(compress(t, c.open, bytes.Repeat(smallest, 1000), 9000), c.codec); !errors.Is(err, kgo.ErrMaxDecompress) {
		t.Errorf("9 M records in 60 MiB: %v, want %v", err, kgo.ErrMaxDecompress)
	}
	if _, err := (Config{}).Decompressor().Decompress(compress(t, c.open, bytes.Repeat(smallest, 1000), 1000), c.codec); err != nil {
		t.Errorf("1 M records: %v", err)
	}
}

type spying struct {
	*Decompressor
	outs [][]byte
}

func (s *spying) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	out, err := s.Decompressor.Decompress(src, codec)
	s.outs = append(s.outs, out)
	return out, err
}

// Whatever comes is opened as the client's own decompressor does, or refused.
func FuzzDecompress(f *testing.F) {
	for _, c := range codecs {
		f.Add(compress(f, c.open, []byte("some text"), 100), int8(c.codec))
	}
	f.Fuzz(func(t *testing.T, src []byte, codec int8) {
		d := Config{MaxBatchBytes: minMaxBatch}.Decompressor()
		got, err := d.Decompress(src, kgo.CompressionCodecType(codec))
		if errors.Is(err, kgo.ErrMaxDecompress) {
			return
		}
		want, wantErr := kgo.DefaultDecompressor().Decompress(src, kgo.CompressionCodecType(codec))
		if errors.Is(wantErr, lz4.ErrInvalidFrameChecksum) || errors.Is(wantErr, lz4.ErrInvalidHeaderChecksum) {
			return // which lz4Blocks does not look at
		}
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("Decompress = %d bytes, %v, want %d, %v", len(got), err, len(want), wantErr)
		}
	})
}

// The time to open a batch, beside the client's own decompressor.
func BenchmarkDecompress(b *testing.B) {
	var text bytes.Buffer
	for i := 0; text.Len() < 256<<10; i++ {
		fmt.Fprintf(&text, `{"machine":"machine-%04d","ts":%d,"temp":%.2f,"pressure":%.2f,"rpm":%.1f}`, i%1000, 1767225600000+i*17, 70+float64(i%97)/9, 4+float64(i%31)/30, 2900+float64(i%211))
	}
	for name, c := range codecs {
		src := compress(b, c.open, text.Bytes(), 1)
		for whose, d := range map[string]kgo.Decompressor{"bounded": Config{MaxBatchBytes: maxMaxBatch}.Decompressor(), "client's": kgo.DefaultDecompressor()} {
			b.Run(name+"/"+whose, func(b *testing.B) {
				b.SetBytes(int64(text.Len()))
				b.ReportAllocs()
				for b.Loop() {
					if own, ok := d.(*Decompressor); ok {
						own.Refill()
					}
					out, err := d.Decompress(src, c.codec)
					if err != nil {
						b.Fatal(err)
					}
					if own, ok := d.(*Decompressor); ok {
						own.PutDecompressBytes(out)
					}
				}
			})
		}
	}
}
