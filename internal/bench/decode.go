package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

var decodeBenchmark = Benchmark{
	Name:  "decode",
	Short: "Measure what it takes to decode a record, beside encoding/json",
	Long: `Decode reads key, time and --fields numbers out of records that have some text besides: as JSON objects, with the numbers in an object inside
(nested), with twice as many numbers as are wanted (more), and as CSV; and the first of them by encoding/json into a map.

ns/record is on one core, the quickest of ten slices.`,
	flags: func(f *pflag.FlagSet, o *Options) {
		f.IntSliceVar(&o.Fields, "fields", []int{1, 5, 20, 50}, "`NUMBERS` of values in a record")
	},
	run: benchDecode,
}

// layout is a way to write records.
type layout struct {
	name   string
	format string
	prefix string                                    // of the numbers' paths
	write  func(b *bytes.Buffer, names, xs []string) // what follows the key and the time
	more   int                                       // times as many numbers as are wanted
}

var layouts = []layout{
	{name: "json", format: "json", write: writeMembers, more: 1},
	{name: "json, nested", format: "json", prefix: "data.", more: 1, write: func(b *bytes.Buffer, names, xs []string) {
		b.WriteString(`,"data":{"unit":"si"`)
		writeMembers(b, names, xs)
		b.WriteString(`}`)
	}},
	{name: "json, more", format: "json", write: writeMembers, more: 2},
	{name: "csv", format: "csv", more: 1, write: func(b *bytes.Buffer, _, xs []string) {
		for _, x := range xs {
			b.WriteString("," + x)
		}
	}},
}

func writeMembers(b *bytes.Buffer, names, xs []string) {
	for i, x := range xs {
		b.WriteString(`,"` + names[i] + `":` + x)
	}
}

const decoded = 4096 // records, all different: a processor foretells the branches of one that comes again and again

func benchDecode(ctx context.Context, o Options, r *Result) error {
	for _, fields := range o.Fields {
		if fields < 1 || fields > 1000 {
			return &invalid.Value{Name: "--fields", Value: fields, Want: "1 to 1000"}
		}
	}
	return o.each("decode", func() error {
		for _, fields := range o.Fields {
			for _, l := range layouts {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := l.bench(fields, r); err != nil {
					return fmt.Errorf("%s of %d values: %w", l.name, fields, err)
				}
			}
		}
		return nil
	})
}

func (l layout) bench(fields int, r *Result) error {
	c := decode.Config{Format: l.format, Key: decode.Fields{"machine"}, Time: decode.Time{Field: "ts", Unit: "ms"}}
	names := make([]string, fields*l.more)
	for i := range names {
		names[i] = "value_" + strconv.Itoa(i)
		if i < fields {
			c.Values = append(c.Values, l.prefix+names[i])
		}
	}
	if l.format == "csv" {
		c.Columns = append([]string{"machine", "ts", "state"}, names...)
	}
	d, err := decode.New(c)
	if err != nil {
		return err
	}
	records, size := l.records(names)
	var failed error
	var s decode.Sample
	at := 0
	steps := func(n int) {
		for range n {
			if err := d.Decode(nil, records[at%decoded], recordTime.UnixNano(), &s); err != nil {
				failed = err
			}
			at++
		}
	}
	row := fmt.Sprintf("%s × %d", l.name, fields)
	r.addDecoded(row, measure(steps), size)
	if l.name != "json" {
		return failed
	}
	byLibrary := measure(func(n int) {
		for range n {
			fields := map[string]any{}
			if err := json.Unmarshal(records[at%decoded], &fields); err != nil {
				failed = err
			}
			at++
		}
	})
	r.addDecoded(fmt.Sprintf("encoding/json × %d", fields), byLibrary, size)
	return failed
}

var recordTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// records are of about the numbers that sensors send, and their mean size.
func (l layout) records(names []string) (records [][]byte, size float64) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same records each time
	xs := make([]string, len(names))
	for i := range decoded {
		for j := range xs {
			xs[j] = strconv.FormatFloat(100+20*random.NormFloat64(), 'f', 1+j%4, 64)
		}
		var b bytes.Buffer
		machine, ts := fmt.Sprintf("machine-%06d", random.IntN(10_000)), recordTime.UnixMilli()+int64(i)
		if l.format == "csv" {
			fmt.Fprintf(&b, "%s,%d,running", machine, ts)
			l.write(&b, names, xs)
		} else {
			fmt.Fprintf(&b, `{"ts":%d,"machine":"%s","state":"running"`, ts, machine)
			l.write(&b, names, xs)
			b.WriteByte('}')
		}
		records = append(records, b.Bytes())
		size += float64(b.Len()) / decoded
	}
	return records, size
}

func (r *Result) addDecoded(row string, c cost, size float64) {
	r.Add(row, "ns/record", c.ns)
	r.Add(row, "bytes/record", size)
	r.Add(row, "MB/s", size/c.ns*1e3)
	r.Add(row, "allocations/record", c.allocations)
}
