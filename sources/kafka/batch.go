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
	for len(records) > 0 {
		length, used := binary.Varint(records)
		if used <= 0 || length < smallest || length > int64(len(records)-used) {
			return n
		}
		n += recordBytes + headerBytes*headers(records[used:used+int(length)])
		records = records[used+int(length):]
	}
	return n
}

// headers is how many headers a record says it has; 0 if it cannot be read that far. Each takes two bytes at least.
func headers(record []byte) int {
	at := 1 // after the attributes
	for range 2 {
		_, used := binary.Varint(record[min(at, len(record)):]) // differences of time and offset
		if used <= 0 {
			return 0
		}
		at += used
	}
	for range 2 { // key and value
		length, used := binary.Varint(record[at:])
		if used <= 0 || length > int64(len(record)-at-used) {
			return 0
		}
		at += used + int(max(0, length))
	}
	count, used := binary.Varint(record[at:])
	if used <= 0 || count < 0 {
		return 0
	}
	return int(min(count, int64(len(record)-at)))
}
