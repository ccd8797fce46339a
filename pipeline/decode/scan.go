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
		i = skipPlain(b, i)
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
// byte and for a byte less than n in Anderson's "Bit Twiddling Hacks", whose lowest hit is always true.
func skipPlain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := x^ones*'"', x^ones*'\\'
		hits := ((quote-ones)&^quote | (backslash-ones)&^backslash | (x-ones*' ')&^x) & tops
		if hits != 0 {
			return i + bits.TrailingZeros64(hits)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') { // mostly there is none
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isHex(c byte) bool { return isDigit(c) || c|0x20-'a' < 6 }
