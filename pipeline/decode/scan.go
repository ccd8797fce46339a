package decode

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// value scans the value at b[i] and returns where it ends, or -1. It sets the tokens of m and of the fields below it; nil is a value
// that nobody asked for.
func (f *jsonFormat) value(b []byte, i, depth int, m *member) int {
	if i >= len(b) {
		return f.fault(i, "a value")
	}
	var t *token
	var inner *members
	if m != nil {
		t, inner = m.token, m.inner
		for _, below := range m.below { // this value may replace an earlier one of the same name
			below.kind = absent
		}
	}
	switch c := b[i]; {
	case c == '"':
		end, escaped := f.text(b, i+1)
		if end >= 0 && t != nil {
			raw := b[i+1 : end]
			t.kind, t.raw, t.escaped = text, raw, escaped || !utf8.Valid(raw)
		}
		if end < 0 {
			return -1
		}
		return end + 1
	case c == '-' || isDigit(c):
		d, end := scanNumber(b, i)
		if end < 0 {
			return f.fault(^end, "a digit")
		}
		if t != nil {
			t.kind, t.raw, t.number, t.escaped = number, b[i:end], d, false
		}
		return end
	case c == '{':
		if t != nil {
			t.kind = object
		}
		return f.object(b, i+1, depth, inner)
	case c == '[':
		if t != nil {
			t.kind = array
		}
		return f.array(b, i+1, depth)
	case c == 't':
		return f.literal(b, i, "true", t, boolean)
	case c == 'f':
		return f.literal(b, i, "false", t, boolean)
	case c == 'n':
		return f.literal(b, i, "null", t, null)
	default:
		return f.fault(i, "a value")
	}
}

// object scans an object from behind its brace; ms are the members looked for, nil for none.
func (f *jsonFormat) object(b []byte, i, depth int, ms *members) int {
	if depth > f.maxDepth {
		return f.fault(i-1, "")
	}
	if i = skipSpace(b, i); i < len(b) && b[i] == '}' {
		return i + 1
	}
	var last, guess *member
	if ms != nil {
		guess = ms.first
	}
	for {
		var m *member
		if end, before, done := expected(b, i, guess); done {
			return end
		} else if before != nil {
			i, last, guess = end, before, before.next
		}
		if guess.begins(b[i:]) {
			m, i = guess, i+len(guess.head)
		} else {
			if i >= len(b) || b[i] != '"' {
				return f.fault(i, "a name in quotes")
			}
			end, escaped := f.text(b, i+1)
			if end < 0 {
				return -1
			}
			if ms != nil {
				m = ms.find(b[i+1:end], escaped)
			}
			if i = skipSpace(b, end+1); i >= len(b) || b[i] != ':' {
				return f.fault(i, "a colon")
			}
			i++
		}
		if m != nil {
			if m != guess {
				if last == nil {
					ms.first = m
				} else {
					last.next = m
				}
			}
			last, guess = m, m.next
		}
		if i = f.value(b, skipSpace(b, i), depth+1, m); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ',' && b[i] != '}' {
			return f.fault(i, "a comma or }")
		}
		if b[i] == '}' {
			return i + 1
		}
		i = skipSpace(b, i+1)
	}
}

