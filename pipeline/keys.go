package pipeline

import "encoding/binary"

// keys holds the names of series, one after the other in pieces of memory without a pointer. A piece of which more than half is no longer wanted is
// given up, and the names that are left in it move: so at most half of all is wasted, and one piece.
type keys struct {
	pieces  []keyPiece
	current uint32
	spare   []uint32 // pieces that have been given up
}

// keyPiece is some names. Before each stands the series that has it, and its length.
type keyPiece struct {
	b    []byte
	dead int // bytes of names that are no longer wanted
}

// keyAt says where a name is: its piece, and how many keyUnits into that.
type keyAt uint32

const (
	keyPieceSize = 1 << 16
	keyUnit      = 4 // names begin at multiples of it
	keyUnits     = keyPieceSize / keyUnit
	keyHead      = 4 + 2
	keyDead      = 1 << 15 // in the place of a length's highest bit
)

func keySize(n int) int { return (keyHead + n + keyUnit - 1) / keyUnit * keyUnit }

// at is a name, until one is removed.
func (k *keys) at(a keyAt) []byte {
	b := k.pieces[a/keyUnits].b[a%keyUnits*keyUnit:]
	n := int(binary.LittleEndian.Uint16(b[4:]))
	return b[keyHead : keyHead+n : keyHead+n]
}

// add takes in the name of a series, of at most maxKey bytes, and notes in its slot where it is.
func (k *keys) add(key []byte, of uint32, slots *column[slot]) {
	size := keySize(len(key))
	for len(k.pieces) == 0 || len(k.pieces[k.current].b)+size > keyPieceSize {
		k.next(slots)
	}
	p := &k.pieces[k.current]
	at := len(p.b)
	p.b = binary.LittleEndian.AppendUint32(p.b, of)
	p.b = binary.LittleEndian.AppendUint16(p.b, uint16(len(key))) //nolint:gosec // at most maxKey
	p.b = append(p.b, key...)
	p.b = append(p.b, make([]byte, at+size-len(p.b))...)
	slots.at(of).key = keyAt(k.current)*keyUnits + keyAt(at/keyUnit) //nolint:gosec // in a piece
}

// next makes another piece the current one. The first begins small: many a partition has few series.
func (k *keys) next(slots *column[slot]) {
	full := k.current
	switch end := len(k.spare) - 1; {
	case end >= 0:
		k.current = k.spare[end]
		k.spare = k.spare[:end]
		k.pieces[k.current].b = make([]byte, 0, keyPieceSize)
	case len(k.pieces) == 0:
		k.pieces = []keyPiece{{}}
		return
	default:
		k.current = uint32(len(k.pieces)) //nolint:gosec // a number
		k.pieces = append(k.pieces, keyPiece{b: make([]byte, 0, keyPieceSize)})
	}
	k.tidy(full, slots)
}

// remove says that a name is no longer wanted.
func (k *keys) remove(a keyAt, slots *column[slot]) {
	piece := uint32(a / keyUnits)
	p := &k.pieces[piece]
	length := p.b[a%keyUnits*keyUnit+4:]
	n := binary.LittleEndian.Uint16(length)
	binary.LittleEndian.PutUint16(length, n|keyDead)
	p.dead += keySize(int(n))
	if piece != k.current {
		k.tidy(piece, slots)
	}
}

// tidy gives up a piece, other than the current one, where that is worth it.
func (k *keys) tidy(piece uint32, slots *column[slot]) {
	p := &k.pieces[piece]
	b := p.b
	if 2*p.dead <= len(b) {
		return
	}
	*p = keyPiece{}
	k.spare = append(k.spare, piece)
	for len(b) > 0 {
		n := binary.LittleEndian.Uint16(b[4:])
		size := keySize(int(n &^ keyDead))
		if n&keyDead == 0 {
			k.add(b[keyHead:keyHead+int(n)], binary.LittleEndian.Uint32(b), slots)
		}
		b = b[size:]
	}
}
