package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"runtime"
	"slices"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

// The layout is a promise to checkpoints that are already stored.
func TestEnvelopeBytes(t *testing.T) {
	b, err := newCodec().whole(continuing(of(258, "ab", []byte{1, 2, 3}), 257), someLog, 3)
	if err != nil {
		t.Fatal(err)
	}
	const want = "676e6d79" + "0b" + "01" + "0200" + "0300000000000000" + "0201000000000000" + "0101000000000000" +
		"6162" + "28b52ffd" + "0000" + "190000" + "010203" + "0300000000000000" // in the middle a frame and its block (RFC 8878, 3.1.1)
	if got := hex.EncodeToString(b[:len(b)-crcSize]); got != want {
		t.Errorf("envelope is %s, want %s", got, want)
	}
	// CRC32C of "123456789" is e3069283 (RFC 3720, B.4 uses the same polynomial).
	if sum := crc32.Checksum([]byte("123456789"), castagnoli); sum != 0xe3069283 {
		t.Errorf("check value is %08x, want e3069283", sum)
	}
}

// An envelope that claims a little and unfolds to a lot stops at what it claims.
func TestBombStops(t *testing.T) {
	b, err := newCodec().whole(of(0, "c", make([]byte, 256<<20)), someLog, 1)
	if err != nil {
		t.Fatal(err)
	}
	body := b[:len(b)-crcSize]
	binary.LittleEndian.PutUint64(body[len(body)-sizeSize:], 1000)
	b = seal(body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = decode(b, someLog, maxState)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, errDamaged) {
		t.Fatalf("decode = %v, want errDamaged", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d bytes allocated for a claim of 1000", n)
	}
}

func TestEncodeRefusesNegative(t *testing.T) {
	for _, c := range []pipeline.Stored{at(-1), after(5, 5), after(5, -1)} {
		if _, err := newCodec().whole(c, someLog, 1); err == nil {
			t.Errorf("%+v was encoded", c.Checkpoint)
		}
	}
}

const fuzzMost = 1 << 16

// seal ends a body with its checksum.
func seal(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(body), checksum(someLog, body))
}

// before is an envelope as version 10 had it.
func before(b []byte) []byte {
	body, size := b[:len(b)-sizeSize-crcSize], b[len(b)-sizeSize-crcSize:len(b)-crcSize]
	payload := len(body) - headerSize - int(binary.LittleEndian.Uint16(b[6:]))
	old := slices.Concat(body[:headerSize], size, binary.LittleEndian.AppendUint64(nil, uint64(payload)), body[headerSize:])
	old[4] = lengthsFirst
	return seal(old)
}

// No bytes panic, and what decodes encodes to something that decodes to the same. The checksum is set right, so that the fuzzer
// reaches what lies behind it.
//
// The bound is small so that the fuzzer does not spend its time on zeros.
func FuzzDecode(f *testing.F) {
	e := newCodec()
	for _, c := range []pipeline.Stored{{}, of(9, config, []byte("state")), continuing(of(1<<40, "", make([]byte, 1000)), 7)} {
		b, err := e.whole(c, someLog, 4)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-crcSize])
		b = before(b)
		f.Add(b[:len(b)-crcSize])
	}
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, _, err := decode(body, someLog, fuzzMost); err != nil && !errors.Is(err, errDamaged) {
			t.Fatalf("decode = %v, want errDamaged", err)
		}
		c, epoch, err := decode(seal(body), someLog, fuzzMost)
		if err != nil {
			if !errors.Is(err, errDamaged) && !errors.Is(err, errVersion) {
				t.Fatalf("decode = %v, want errDamaged or errVersion", err)
			}
			return
		}
		b, err := e.whole(c, someLog, epoch)
		if err != nil {
			t.Fatal(err)
		}
		again, epochAgain, err := decode(b, someLog, maxState)
		if err != nil || epochAgain != epoch || again.Offset != c.Offset || again.After != c.After || again.Config != c.Config || !bytes.Equal(again.State, c.State) {
			t.Fatalf("decode of encode = %v, epoch %d, %v, want %v, epoch %d", again, epochAgain, err, c, epoch)
		}
	})
}
