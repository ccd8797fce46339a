package kafka

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pool keeps slices to be used again, in classes of capacities that double. What is larger than the last class is left to the collector.
type pool[E any] struct {
	classes []sync.Pool
}

// newPool keeps slices of up to so many elements.
func newPool[E any](most int) pool[E] { return pool[E]{make([]sync.Pool, bits.Len(uint(most)))} }

// get returns an empty slice with a capacity of at least n.
func (p *pool[E]) get(n int) []E {
	class := bits.Len(uint(max(n, 1) - 1))
	if class >= len(p.classes) {
		return make([]E, 0, n)
	}
	if s, ok := p.classes[class].Get().(*[]E); ok {
		return *s
	}
	return make([]E, 0, 1<<class)
}

// put takes back a slice that nobody uses any more.
func (p *pool[E]) put(s []E) {
	if class := bits.Len(uint(cap(s))) - 1; class >= 0 && class < len(p.classes) {
		s = s[:0]
		p.classes[class].Put(&s)
	}
}

const pooledRecords = 1 << 14 // of a batch, some 3 MiB of structs

// GetDecompressBytes is part of kgo.PoolDecompressBytes. What Decompress has said no to does not come here.
func (d *Decompressor) GetDecompressBytes(src []byte, _ kgo.CompressionCodecType) []byte {
	n, err := snappyLen(src)
	if err != nil {
		n = 0
	}
	return d.bytes.get(n)
}

// PutDecompressBytes is part of kgo.PoolDecompressBytes: all records of a batch are recycled.
func (d *Decompressor) PutDecompressBytes(b []byte) { d.bytes.put(b) }

// GetRecords is part of kgo.PoolRecords.
func (d *Decompressor) GetRecords(n int) []kgo.Record { return d.records.get(n) }

// PutRecords is part of kgo.PoolRecords.
func (d *Decompressor) PutRecords(r []kgo.Record) { d.records.put(r) }