// expected scans members from the name at b[i] on, as long as they are those that came in the last object, from guess on, and plain: numbers, or
// text without escapes. That is nearly all of what most producers write, and here it takes one call. It returns where it stopped: behind the object if
// done, else at the name of a member that is left to object, whatever is noted of it.
func expected(b []byte, i int, guess *member) (end int, last *member, done bool) {
	for m := guess; m != nil && len(m.below) == 0 && m.begins(b[i:]); m = m.next {
		from := skipSpace(b, i+len(m.head))
		if from >= len(b) {
			break
		}
		var to int
		switch c := b[from]; {
		case c == '"':
			from++
			at, ascii := skipPlain(b, from)
			if at >= len(b) || b[at] != '"' {
				return i, last, false
			}
			if t, raw := m.token, b[from:at]; t != nil {
				t.kind, t.raw, t.escaped = text, raw, !ascii && !utf8.Valid(raw)
			}
			to = at + 1
		case c == '-' || isDigit(c):
			d, at := scanNumber(b, from)
			if at < 0 {
				return i, last, false
			}
			if t := m.token; t != nil {
				t.kind, t.raw, t.number, t.escaped = number, b[from:at], d, false
			}
			to = at
		}
		switch {
		case to == 0 || to >= len(b):
			return i, last, false
		case b[to] == '}':
			return to + 1, m, true
		case b[to] != ',':
			return i, last, false
		}
		i, last = skipSpace(b, to+1), m
	}
	return i, last, false
}

// begins says whether b begins with the head of m. It may miss the last member of a short record, which find then finds.
func (m *member) begins(b []byte) bool {
	if m == nil || m.head == "" || len(b) < 8 || (binary.LittleEndian.Uint64(b)^m.front)&m.mask != 0 {
		return false
	}
	n := len(m.head)
	return n <= 8 || n <= len(b) && binary.LittleEndian.Uint64(b[n-8:]) == m.back && (n <= 16 || string(b[8:n-8]) == m.head[8:n-8])
}

// array scans an array from behind its bracket. No field is looked for in one.
func (f *jsonFormat) array(b []byte, i, depth int) int {
	if depth > f.maxDepth {
		return f.fault(i-1, "")
	}
	if i = skipSpace(b, i); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = f.value(b, i, depth+1, nil); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ',' && b[i] != ']' {
			return f.fault(i, "a comma or ]")
		}
		if b[i] == ']' {
			return i + 1
		}
		i = skipSpace(b, i+1)
	}
}

func (f *jsonFormat) literal(b []byte, i int, word string, t *token, k kind) int {
	end := i + len(word)
	if end > len(b) || string(b[i:end]) != word {
		return f.fault(i, word)
	}
	if t != nil {
		t.kind, t.raw, t.escaped = k, b[i:end], false
	}
	return end
}

// text scans text from behind its first quote and returns where the other one is, or -1, and whether there are escapes before it.
func (f *jsonFormat) text(b []byte, i int) (end int, escaped bool) {
	for {
		i, _ = skipPlain(b, i)
		switch {
		case i >= len(b):
			return f.fault(i, "a closing quote"), escaped
		case b[i] == '"':
			return i, escaped
		case b[i] != '\\':
			return f.fault(i, "no control character in text"), escaped
		}
		escaped = true
		if i+1 >= len(b) {
			return f.fault(i+1, "an escape"), escaped
		}
		switch b[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			i += 2
			for end := i + 4; i < end; i++ {
				if i >= len(b) || !isHex(b[i]) {
					return f.fault(i, "four hexadecimal digits"), escaped
				}
			}
		default:
			return f.fault(i+1, "an escape"), escaped
		}
	}
}

// skipPlain returns where the next quote, backslash or control character is. It looks at eight bytes at once, by the tests for a zero
// byte and for a byte less than n in Anderson's "Bit Twiddling Hacks", whose lowest hit is always true. ascii says that all before is.
func skipPlain(b []byte, i int) (end int, ascii bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	var seen uint64
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := x^ones*'"', x^ones*'\\'
		hits := ((quote-ones)&^quote | (backslash-ones)&^backslash | (x-ones*' ')&^x) & tops
		if hits != 0 {
			before := bits.TrailingZeros64(hits) &^ 7
			return i + before/8, (seen|x<<(64-before))&tops == 0
		}
		seen |= x
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		seen |= uint64(b[i])
		i++
	}
	return i, seen&tops == 0
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') { // mostly there is none
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isHex(c byte) bool { return isDigit(c) || c|0x20-'a' < 6 }
