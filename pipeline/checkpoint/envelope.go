package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/gonomaly/gonomaly/pipeline"
)

// The envelope of a checkpoint, little-endian.
//
//	 0  "gnmy"
//	 4  version, 1 byte
//	 5  codec, 1 byte
//	 6  length of the configuration hash, 2 bytes
//	 8  epoch, 8 bytes
//	16  offset, 8 bytes
//	24  offset of the checkpoint that it continues, 8 bytes; 0 where it is whole
//	32  configuration hash, payload (the state as the codec made it)
//	    length of the state, 8 bytes
//	    CRC32C, 4 bytes, of the name of the log and everything before it
//
// What is known only in the end stands there, so that a state can be stored while it is taken.
//
// The version is that of all that is in a checkpoint. It is raised with every change of a layout, be it of the envelope, the worker's state
// or a detector's; TestGoldenCheckpoints sees to that. A reader knows the version before as well, so that an upgrade keeps what was learned.
// It knows a later one by magic, version and checksum, which do not change: a rollback passes over what it cannot read.
const (
	magic      = "gnmy"
	version    = 11
	oldest     = version - 1
	headerSize = 32
	sizeSize   = 8
	crcSize    = 4
)

// The codecs. What zstd cannot shrink it grows by three bytes in 128 KiB (RFC 8878, 3.1.1.2); version 10 had codecRaw for that.
const (
	codecRaw  = 0
	codecZstd = 1
)

// In version 10 the lengths of state and payload stood before the configuration hash.
const (
	lengthsFirst = 10
	lengthsSize  = 16
)

// maxState bounds what one envelope may unfold to: 1 GiB, some ten million small series in a partition.
const maxState = 1 << 30

// castagnoli is the polynomial of CRC32C (RFC 3720, B.4), which processors compute.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of an envelope. The name of the log is in it, so that one log's state is never taken for another's.
func checksum(l pipeline.Log, body []byte) uint32 {
	sum := nameSum(l)
	for piece := range slices.Chunk(body, 1<<20) { // a collection waits for the end of a call
		sum = crc32.Update(sum, castagnoli, piece)
	}
	return sum
}

func nameSum(l pipeline.Log) uint32 { return crc32.Checksum([]byte(name(l, ":")), castagnoli) }

// window is how far back the compressor looks, in bytes. It holds two of them for each core, and four times as much makes states smaller by 1 % at most.
const window = 1 << 20

// codec holds the compressor, whose tables are worth keeping between checkpoints. It is used from many goroutines.
type codec struct{ zstd *zstd.Encoder }

func newCodec() *codec {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window), zstd.WithEncoderCRC(false)) // the envelope has one
	if err != nil {
		panic(err) // the options are constant
	}
	return &codec{e}
}

// leastChunk is from how many bytes on a piece of an envelope is handed on.
const leastChunk = 512 << 10

// encode gives c of log l in its envelope, piece by piece as its state is given; once, like the state.
func (e *codec) encode(c pipeline.Checkpoint, state pipeline.Pieces, l pipeline.Log, epoch int64) (pipeline.Pieces, error) {
	if len(c.Config) > math.MaxUint16 {
		return nil, fmt.Errorf("configuration hash has %d bytes, want at most %d", len(c.Config), math.MaxUint16)
	}
	if c.Offset < 0 || epoch < 0 {
		return nil, fmt.Errorf("offset is %d and epoch %d, want neither negative", c.Offset, epoch)
	}
	if !mayContinue(c) {
		return nil, fmt.Errorf("offset is %d and continues %d, want one before it", c.Offset, c.After)
	}
	var b []byte
	b = append(b, magic...)
	b = append(b, version, codecZstd)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.Config))) //nolint:gosec // checked above
	b = binary.LittleEndian.AppendUint64(b, uint64(epoch))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Offset))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.After)) //nolint:gosec // checked above
	b = append(b, c.Config...)
	return func(yield func([]byte, error) bool) {
		sum, size := nameSum(l), 0
		for piece, err := range state {
			if size += len(piece); err == nil && size > maxState {
				err = fmt.Errorf("state has more than %d bytes", maxState)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if b = e.zstd.EncodeAll(piece, b); len(b) >= leastChunk {
				sum = crc32.Update(sum, castagnoli, b)
				if !yield(b, nil) {
					return
				}
				b = b[:0]
			}
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(size))
		sum = crc32.Update(sum, castagnoli, b)
		yield(binary.LittleEndian.AppendUint32(b, sum), nil)
	}, nil
}

