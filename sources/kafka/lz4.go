package kafka

import (
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

// Of the LZ4 Frame Format Description 1.6.4.
const (
	lz4Magic   = 0x184D2204
	lz4Header  = 7           // bytes, where nothing optional is in it
	lz4Plain   = 1<<6 | 1<<5 // flags of version 1, each block by itself, and nothing optional
	lz4Content = 1 << 2      // but for a checksum of the content, which that may have
	lz4Stored  = 1 << 31     // of a block's length: it is not compressed
)

// lz4Blocks opens a frame right into where it stays, where it is of the kind that Kafka's producers write: one frame of blocks that stand by
// themselves. Anything else gives nil, and is left to the library's reader, which takes twice as long and says what is wrong with it. The checksum of
// the content is not looked at: that of the batch, which the client has found to be right, covers all that was sent.
func (d *Decompressor) lz4Blocks(src []byte) (out []byte) {
	if len(src) < lz4Header || binary.LittleEndian.Uint32(src) != lz4Magic || src[4]&^lz4Content != lz4Plain {
		return nil
	}
	end := len(src)
	if src[4]&lz4Content != 0 {
		end -= 4
	}
	block := 1 << (8 + 2*(src[5]>>4&7)) // bytes of the largest
	most := min(small, d.max)
	out = d.bytes.get(min(most, len(src)*int(max(d.lz4Times.Load(), 4*16))/16))
	at := lz4Header
	for at+4 <= end {
		length := binary.LittleEndian.Uint32(src[at:])
		at += 4
		if length == 0 && at == end {
			d.lz4Times.Store(int64(18*len(out)/len(src) + 1)) // an eighth more: batches differ
			return out
		}
		size := int(length &^ lz4Stored)
		if size == 0 || size > end-at {
			break
		}
		var ok bool
		if out, ok = d.lz4Block(out, src[at:at+size], length&lz4Stored != 0, min(block, most-len(out))); !ok {
			break
		}
		at += size
	}
	d.bytes.put(out)
	return nil
}

// lz4Block appends what a block decompresses to, unless that is more than most bytes, or the block cannot be read.
func (d *Decompressor) lz4Block(out, src []byte, stored bool, most int) ([]byte, bool) {
	for {
		room := out[len(out):min(cap(out), len(out)+most)]
		n := len(src)
		if !stored {
			var err error
			if n, err = lz4.UncompressBlock(src, room); err != nil { // for there is no room for it, mostly
				n = len(room) + 1
			}
		} else if n <= len(room) {
			copy(room, src)
		}
		switch {
		case n <= len(room):
			return out[:len(out)+n], true
		case len(room) == most:
			return out, false
		}
		larger := append(d.bytes.get(2*cap(out)), out...)
		d.bytes.put(out)
		out = larger
	}
}
