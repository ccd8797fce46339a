package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
)

// xerial is how the framing of snappy begins that Java writes: magic and two versions, then blocks behind their lengths.
var xerial = []byte{130, 83, 78, 65, 80, 80, 89, 0}

const xerialHeader = 16 // bytes

// snappyLen is what snappy data says that it decompresses to.
func snappyLen(src []byte) (n int, err error) {
	if len(src) <= xerialHeader || !bytes.HasPrefix(src, xerial) {
		return s2.DecodedLen(src)
	}
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return 0, errors.New("snappy: a block's length is cut off")
		}
		size := int(int32(binary.BigEndian.Uint32(src))) //nolint:gosec // the sign is looked at
		if src = src[4:]; size < 0 || size > len(src) {
			return 0, errors.New("snappy: a block is cut off")
		}
		block, err := s2.DecodedLen(src[:size])
		if err != nil {
			return 0, err
		}
		n += block
		src = src[size:]
	}
	return n, nil
}

// smallest is what a record takes that has neither key nor value nor headers, in bytes behind its length.
const smallest = 6

// overhead is the memory that the records of a batch take besides their bytes. What is no record ends the count: the client decodes
// no further either.
func overhead(records []byte) (n int) {
	for at := 0; at < len(records); {
		length, next := varint(records, at)
		if next < 0 || length < smallest || length > int64(len(records)-next) {
			return n
		}
		at = next + int(length)
		n += recordBytes + headerBytes*headers(records[next:at])
	}
	return n
}

// headers is how many headers a record says it has; 0 if it cannot be read that far. Each takes two bytes at least.
func headers(record []byte) int {
	at := 1       // after the attributes
	for range 2 { // differences of time and offset
		if _, at = varint(record, at); at < 0 {
			return 0
		}
	}
	for range 2 { // key and value
		length, next := varint(record, at)
		if next < 0 || length > int64(len(record)-next) {
			return 0
		}
		at = next + int(max(0, length))
	}
	count, next := varint(record, at)
	if next < 0 || count < 0 {
		return 0
	}
	return int(min(count, int64(len(record)-at)))
}

// varint reads the number at b[at] and says where it ends, -1 where there is none. Most take a byte or two.
func varint(b []byte, at int) (x int64, end int) {
	if at < len(b) && b[at] < 0x80 {
		return int64(b[at]>>1) ^ -int64(b[at]&1), at + 1
	}
	return longVarint(b, at)
}

func longVarint(b []byte, at int) (x int64, end int) {
	if at+1 < len(b) && b[at+1] < 0x80 {
		ux := uint16(b[at]&0x7f) | uint16(b[at+1])<<7
		return int64(ux>>1) ^ -int64(ux&1), at + 2
	}
	x, used := binary.Varint(b[min(at, len(b)):])
	if used <= 0 {
		return 0, -1
	}
	return x, at + used
}
