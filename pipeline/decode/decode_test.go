package decode

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// now is the timestamp of the records in these tests.
var now = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC).UnixNano()

var (
	machines = Config{Key: Fields{"machine"}, Time: Time{Field: "ts", Unit: "ms"}, Values: Fields{"temp", "pressure"}}
	nested   = Config{Key: Fields{"site.name", `site.rack\.no`}, Values: Fields{"data.temp"}, NumbersAsStrings: true, MaxDepth: 4}
	rfc      = Config{Key: Fields{"k"}, Time: Time{Field: "t"}, Values: Fields{"x"}}
	sparse   = Config{Key: Fields{"k"}, Values: Fields{"x", "y"}, Missing: Last}
	seconds  = Config{Key: Fields{"k"}, Time: Time{Field: "t", Unit: "s"}, Values: Fields{"x"}}
	dated    = Config{Time: Time{Field: "t", Layout: time.UnixDate, Zone: "Europe/Berlin"}, Values: Fields{"x"}}
	columns  = Config{Format: "csv", Columns: []string{"at", "host", "note", "load"}, Key: Fields{"host"},
		Time: Time{Field: "at", Layout: "2006-01-02 15:04", Zone: "Europe/Berlin"}, Values: Fields{"load"}}
)

func TestGoodRecords(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		value  string
		want   string // key, seconds before now, values
	}{
		{"flat", machines, `{"ts":1714979288500,"machine":"m1","temp":21.5,"pressure":-3e2}`, "m1 0.5 [21.5 -300]"},
		{"behind a registry's frame", machines, "\x00\x00\x00\x01\x02" + `{"ts":1714979289000,"machine":"m1","temp":1,"pressure":2}`, "m1 0 [1 2]"},
		{"other order, other fields, space", machines, " {\"x\":[1,{\"temp\":7}],\n\"pressure\" : 1 ,\"temp\":2,\"machine\":\"m\\u00e9\",\"ts\":1714979289000}\n", "mé 0 [2 1]"},
		{"escaped name", machines, `{"te\u006dp":1,"pressure":0.1,"machine":"a\/b","ts":"1714979289000"}`, "a/b 0 [1 0.1]"},
		{"the last of a name wins", machines, `{"temp":"hot","temp":1,"pressure":2,"machine":"m","machine":"n","ts":null,"ts":1714979289000}`, "n 0 [1 2]"},
		{"key is a number", machines, `{"machine":7.0,"temp":1,"pressure":2,"ts":1714979289000}`, "7.0 0 [1 2]"},
		{"key is true", machines, `{"machine":true,"temp":1,"pressure":2,"ts":1714979289000}`, "true 0 [1 2]"},
		{"key is empty text", machines, `{"machine":"","temp":1,"pressure":2,"ts":1714979289000}`, " 0 [1 2]"},
		{"no UTF-8 in a key", machines, "{\"machine\":\"\xff\",\"temp\":1,\"pressure\":2,\"ts\":1714979289000}", "\uFFFD 0 [1 2]"},
		{"as far ahead as believed", machines, `{"machine":"m","temp":1,"pressure":2,"ts":1714979889000}`, "m -600 [1 2]"},
		{"dotted path, dot in a name", nested, `{"site":{"name":"a/b","rack.no":5},"data":{"temp":" +1.50 "}}`, `a\/b/5 0 [1.5]`},
		{"joined key is not another", nested, `{"site":{"name":"a","rack.no":"b/5"},"data":{"temp":1}}`, `a/b\/5 0 [1]`},
		{"an object replaced", nested, `{"site":{"name":"a","rack.no":1},"data":{"x":0},"data":{"temp":2}}`, `a/1 0 [2]`},
		{"RFC 3339", rfc, `{"k":"m","x":1,"t":"2024-05-06T12:38:08.75+05:30"}`, "m 0.25 [1]"},
		{"seconds with decimals", seconds, `{"k":"m","x":1,"t":1714979288.875}`, "m 0.125 [1]"},
		{"seconds with an exponent", seconds, `{"k":"m","x":1,"t":"17149792.885E2"}`, "m 0.5 [1]"},
		{"the zone's own name", dated, `{"x":1,"t":"Mon May  6 09:08:09 CEST 2024"}`, "record key 0 [1]"},
		{"its other one", dated, `{"x":1,"t":"Mon May  6 08:08:09 CET 2024"}`, "record key 0 [1]"},
		{"UTC", dated, `{"x":1,"t":"Mon May  6 07:08:09 UTC 2024"}`, "record key 0 [1]"},
		{"GMT", dated, `{"x":1,"t":"Mon May  6 07:08:09 GMT 2024"}`, "record key 0 [1]"},
		{"some values missing", sparse, `{"k":"a","y":2}`, "a 0 [NaN 2]"},
		{"csv in a zone", columns, "2024-05-06 09:08,h1,,0.5\r\n", "h1 9 [0.5]"},
		{"csv in quotes", columns, `2024-05-06 09:08,"h ""1"", 2","a` + "\r\n" + `b",".5"`, `h "1", 2 9 [0.5]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Sample
			if err := fresh(t, c.config).Decode([]byte("record key"), []byte(c.value), now, &s); err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %v %v", s.Key, time.Duration(now-s.Time).Seconds(), s.Values)
			if got != c.want {
				t.Errorf("Decode(%s) = %s, want %s", c.value, got, c.want)
			}
		})
	}
}

func TestFiltered(t *testing.T) {
	json := Config{Values: Fields{"x"}, Where: []Where{{"type", Fields{"paid", "é", "3", "true"}}, {"in.region", Fields{"eu"}}}}
	both := Config{Key: Fields{"type"}, Values: Fields{"x"}, Where: []Where{{"type", Fields{"paid"}}}} // one field for two things
	csv := Config{Format: "csv", Columns: []string{"type", "x"}, Values: Fields{"x"}, Where: []Where{{"type", Fields{"paid"}}}}
	for _, c := range []struct {
		config Config
		value  string
		want   string // outcome
	}{
		{json, `{"type":"paid","in":{"region":"eu"},"x":1}`, "taken"},
		{json, `{"type":"\u00e9","in":{"region":"eu"},"x":1}`, "taken"},
		{json, `{"type":3,"in":{"region":"eu"},"x":1}`, "taken"},
		{json, `{"type":true,"in":{"region":"eu"},"x":1}`, "taken"},
		{json, `{"type":"paid","in":{"region":"us"},"x":1}`, "filtered"},
		{json, `{"type":"stock","in":{"region":"eu"},"x":1}`, "filtered"},
		{json, `{"type":"stock","in":{"region":"eu"},"x":"none"}`, "filtered"},
		{json, `{"type":3.0,"in":{"region":"eu"},"x":1}`, "filtered"},
		{json, `{"type":["paid"],"in":{"region":"eu"},"x":1}`, "filtered"},
		{json, `{"type":null,"in":{"region":"eu"},"x":1}`, "filtered"},
		{json, `{"x":1}`, "filtered"},
		{json, `{"type":"paid","in":{"region":"eu"},"x":"none"}`, "wrong_type"},
		{json, `{"type":"stock",`, "not_json"},
		{both, `{"type":"paid","x":1}`, "taken"},
		{both, `{"type":"stock","x":1}`, "filtered"},
		{csv, "paid,1", "taken"},
		{csv, "stock,", "filtered"},
		{csv, ",1", "filtered"},
	} {
		var s Sample
		err := fresh(t, c.config).Decode(nil, []byte(c.value), now, &s)
		got := "taken"
		if refused := (*Refused)(nil); errors.As(err, &refused) {
			got = string(refused.Reason)
		} else if errors.Is(err, ErrFiltered) {
			got = "filtered"
		}
		if got != c.want {
			t.Errorf("Decode(%s): %s, want %s", c.value, got, c.want)
		}
	}
	var s Sample
	if err := fresh(t, machines).Decode([]byte("m1"), nil, now, &s); !errors.Is(err, ErrFiltered) {
		t.Errorf("Decode of a tombstone: %v, want %v", err, ErrFiltered)
	}
}

func TestBadRecords(t *testing.T) {
	good := `"machine":"m","ts":1714979289000,"pressure":2`
	for _, c := range []struct {
		config Config
		value  string
		want   string
	}{
		{machines, "", "not_json: record is empty, want an object"},
		{machines, `{"temp":1`, "not_json: record ends at byte 9, want a comma or }"},
		{machines, `{"temp":01}`, `not_json: byte 9 is "1", want a comma or }`},
		{machines, `{"temp":1} x`, `not_json: byte 11 is "x", want nothing more`},
		{machines, "{\"temp\":\"\x00\"}", `not_json: byte 9 is "` + "\uFFFD" + `", want no control character in text`},
		{machines, "\x00\x00\x00\x01\x02\x04\xffm", "not_json: byte 5, behind the frame of a schema registry, is no JSON, want a value: Avro and Protobuf are not read"},
		{machines, "\x00\x00\x00\x01\x02[1]", "wrong_type: record is [1], want an object"},
		{machines, "\x00{}", `not_json: byte 0 is "` + "\uFFFD" + `", want a value`},
		{machines, `[1]`, "wrong_type: record is [1], want an object"},
		{machines, `{` + good + `}`, "missing_field: temp is missing, want a number"},
		{machines, `{` + good + `,"temp":null}`, "missing_field: temp is null, want a number"},
		{sparse, `{"k":"a","x":null,"z":1}`, "missing_field: x is null, want one of the values at least"},
		{sparse, `{"k":"a","x":null,"y":"no"}`, `wrong_type: y is "no", want a number`},
		{machines, `{` + good + `,"temp":1,"temp":null}`, "missing_field: temp is null, want a number"},
		{machines, `{` + good + `,"temp":"hot"}`, `wrong_type: temp is "hot", want a number`},
		{machines, `{` + good + `,"temp":"1"}`, `wrong_type: temp is "1", want a number`},
		{machines, `{` + good + `,"temp":[1]}`, "wrong_type: temp is an array, want a number"},
		{machines, `{` + good + `,"temp":NaN}`, "not_finite: byte 54 begins NaN or Infinity, want a finite number"},
		{machines, `{` + good + `,"temp":-Infinity}`, "not_finite: byte 55 begins NaN or Infinity, want a finite number"},
		{machines, `{` + good + `,"temp":1e999}`, "not_finite: temp is 1e999, want a finite number"},
		{machines, `{"machine":{}}`, "wrong_type: machine is an object, want text, a number, true or false"},
		{machines, `{"machine":"m","ts":1714979889001}`,
			"time_out_of_range: ts is 1714979889001, want at most 10m0s after the record's timestamp 2024-05-06T07:08:09Z"},
		{machines, `{"machine":"m","ts":-1}`, "time_out_of_range: ts is -1, want milliseconds since 1970"},
		{machines, `{"machine":"m","ts":"soon"}`, `time_out_of_range: ts is "soon", want milliseconds since 1970`},
		{rfc, `{"k":"m","t":1714979289}`, "wrong_type: t is 1714979289, want RFC 3339 such as 2006-01-02T15:04:05Z, or its unit in the configuration"},
		{seconds, `{"k":"m","x":1,"t":1714979289000}`, "time_out_of_range: t is 1714979289000, want seconds since 1970; in milliseconds, unit: ms, it is 2024-05-06T07:08:09Z"},
		{seconds, `{"k":"m","x":1,"t":1714979289000000.5}`, "time_out_of_range: t is 1714979289000000.5, want seconds since 1970; in microseconds, unit: us, it is 2024-05-06T07:08:09Z"},
		{seconds, `{"k":"m","x":1,"t":41714979289000}`, "time_out_of_range: t is 41714979289000, want seconds since 1970"},
		{rfc, `{"k":"m","t":"2024-02-30T00:00:00Z"}`, `time_out_of_range: t is "2024-02-30T00:00:00Z", want RFC 3339 such as 2006-01-02T15:04:05Z`},
		{rfc, `{"k":"m","t":"2031-01-01T00:00:00Z"}`,
			`time_out_of_range: t is "2031-01-01T00:00:00Z", want at most 10m0s after the record's timestamp 2024-05-06T07:08:09Z`},
		{dated, `{"x":1,"t":"Mon May  6 03:08:09 EDT 2024"}`, `time_out_of_range: t is "Mon May  6 03:08:09 EDT 2024", want a time like Mon Jan _2 15:04:05 MST 2006, in UTC, GMT or the zone Europe/Berlin`},
		{machines, `{"machine":"m","ts":true}`, "wrong_type: ts is true, want milliseconds since 1970"},
		{machines, `{"machine":"` + strings.Repeat("é", 50) + `"}`, "missing_field: ts is missing, want milliseconds since 1970"},
		{machines, `{` + good + `,"temp":"` + strings.Repeat("é", 50) + `"}`,
			`wrong_type: temp is "` + strings.Repeat("é", 30) + `…", want a number`},
		{nested, `{"site":{"name":[[1]]}}`, "wrong_type: site.name is an array, want text, a number, true or false"},
		{nested, `{"site":{"name":[[[1]]]}}`, "too_deep: record is nested deeper than 4 at byte 18, want at most that"},
		{nested, `{"site":5}`, "missing_field: site.name is missing, want text, a number, true or false"},
		{nested, `{"site":{"name":"a","rack.no":1},"data":{"temp":1},"data":2}`, "missing_field: data.temp is missing, want a number"},
		{nested, `{"site":{"name":"a","rack.no":1},"data":{"temp":"-Infinity"}}`, `not_finite: data.temp is "-Infinity", want a finite number`},
		{nested, `{"site":{"name":"a","rack.no":1},"data":{"temp":"0x1p-2"}}`, `wrong_type: data.temp is "0x1p-2", want a number`},
		{columns, "", "not_csv: record is empty, want a line of CSV"},
		{columns, "2024-05-06 09:08,h1,1", "not_csv: record has 3 columns, want 4"},
		{columns, "2024-05-06 09:08,h1,,1,", "not_csv: record has more columns, want 4"},
		{columns, "2024-05-06 09:08,h1,,1\n2024-05-06 09:08,h1,,1\n", "not_csv: column 4 has a line end in it, want one record"},
		{columns, `2024-05-06 09:08,h"1,,1`, "not_csv: column 2 has a quote in it, want it in quotes"},
		{columns, `2024-05-06 09:08,"h"1,,1`, "not_csv: column 2 goes on behind its quotes, want a comma"},
		{columns, `2024-05-06 09:08,"h1,,1`, "not_csv: column 2 has no closing quote"},
		{columns, "2024-05-06 09:08,,,1", "missing_field: host is missing, want text, a number, true or false"},
		{columns, "2024-05-06 09:08,h1,,NaN", `not_finite: load is "NaN", want a finite number`},
		{columns, "2024-05-06,h1,,1", `time_out_of_range: at is "2024-05-06", want a time like 2006-01-02 15:04`},
	} {
		var s Sample
		err := fresh(t, c.config).Decode(nil, []byte(c.value), now, &s)
		var refused *Refused
		if !errors.As(err, &refused) || err.Error() != c.want {
			t.Errorf("Decode(%s):\n got %v\nwant %s", c.value, err, c.want)
		}
	}
}

func TestLargestRecord(t *testing.T) {
	d := fresh(t, Config{Values: Fields{"x"}, MaxBytes: 10})
	var s Sample
	if err := d.Decode([]byte("key"), []byte(`{"x":1}`), now, &s); err != nil {
		t.Errorf("10 bytes: %v", err)
	}
	err := d.Decode([]byte("key+"), []byte(`{"x":1}`), now, &s)
	if want := "too_large: record is 11 bytes, want at most 10"; err == nil || err.Error() != want {
		t.Errorf("11 bytes: %v, want %s", err, want)
	}
}

// Without fields for them, key and time are the record's own.
func TestRecordsKeyAndTimestamp(t *testing.T) {
	d := fresh(t, Config{Values: Fields{"x"}})
	var s Sample
	for _, key := range [][]byte{nil, {0xff, 0}} {
		if err := d.Decode(key, []byte(`{"x":1}`), now, &s); err != nil || !bytes.Equal(s.Key, key) || s.Time != now {
			t.Errorf("key %v: %+v, %v", key, s, err)
		}
	}
	err := d.Decode(nil, []byte(`{"x":1}`), -1, &s)
	if want := "time_out_of_range: timestamp is -1, want nanoseconds since 1970"; err == nil || err.Error() != want {
		t.Errorf("no timestamp: %v, want %s", err, want)
	}
}

// A time in a unit that is too fine is of January 1970, which is no time that anybody measures.
func TestDoubt(t *testing.T) {
	const now = 1714979289 // 2024-05-06T07:08:09Z
	for _, c := range []struct {
		unit string
		ns   int64
		want string
	}{
		{"ms", now * 1e6, "ts is 1714979289, which in milliseconds is 1970-01-20T20:22:59Z; in seconds, unit: s, it is 2024-05-06T07:08:09Z"},
		{"us", now * 1e3, "ts is 1714979289, which in microseconds is 1970-01-01T00:28:34Z; in seconds, unit: s, it is 2024-05-06T07:08:09Z"},
		{"ns", now * 1e3, "ts is 1714979289000, which in nanoseconds is 1970-01-01T00:28:34Z; in milliseconds, unit: ms, it is 2024-05-06T07:08:09Z"},
		{"ns", now * 1e6, "ts is 1714979289000000, which in nanoseconds is 1970-01-20T20:22:59Z; in microseconds, unit: us, it is 2024-05-06T07:08:09Z"},
		{"ms", now * 1e9, ""},              // in the right unit
		{"ms", 86400e9, ""},                // the second day of a clock that begins at 0: in seconds it is of 1972
		{"s", 86400e9, ""},                 // the same in seconds
		{"ms", 0, ""}, {"", now * 1e6, ""}, // text, or the record's timestamp
		{"ms", -1, ""}, {"ms", Doubtful, ""},
	} {
		if got := (Time{Field: "ts", Unit: c.unit}).Doubt(c.ns); got != c.want {
			t.Errorf("Doubt(%d) in %q = %q, want %q", c.ns, c.unit, got, c.want)
		}
	}
}

// A refused record leaves nothing behind that a later one could take for its own.
func TestRecordsAreIndependent(t *testing.T) {
	for _, c := range []struct {
		config    Config
		good, bad string
	}{
		{machines, `{"machine":"m","ts":1714979289000,"temp":1,"pressure":2}`, `{"machine":"m","ts":1714979289000,"temp":1}`},
		{columns, "2024-05-06 09:08,h1,,1", "2024-05-06 09:08,h1,,"},
	} {
		d := fresh(t, c.config)
		var s Sample
		for range 2 {
			if err := d.Decode(nil, []byte(c.good), now, &s); err != nil {
				t.Errorf("Decode(%s): %v", c.good, err)
			}
			if err := d.Decode(nil, []byte(c.bad), now, &s); err == nil {
				t.Errorf("Decode(%s) = %+v, want a missing field", c.bad, s)
			}
		}
	}
}

// What a decoder has seen makes it faster, and changes nothing that it says.
func TestLearnedNames(t *testing.T) {
	const good = `{"id":"7","machine":"m-1","ts":1714979289000,"temp":21.5,"note":"é","pressure":-3,"last":0.5}`
	values := []string{good}
	for i := range good {
		values = append(values, good[:i])
		for _, odd := range []string{" ", "\"", "\\", "\xff", "9", "e5", ",", "}", ":", "-", `"x":[{}],`} {
			values = append(values, good[:i]+odd+good[i:], good[:i]+odd+good[i+1:])
		}
	}
	for _, value := range values {
		var want, got Sample
		wantErr := fresh(t, machines).Decode(nil, []byte(value), now, &want)
		d := fresh(t, machines)
		if err := d.Decode(nil, []byte(good), now, &got); err != nil {
			t.Fatal(err)
		}
		if err := d.Decode(nil, []byte(value), now, &got); fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && !same(got, want) {
			t.Errorf("after another record %s is %+v, %v, want %+v, %v", value, got, err, want, wantErr)
		}
	}
}

// The key is not overwritten by what else has escapes.
func TestEscapedKeyStays(t *testing.T) {
	c := Config{Key: Fields{"k"}, Values: Fields{"x"}, NumbersAsStrings: true}
	var s Sample
	if err := fresh(t, c).Decode(nil, []byte(`{"k":"\u0041bc","x":"\u0031.5"}`), now, &s); err != nil || string(s.Key) != "Abc" {
		t.Errorf("key is %q, %v, want Abc", s.Key, err)
	}
}

// A number of up to 19 digits is read without strconv, and must come out the same to the last bit.
func TestNumbersAreExact(t *testing.T) {
	d := fresh(t, Config{Values: Fields{"x"}})
	for text, want := range map[string]float64{
		"0": 0, "-0": math.Copysign(0, -1), "0.1": 0.1, "-12.5": -12.5, "9007199254740992": 1 << 53, "9007199254740993": 1 << 53,
		"0.9007199254740993": 0.9007199254740993, "18446744073709551617": 1 << 64, "0.0000000000000000001": 1e-19, "1E+2": 100,
		"1e-400": 0, "123456789012345678901234567890123456789": 123456789012345678901234567890123456789,
	} {
		var s Sample
		if err := d.Decode(nil, []byte(`{"x":`+text+`}`), now, &s); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if math.Float64bits(s.Values[0]) != math.Float64bits(want) {
			t.Errorf("%s reads as %v, want %v", text, s.Values[0], want)
		}
	}
}

// Names that nobody looks for are remembered, but not as many nor as long as somebody cares to invent.
func TestInventedNames(t *testing.T) {
	f := newJSON(newFields(machines, clock{}).tokens, 10)
	names := len(f.root.byName)
	for i := range 1000 {
		for _, name := range []string{fmt.Sprint("n", i), strings.Repeat("long", 100) + fmt.Sprint(i)} {
			if err := f.read(fmt.Appendf(nil, `{%q:1}`, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(f.root.byName) - names; n != maxOthers {
		t.Errorf("%d names are remembered, want %d", n, maxOthers)
	}
	for name := range f.root.byName {
		if len(name) > maxOther {
			t.Errorf("a name of %d bytes is remembered, want at most %d", len(name), maxOther)
		}
	}
}

func TestGoodRecordsDoNotAllocate(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		value  string
	}{
		{"flat", machines, string(record186)},
		{"rfc 3339", rfc, `{"t":"2024-05-06T09:08:09.25+05:30","k":"m\u00e9","x":1.2345678901234567890}`},
		{"nested", nested, `{"site":{"name":"a/b","rack.no":5},"data":{"temp":"1.5"}}`},
		{"csv", columns, `2024-05-06 09:08,"h ""1""",,0.5`},
	} {
		d, value := fresh(t, c.config), []byte(c.value)
		var s Sample
		n := testing.AllocsPerRun(100, func() {
			if err := d.Decode(nil, value, now, &s); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations a record, want 0", c.name, n)
		}
	}
}

func fresh(t testing.TB, c Config) Decoder {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// same tells whether two samples are the same to the last bit.
func same(a, b Sample) bool {
	return bytes.Equal(a.Key, b.Key) && a.Time == b.Time && slices.EqualFunc(a.Values, b.Values, func(x, y float64) bool {
		return math.Float64bits(x) == math.Float64bits(y)
	})
}