// decode reads what encode wrote of log l, in this version or the one before. What another version wrote is errVersion, anything else
// errDamaged; whatever the bytes say, it allocates no more than they unfold to, and at most twice the bytes in most. The state may share
// memory with b.
func decode(b []byte, l pipeline.Log, most uint64) (c pipeline.Stored, epoch int64, err error) {
	fail := func(format string, args ...any) (pipeline.Stored, int64, error) {
		return pipeline.Stored{}, 0, fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
	}
	if len(b) < headerSize+sizeSize+crcSize || string(b[:4]) != magic {
		return fail("%d bytes are not a checkpoint", len(b))
	}
	body, sum := b[:len(b)-crcSize], binary.LittleEndian.Uint32(b[len(b)-crcSize:])
	if got := checksum(l, body); got != sum {
		return fail("checksum is %08x, want %08x", got, sum)
	}
	if b[4] < oldest || b[4] > version {
		return pipeline.Stored{}, 0, fmt.Errorf("%w: version is %d, want %d or %d", errVersion, b[4], oldest, version)
	}
	configLen := int(binary.LittleEndian.Uint16(b[6:]))
	e, offset := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	if e > math.MaxInt64 || offset > math.MaxInt64 {
		return fail("epoch is %d and offset %d, want at most %d", e, offset, int64(math.MaxInt64))
	}
	c.Offset, c.After = int64(offset), int64(binary.LittleEndian.Uint64(b[24:])) //nolint:gosec // checked next
	if !mayContinue(c.Checkpoint) {
		return fail("offset is %d and continues %d", c.Offset, c.After)
	}
	rest, end := body[headerSize:len(body)-sizeSize], body[len(body)-sizeSize:]
	if b[4] == lengthsFirst {
		if len(body) < headerSize+lengthsSize {
			return fail("%d bytes are not a checkpoint of version %d", len(b), lengthsFirst)
		}
		rest, end = body[headerSize+lengthsSize:], body[headerSize:]
	}
	if configLen > len(rest) {
		return fail("configuration hash of %d bytes in %d", configLen, len(rest))
	}
	c.Config = string(rest[:configLen])
	payload, stateLen := rest[configLen:], binary.LittleEndian.Uint64(end)
	if stateLen > most {
		return fail("state has %d bytes, want at most %d", stateLen, most)
	}
	switch b[5] {
	case codecRaw:
		c.State = payload
	case codecZstd:
		if c.State, err = unfold(payload, int64(stateLen)); err != nil { //nolint:gosec // bounded above
			return fail("%v", err)
		}
	default:
		return fail("codec %d is unknown", b[5])
	}
	if uint64(len(c.State)) != stateLen {
		return fail("state has %d bytes, want %d", len(c.State), stateLen)
	}
	return c, int64(e), nil
}

// mayContinue says whether a checkpoint can continue what it says it does.
func mayContinue(c pipeline.Checkpoint) bool {
	return c.After == pipeline.Whole || c.After > 0 && c.After < c.Offset
}

// unfold decompresses up to one byte more than n. It streams, so that a length that lies costs nothing.
func unfold(b []byte, n int64) ([]byte, error) {
	d, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxState))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var state bytes.Buffer
	state.Grow(int(min(n, 8*int64(len(b))))) // a usual ratio; a better one grows it
	if _, err := io.Copy(&state, io.LimitReader(d, n+1)); err != nil {
		return nil, err
	}
	return state.Bytes(), nil
}
