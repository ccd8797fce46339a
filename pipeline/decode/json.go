package decode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// members are the members of an object that are looked for, by name.
type members struct {
	byName map[string]*member
	others int     // of them nobody looks for
	first  *member // the one found first in the last object
}

// member is one of them: a field, an object with fields in it, or both.
type member struct {
	name  string
	head  string   // the name in its quotes and a colon, as most producers write it; "" where the name has escapes
	front uint64   // the first eight bytes of head, for one comparison,
	mask  uint64   // and those that there are
	back  uint64   // the last eight, where there are as many
	token *token   // nil: not a field itself
	inner *members // nil: no fields below it
	below []*token // all fields below it
	next  *member  // the one found after it in the last object: producers keep their order
}

// jsonFormat finds fields in JSON objects, in one pass that also proves the whole document valid. It takes for JSON exactly what
// encoding/json does, and of a name given twice, as that does, the last.
type jsonFormat struct {
	root     members
	maxDepth int
	at       int    // of the fault: offset in the document
	want     string // of the fault: what should have stood there; "" for too deep
}

func newJSON(tokens []token, maxDepth int) *jsonFormat {
	f := &jsonFormat{maxDepth: maxDepth}
	for i := range tokens {
		var m *member
		in := &f.root
		for _, name := range split(tokens[i].path) {
			if m != nil {
				if m.inner == nil {
					m.inner = &members{}
				}
				m.below = append(m.below, &tokens[i])
				in = m.inner
			}
			m = in.add(name)
		}
		m.token = &tokens[i]
	}
	return f
}

// add returns the member of that name, a new one if there was none.
func (ms *members) add(name string) *member {
	m := ms.byName[name]
	if m == nil {
		m = &member{name: name}
		if end, _ := skipPlain([]byte(name), 0); end == len(name) {
			m.head = `"` + name + `":`
			front := make([]byte, 8)
			n := copy(front, m.head)
			m.front, m.mask = binary.LittleEndian.Uint64(front), 1<<(8*n)-1
			if n == 8 {
				m.back = binary.LittleEndian.Uint64([]byte(m.head[len(m.head)-8:]))
			}
		}
		if ms.byName == nil {
			ms.byName = map[string]*member{}
		}
		ms.byName[name] = m
	}
	return m
}

// find returns the member of that name. What nobody looks for gets a member too, so that it is expected after the same one in the next
// object; nil where there are too many of these.
func (ms *members) find(raw []byte, escaped bool) *member {
	if escaped {
		return ms.byName[string(appendUnescaped(nil, raw))]
	}
	m := ms.byName[string(raw)]
	if m == nil && ms.others < maxOthers && len(raw) <= maxOther {
		m = ms.add(string(raw))
		ms.others++
	}
	return m
}

// Of names that nobody looks for, more than most objects have, and less than somebody could invent.
const (
	maxOthers = 64
	maxOther  = 64 // bytes
)

// Frame is how many bytes stand before the JSON of a record: 5 where a serializer of a schema registry has written them, a zero, which no JSON begins
// with, and a schema's number; else 0.
func Frame[T string | []byte](value T) int {
	const bytes = 5
	if len(value) > bytes && value[0] == 0 {
		return bytes
	}
	return 0
}

func (f *jsonFormat) read(value []byte) error {
	frame := Frame(value)
	start := skipSpace(value, frame)
	isObject := start < len(value) && value[start] == '{'
	var end int
	if isObject {
		end = f.object(value, start+1, 1, &f.root)
	} else {
		end = f.value(value, start, 1, nil)
	}
	if end >= 0 {
		if end = skipSpace(value, end); end < len(value) {
			end = f.fault(end, "nothing more")
		}
	}
	switch {
	case end >= 0 && isObject:
		return nil
	case end >= 0:
		return &Refused{WrongType, fmt.Sprintf("record is %s, want an object", shorten(value[frame:]))}
	case f.want == "":
		return &Refused{TooDeep, fmt.Sprintf("record is nested deeper than %d at byte %d, want at most that", f.maxDepth, f.at)}
	case len(value) == 0:
		return &Refused{NotJSON, "record is empty, want an object"}
	case notFinite(value, f.at):
		return &Refused{NotFinite, fmt.Sprintf("byte %d begins NaN or Infinity, want a finite number", f.at)}
	case frame > 0:
		return &Refused{NotJSON, fmt.Sprintf("byte %d, behind the frame of a schema registry, is no JSON, want %s: Avro and Protobuf are not read", f.at, f.want)}
	case f.at >= len(value):
		return &Refused{NotJSON, fmt.Sprintf("record ends at byte %d, want %s", len(value), f.want)}
	default:
		return &Refused{NotJSON, fmt.Sprintf("byte %d is %q, want %s", f.at, shorten(value[f.at:f.at+1]), f.want)}
	}
}

// notFinite tells whether what is no JSON at b[i] is a number that JSON does not have, but that some languages write all the same.
func notFinite(b []byte, i int) bool {
	return i < len(b) && (bytes.HasPrefix(b[i:], []byte("NaN")) || bytes.HasPrefix(b[i:], []byte("Infinity")))
}

// fault notes where the document goes wrong. It returns -1, which all that scan pass on.
func (f *jsonFormat) fault(at int, want string) int {
	f.at, f.want = at, want
	return -1
}

// appendUnescaped appends what JSON text between quotes says. As in encoding/json, bytes that are no UTF-8 and surrogates without their
// partner read as U+FFFD.
func appendUnescaped(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			r, n := utf8.DecodeRune(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i += 2
		switch c := raw[i-1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+6 <= len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(raw[i+2:]))
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // quote, slash, backslash
			dst = append(dst, c)
		}
	}
	return dst
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		digit := c - '0'
		if c >= 'A' {
			digit = c&^0x20 - 'A' + 10
		}
		r = r<<4 | rune(digit)
	}
	return r
}
