package sample

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources/generate"
)

func TestFileGuesses(t *testing.T) {
	const utc = " has no time zone: taken as UTC"
	for name, c := range map[string]struct {
		in   string // for row i, what %[1]d to %[9]s stand for is below
		head string
		want Guess
	}{
		"a metric": {head: "timestamp,value", in: "2014-04-01 00:%02d:00,%[2]d.5",
			want: Guess{Time: decode.Time{Field: "timestamp", Layout: "2006-01-02 15:04:05"}, Values: []string{"value"}, Interval: time.Minute, Notes: []string{"timestamp" + utc}}},
		"an index without a name": {head: ",timestamp,value", in: "%[1]d,2014-07-01 00:%02[1]d:00,%[1]d",
			want: Guess{Time: decode.Time{Field: "timestamp", Layout: "2006-01-02 15:04:05"}, Values: []string{"value"}, Interval: time.Minute, Notes: []string{"timestamp" + utc}}},
		"nested without a name": {in: `{"":{"a":1,"b":[2]},"c":{"":3,"d":%[1]d}}`,
			want: Guess{Values: []string{"c.d"}, Interval: time.Second, Notes: []string{"no field holds a time: rows count as one second apart"}}},
		"points without time": {head: "f1,f2,label", in: "%d,0.5,0",
			want: Guess{Values: []string{"f1", "f2", "label"}, Interval: time.Second,
				Notes: []string{"label looks like a label: to leave it out, say --exclude label", "no field holds a time: rows count as one second apart"}}},
		"a field with gaps is better than none": {head: "v,w", in: "%[9]s,", want: Guess{Values: []string{"v"}, Interval: time.Second,
			Notes: []string{"v is missing in 20 of 60 records: they would be dead letters", "no field holds a time: rows count as one second apart"}}},
		"a value with gaps beside one without": {head: "v,w", in: "%[9]s,%[1]d", want: Guess{Values: []string{"w", "v"}, Missing: true, Interval: time.Second,
			Notes: []string{"v is missing in 20 of 60 records: its last value stands in", "no field holds a time: rows count as one second apart"}}},
		"texts that may be a key": {in: `{"region":"r%[5]d","ts":17672256%02[1]d,"v":1}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Values: []string{"v"}, Interval: time.Second,
				Notes: []string{"region has 2 different texts: if each names a series, say key: region"}}},
		"nested JSON, RFC 3339": {in: `{"meta":{"device.id":"d%[3]d","on":true},"at":"2026-01-01T00:%02[2]d:00Z","temp":{"in":20.5,"out":%[1]d},"tags":[1,{"a":2}]}`,
			want: Guess{Time: decode.Time{Field: "at"}, Key: []string{`meta.device\.id`}, Values: []string{"temp.in", "temp.out"}, Interval: time.Minute}},
		"epoch in ms": {in: `{"host":"h%[3]d","response_time":%[1]d,"ts":17672256%02[2]d000,"ingest_ts":1767225600000}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "ms"}, Key: []string{"host"}, Values: []string{"response_time"}, Interval: time.Second,
				Notes: []string{"ingest_ts holds times and is left out"}}},
		"epoch in s with decimals": {in: `{"time":17672256%02[1]d.25,"v":1}`,
			want: Guess{Time: decode.Time{Field: "time", Unit: "s"}, Values: []string{"v"}, Interval: time.Second}},
		"epoch in ns as text": {in: `{"t":"x","time":"17672256%02[1]d000000000","v":1}`,
			want: Guess{Time: decode.Time{Field: "time", Unit: "ns"}, Values: []string{"v"}, Interval: time.Second}},
		"day before month": {head: "Date,Units sold", in: "%02[4]d/01/2024 15:04,%[1]d",
			want: Guess{Time: decode.Time{Field: "Date", Layout: "02/01/2006 15:04"}, Values: []string{"Units sold"}, Interval: 24 * time.Hour, Notes: []string{"Date" + utc}}},
		"two fields make the key": {in: `{"host":"h%[3]d","service":"s%[5]d","ts":17672256%02[6]d,"v":1}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Key: []string{"host", "service"}, Values: []string{"v"}, Interval: time.Second}},
		"a key without a telling name": {in: `{"state":"on","place":"p%[3]d","ts":17672256%02[2]d,"v":1}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Key: []string{"place"}, Values: []string{"v"}, Interval: time.Second}},
		"a key that needs another text beside it": {in: `{"host":"h","route":"GET /%[3]d","ts":17672256%02[2]d,"v":1}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Key: []string{"host", "route"}, Values: []string{"v"}, Interval: time.Second}},
		"an identifier is no value": {in: `{"request_id":"r%[1]d","seq_id":%[1]d,"v":1}`,
			want: Guess{Values: []string{"v"}, Interval: time.Second,
				Notes: []string{"seq_id looks like an identifier and is left out", "no field holds a time: rows count as one second apart"}}},
		"a numeric key": {in: `{"sensor_id":%[3]d,"ts":17672256%02[2]d,"v":1}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Key: []string{"sensor_id"}, Values: []string{"v"}, Interval: time.Second}},
		"numbers as strings": {in: `{"ts":17672256%02[1]d,"v":"%[1]d.5"}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Values: []string{"v"}, NumbersAsStrings: true, Interval: time.Second}},
		"some numbers as strings": {in: `{"ts":17672256%02[1]d,"v":"%[1]d.5","w":1}`,
			want: Guess{Time: decode.Time{Field: "ts", Unit: "s"}, Values: []string{"w"}, Interval: time.Second,
				Notes: []string{`["v"] hold numbers as strings and are left out: with numbers_as_strings they could be values`}}},
		"a hole": {head: "a,b", in: "1,%[7]s", want: Guess{Values: []string{"a"}, Interval: time.Second,
			Notes: []string{"b is a number in 20 of 60 records only and is left out", "no field holds a time: rows count as one second apart"}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := c.head + "\n"
			for i := range 60 {
				hole, gap := "", "5"
				if i%3 == 0 {
					hole, gap = "5", ""
				}
				in += fmt.Sprintf(c.in+"%[8]s", i, i/3, i%3, i%28+1, i/3%2, i/6, hole, "\n", gap)
			}
			c.want.Format, c.want.Rows, c.want.Rest = "json", 60, c.want.Interval
			got, err := File(t.Context(), write(t, in), Rows)
			got.WhySilence = "" // has a test of its own
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("File: %v\n got %+v\nwant %+v", err, got, c.want)
			}
		})
	}
}

// The longest that a series rested, of one whose records come all ten seconds and of one that has a few, is known beside the median. What has no
// time, from the first record on, and one that is years off are no rests.
func TestRest(t *testing.T) {
	in := `{"host":"busy","ts":null,"v":1}` + "\n"
	for i := range 1100 {
		switch i {
		case 7:
			in += `{"host":"calm","ts":"soon","v":1}` + "\n"
		case 305:
			in += `{"host":"calm","ts":1893456000,"v":1}` + "\n"
		}
		in += fmt.Sprintf(`{"host":"busy","ts":%d,"v":1}`+"\n", 1767225600+10*i)
		if i == 3 || i == 9 || i == 300 {
			in += fmt.Sprintf(`{"host":"calm","ts":%d,"v":1}`+"\n", 1767225600+10*i)
		}
	}
	got, err := File(t.Context(), write(t, in), Rows)
	if err != nil || got.Interval != 10*time.Second || got.Rest != 2910*time.Second {
		t.Errorf("interval %v, rest %v, %v, want 10s and the 48m30s from the 9th to the 300th ten seconds", got.Interval, got.Rest, err)
	}
}

func TestFileOfAFleet(t *testing.T) {
	// With more machines than records looked at, too: the name of the field says that they come again.
	for _, machines := range []int{7, 5000} {
		f, err := generate.NewFleet(generate.FleetConfig{Seed: 1, Machines: machines})
		if err != nil {
			t.Fatal(err)
		}
		var in strings.Builder
		n := 0
		for e := range f.Events() {
			if n++; n > Rows+10 {
				break
			}
			in.Write(e.Value)
			in.WriteByte('\n')
		}
		got, err := File(t.Context(), write(t, in.String()), Rows)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Key, []string{"machine"}) || got.Time != (decode.Time{Field: "ts", Unit: "ms"}) || got.Rows != Rows ||
			!slices.Equal(got.Values, []string{"temp", "pressure", "rpm", "vibration", "load"}) || len(got.Notes) > 0 {
			t.Errorf("%d machines: %+v", machines, got)
		}
		if machines == 7 && (got.Interval != time.Minute || got.Silence != 10*time.Minute) {
			t.Errorf("interval %v, silence %v, want 1m and 10m", got.Interval, got.Silence)
		}
	}
}

func TestKinds(t *testing.T) {
	payment := func(i int) string {
		return fmt.Sprintf(`{"type":"payment","currency":"eur","shop":"s%d","ts":%d,"amount":%d}`, i%3, 1767225600+60*i, i*7%100)
	}
	stock := func(i int) string {
		return fmt.Sprintf(`{"type":"stock","currency":"-","shop":"s%d","ts":%d,"level":%d}`, i%3, 1767225600+60*i, i*7%100)
	}
	alive := func(i int) string {
		return fmt.Sprintf(`{"type":"alive","currency":"-","shop":"s%d","ts":%d}`, i%3, 1767225600+60*i)
	}
	all := func(kinds ...func(int) string) string {
		var in strings.Builder
		for i := range 300 {
			for _, kind := range kinds {
				in.WriteString(kind(i) + "\n")
			}
		}
		return in.String()
	}
	for name, c := range map[string]struct {
		in, where, values string
	}{
		"half and half":         {all(stock, payment), "[{type [payment]}]", "[amount]"},
		"a kind without values": {all(payment, alive, alive), "[{type [payment]}]", "[amount]"},
		"most have it":          {all(payment, payment, payment, stock), "[{type [payment]}]", "[amount]"},
		"by another name":       {strings.ReplaceAll(all(payment, stock), "type", "what"), "[{what [payment]}]", "[amount]"},
		"one kind":              {all(payment), "[]", "[amount]"},
		"a key is no kind":      {`{"host":"a","t":"x","v":1}` + "\n" + `{"host":"b","t":"x"}` + "\n" + `{"host":"a","t":"x","v":3}`, "[]", "[v]"},
	} {
		got, err := File(t.Context(), write(t, c.in), Rows)
		if err != nil || fmt.Sprint(got.Where) != c.where || fmt.Sprint(got.Values) != c.values {
			t.Errorf("%s: where %v, values %v, %v, want %s and %s", name, got.Where, got.Values, err, c.where, c.values)
		}
	}
}

// Keys with few records each are told of as what may be judged together; a text that hardly ever comes again names nothing.
func TestFileOfManyKeys(t *testing.T) {
	in := ""
	for i := range 6000 {
		in += fmt.Sprintf(`{"ts":%d,"card":"c%d","receipt":"r%d","amount":%d}`+"\n", 1767225600+i, i*7919%2500, i, i%17)
	}
	g, err := File(t.Context(), write(t, in), Rows)
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(g.Notes, "\n")
	if !strings.Contains(notes, "card has 2500 different texts in 6000 records: if each names a series, say key: card, and scope: partition") || strings.Contains(notes, "receipt") {
		t.Errorf("notes are %q", notes)
	}
}

func TestFileErrors(t *testing.T) {
	for want, in := range map[string]string{
		"no numeric field in 2 records": "{\"a\":\"x\"}\n{\"a\":true}\n",
		"no records":                    "a,b\n",
		`one column "a;b": want commas between columns, not semicolons`:                             "a;b\n1;2\n",
		`the first line is ["1" "2.5"]: want the names of the columns`:                              "1,2.5\n2,3.5\n",
		`the first line is ["01.09.2026 00:10:00" "pump 0" "11.29"]: want the names of the columns`: "01.09.2026 00:10:00,pump 0,11.29\n01.09.2026 00:11:00,pump 1,9.7\n",
		"3: 1 columns, want the header's 2":                                                         "a,b\n1,2\n3\n",
		"no JSON objects and no CSV with a header":                                                  "{1,2\n{3,4\n",
	} {
		path := write(t, in)
		if _, err := File(t.Context(), path, Rows); err == nil || !strings.HasPrefix(err.Error(), "sample "+path) && !strings.HasPrefix(err.Error(), "sample: "+path) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("File of %q: %v, want the path and %s", in, err, want)
		}
	}
	if _, err := File(t.Context(), filepath.Join(t.TempDir(), "none"), Rows); err == nil {
		t.Error("File of nothing: no error")
	}
}

func TestBadRecordsAreTold(t *testing.T) {
	got, err := File(t.Context(), write(t, "{\"v\":1}\n{\"v\":2\nnull\n{\"v\":3}\n"), Rows)
	if err != nil || got.Rows != 2 || !slices.Contains(got.Notes, "2 of 4 records are not json: they would be dead letters") {
		t.Errorf("File: %+v, %v", got, err)
	}
}

func write(t *testing.T, in string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte(strings.TrimPrefix(in, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Of a large fleet that reports once an hour each machine is seen more than once; of large records a tenth is enough.
func TestHowMuchIsLookedAt(t *testing.T) {
	dir := t.TempDir()
	fleet := func(name string, records, machines int, rest string) string {
		var b strings.Builder
		for i := range records {
			fmt.Fprintf(&b, `{"machine":"m%d","ts":%d,"v":%d,"rest":%q}`+"\n", i%machines, 1767225600+i/machines*3600, i%7, rest)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if g, err := File(t.Context(), fleet("hourly.jsonl", 25000, 5000, ""), Rows); err != nil || g.Rows != Rows || g.Interval != time.Hour || !slices.Equal(g.Key, []string{"machine"}) {
		t.Errorf("of a fleet that reports once an hour: %+v, %v", g, err)
	}
	if g, err := File(t.Context(), fleet("large.jsonl", 120, 10, strings.Repeat("x", enoughBytes/100)), 1000); err != nil || g.Rows != 100 {
		t.Errorf("of large records %d are looked at, %v, want 100", g.Rows, err)
	}
	if g, err := File(t.Context(), fleet("largest.jsonl", 25, 5, strings.Repeat("x", enoughBytes/10)), 200); err != nil || g.Rows != 20 {
		t.Errorf("of the largest records %d are looked at, %v, want 20", g.Rows, err)
	}
}
