package decode

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The reference decoder is the standard library's, slow and plain. The decoders must give its sample, or its reason, for any bytes.

func FuzzJSON(f *testing.F) {
	configs := []Config{machines, nested,
		{Key: Fields{"a", "a.b"}, Time: Time{Field: "a.t"}, Values: Fields{"a.b.é", "x"}, MaxDepth: 3},
		{Values: Fields{"x", "y"}, NumbersAsStrings: true, Time: Time{Field: "t", Unit: "s"}},
		{Values: Fields{"x", "y"}, Missing: Last},
	}
	for _, seed := range []string{
		string(record186), `{"site":{"name":"a/b","rack.no":5},"data":{"temp":" 1.5"}}`,
		`{"a":{"b":{"\u00e9":1}},"a":{"b":{"é":2e3},"t":"2024-01-01T00:00:00.5+05:30"},"x":1}`, `{"t":1.5e9,"x":"inf","y":-0}`,
		`{"a":"\ud83d\ude00\ud800\u0041\"\\\/\b\f\n\r\t","x":tru}`, `[[[[]]]]`, "\xef\xbb\xbf{}", `{"a":{"a":{"a":{}}}}`, `{"x":01}`, `nul`, ``, "\x00\x00\x00\x00\x07" + `{"x":1,"y":2}`,
	} {
		for i := range configs {
			f.Add(i, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, i int, value []byte) {
		c := configs[uint(i)%uint(len(configs))]
		want, reason := referenceJSON(c, value)
		compare(t, c, value, want, reason)
	})
}

func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"2024-05-06 09:08,h1,,0.5\r\n", `2024-05-06 09:08,"h ""1"", 2","a` + "\r\n" + `b",".5"`, "a,b,c,d\ne", "\n", "\r", `"a"b,,,`, `a"b,,,`,
		`"",,,` + "\r\r\n", `,,,"`, "2024-05-06 09:08,h,\r,1\r", "2024-05-06 09:08,/\\, ,+1e3 ",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		want, reason := referenceCSV(columns, value)
		compare(t, columns, value, want, reason)
	})
}

func FuzzTime(f *testing.F) {
	for _, seed := range []string{"2024-02-29T23:59:59.123456789012Z", "2024-02-29T2:59:59.2Z", "2024-02-29T02:59:59,2Z", "2023-02-29T00:00:00Z", "2024-01-01T00:00:00+23:59", "1970-01-01T00:00:00+00:01",
		"2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775808Z", "9223372036854775807", "9223372036.854775807999", "1.7e9", "-0.0",
		"-1e-9", "17000000000000000000000000e-16", "0.00000000000000000000001e30"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, fits := referenceRFC3339(text)
		if ns, ok := rfc3339([]byte(text)); ok != fits || ok && ns != want {
			t.Errorf("rfc3339(%q) = %d, %v, want %d, %v", text, ns, ok, want, fits)
		}
		for name, unit := range units {
			want, fits := referenceEpoch(text, unit.power)
			if ns, ok := epoch([]byte(text), unit.power); ok != fits || ok && ns != want {
				t.Errorf("epoch(%q) in %s = %d, %v, want %d, %v", text, name, ns, ok, want, fits)
			}
		}
	})
}

// compare decodes value twice, the second time with what the first has taught the decoder.
func compare(t *testing.T, c Config, value []byte, want Sample, reason Reason) {
	d := fresh(t, c)
	for range 2 {
		var got Sample
		err := d.Decode([]byte("own"), value, now, &got)
		var refused *Refused
		switch {
		case errors.As(err, &refused):
			if refused.Reason != reason {
				t.Errorf("Decode(%q): %v, want %q %+v", value, err, reason, want)
			}
			if !utf8.ValidString(refused.Detail) || len(refused.Detail) > 200 {
				t.Errorf("Decode(%q): detail %q", value, refused.Detail)
			}
		case reason != "" || !same(got, want):
			t.Errorf("Decode(%q) = %+v, want %q %+v", value, got, reason, want)
		}
	}
}

func referenceJSON(c Config, value []byte) (Sample, Reason) {
	if len(value) > 5 && value[0] == 0 { // a schema registry's frame
		value = value[5:]
	}
	if invalid, deep := firstInvalid(value), firstDeeper(value, c.MaxDepth); deep < invalid {
		return Sample{}, TooDeep
	} else if notFinite(value, invalid) {
		return Sample{}, NotFinite
	} else if invalid < math.MaxInt {
		return Sample{}, NotJSON
	}
	r := json.NewDecoder(bytes.NewReader(value))
	r.UseNumber()
	var doc any
	if r.Decode(&doc) != nil {
		return Sample{}, NotJSON
	}
	if _, ok := doc.(map[string]any); !ok {
		return Sample{}, WrongType
	}
	return reference(c, func(path string) any {
		at := doc
		for _, name := range split(path) {
			in, _ := at.(map[string]any)
			at = in[name]
		}
		return at
	})
}

func referenceCSV(c Config, value []byte) (Sample, Reason) {
	r := csv.NewReader(bytes.NewReader(value))
	r.FieldsPerRecord = len(c.Columns)
	row, err := r.Read()
	if err != nil || r.InputOffset() != int64(len(value)) || value[0] == '\n' || bytes.HasPrefix(value, []byte("\r\n")) {
		return Sample{}, NotCSV
	}
	return reference(c, func(name string) any {
		if s := row[slices.Index(c.Columns, name)]; s != "" {
			return s
		}
		return nil
	})
}

// reference makes a sample of what find has for each path: nil, string, json.Number, bool, or something else.
func reference(c Config, find func(path string) any) (s Sample, r Reason) {
	var parts []string
	for _, path := range c.Key {
		switch x := find(path).(type) {
		case string:
			parts = append(parts, x)
		case json.Number:
			parts = append(parts, x.String())
		case bool:
			parts = append(parts, strconv.FormatBool(x))
		case nil:
			return s, MissingField
		default:
			return s, WrongType
		}
	}
	s.Key = []byte("own")
	switch {
	case len(parts) == 1:
		s.Key = []byte(parts[0])
	case len(parts) > 1:
		for i := range parts {
			parts[i] = strings.ReplaceAll(strings.ReplaceAll(parts[i], `\`, `\\`), "/", `\/`)
		}
		s.Key = []byte(strings.Join(parts, "/"))
	}
	if s.Time, r = referenceEventTime(c.Time, find); r != "" {
		return s, r
	}
	missing := 0
	for _, path := range c.Values {
		var text string
		switch x := find(path).(type) {
		case json.Number:
			text = x.String()
		case string:
			text = strings.Trim(x, " \t")
			if !c.NumbersAsStrings && c.Format != "csv" || strings.ContainsAny(text, "xX_") {
				return s, WrongType
			}
		case nil:
			if c.Missing != Last {
				return s, MissingField
			}
			text = "nan"
			missing++
		default:
			return s, WrongType
		}
		x, err := strconv.ParseFloat(text, 64)
		if errors.Is(err, strconv.ErrSyntax) {
			return s, WrongType
		}
		if math.IsInf(x, 0) || math.IsNaN(x) && find(path) != nil {
			return s, NotFinite
		}
		s.Values = append(s.Values, x)
	}
	if missing == len(c.Values) {
		return s, MissingField
	}
	return s, ""
}

func referenceEventTime(c Time, find func(string) any) (ns int64, r Reason) {
	if c.Field == "" {
		return now, ""
	}
	x, ok := find(c.Field), false
	text, isText := x.(string)
	if n, isNumber := x.(json.Number); isNumber && c.Unit != "" {
		text, isText = n.String(), true
	}
	switch {
	case x == nil:
		return 0, MissingField
	case !isText:
		return 0, WrongType
	case c.Unit != "":
		ns, ok = referenceEpoch(strings.Trim(text, " \t"), units[c.Unit].power)
	case c.Layout != "":
		zone, _ := time.LoadLocation(c.Zone)
		at, err := time.ParseInLocation(c.Layout, text, zone)
		ns, ok = referenceTime(at)
		ok = ok && err == nil
	default:
		ns, ok = referenceRFC3339(text)
	}
	if !ok || ns-now > int64(Defaults().MaxAhead) {
		return 0, BadTime
	}
	return ns, ""
}

func referenceTime(t time.Time) (int64, bool) {
	return t.UnixNano(), !t.Before(time.Unix(0, 0)) && !t.After(time.Unix(0, math.MaxInt64))
}

// Go takes for RFC 3339 some texts that are not: an hour of one digit, a comma for the point, a zone of more than a day.
var rfc3339Form = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func referenceRFC3339(text string) (int64, bool) {
	at, err := time.Parse(time.RFC3339, text)
	ns, ok := referenceTime(at)
	return ns, ok && err == nil && rfc3339Form.MatchString(text)
}

func referenceEpoch(text string, power int) (int64, bool) {
	approximate, err := strconv.ParseFloat(text, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	switch {
	case !json.Valid([]byte(text)) || strings.Trim(text, " \t\r\n") != text || !strings.ContainsAny(text[:1], "-0123456789"):
		return 0, false
	case err != nil || approximate > 1e19:
		return 0, false
	case text[0] == '-':
		return 0, !strings.ContainsAny(mantissa, "123456789")
	case approximate < 1e-19: // too much for a big.Rat
		return 0, true
	}
	exact, _ := new(big.Rat).SetString(text)
	exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(power)), nil)))
	ns := new(big.Int).Quo(exact.Num(), exact.Denom())
	return ns.Int64(), ns.IsInt64()
}

// firstInvalid returns where encoding/json finds that b is not JSON, len(b) for something missing at its end.
func firstInvalid(b []byte) int {
	var raw json.RawMessage
	var fault *json.SyntaxError
	switch err := json.Unmarshal(b, &raw); {
	case err == nil:
		return math.MaxInt
	case errors.As(err, &fault) && fault.Error() != "unexpected end of JSON input":
		return int(fault.Offset) - 1
	}
	return len(b)
}

// firstDeeper returns where the nesting of b exceeds most, the default for 0.
func firstDeeper(b []byte, most int) int {
	if most == 0 {
		most = Defaults().MaxDepth
	}
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == '{' || c == '['):
			if depth++; depth > most {
				return i
			}
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return math.MaxInt
}
