package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

var curvesBenchmark = Benchmark{
	Name:  "curves",
	Short: "Measure how an event's cost changes with keys, partitions, size, fields and detectors",
	Long: `Curves runs the job of bench path (exactly once, checkpoints, metrics) over records of --events times 200 bytes in all, and changes one thing at a time:
the number of keys, of partitions, of bytes and of fields in a record, of detectors, windows of ten records, and the kind of the detector. Before each
the bare client reads the same records. At last come a few loads that differ in several things at once, with what the cost model of gonomaly plan
foretells of them. What --json keeps, that command takes.

The columns are those of bench path; "raw µs/event" is the bare client's CPU. The usual job runs before and after each other one, and "CPU ÷ usual" is how
many times as much that takes as the two in the mean: what disturbs the machine for minutes disturbs both. The model goes by these ratios.`,
	flags: func(f *pflag.FlagSet, o *Options) {
		f.StringSliceVar(&o.Brokers, "brokers", nil, "`BROKERS` of Kafka, host:port, instead of an embedded one")
		f.StringVar(&o.Redis, "redis", "", "`ADDRESS` of the Redis that keeps the checkpoints, instead of files")
		f.Int64Var(&o.Events, "events", 2_000_000, "`NUMBER` of records of 200 bytes; fewer of larger ones, and of what is slow")
		f.StringSliceVar(&o.Only, "only", nil, "measure these `CURVES` only: "+strings.Join(curves, ", "))
	},
	run: benchCurves,
}

// curves are what is changed, one at a time; of the checks several things at once.
var curves = []string{"keys", "partitions", "bytes", "fields", "detectors", "windows", "kinds", "checks"}

// shape is a kind of load.
type shape struct {
	keys, partitions, bytes, fields, detectors int
	kind                                       string
	windows                                    bool // of ten records
}

var usualShape = shape{keys: 10_000, partitions: 4, bytes: 200, fields: 5, detectors: 1, kind: "ewma"}

// change is a shape in which one thing is other than usual.
type change struct {
	curve, name string
	shape       shape
}

// changes are all of them, the usual shape first.
func changes() []change {
	all := []change{{"", "usual", usualShape}}
	numbers := func(curve string, set func(s *shape, n int), ns ...int) {
		for _, n := range ns {
			c := change{curve, fmt.Sprintf("%s %s", short(float64(n)), curve), usualShape}
			set(&c.shape, n)
			all = append(all, c)
		}
	}
	numbers("keys", func(s *shape, n int) { s.keys = n }, 100, 1000, 100_000, 1_000_000)
	numbers("partitions", func(s *shape, n int) { s.partitions = n }, 1, 16, 64)
	numbers("bytes", func(s *shape, n int) { s.bytes = n }, 160, 500, 1000, 4000)
	numbers("fields", func(s *shape, n int) { s.fields, s.bytes = n, bytesFor(n) }, 1, 20, 50)
	numbers("detectors", func(s *shape, n int) { s.detectors = n }, 2, 4, 8)
	for _, keys := range []int{usualShape.keys, 100_000} {
		in := change{"windows", fmt.Sprintf("windows of %s keys", short(float64(keys))), usualShape}
		in.shape.windows, in.shape.keys = true, keys
		all = append(all, in)
	}
	for _, kind := range []string{"cusum", "half_space_trees", "forest", "metric", "points"} {
		c := change{"kinds", kind, usualShape}
		c.shape.kind = kind
		if kind != "cusum" {
			c.shape.keys = 100 // some kilobytes each, or more: not for each of many keys
		}
		all = append(all, c)
		if slices.Contains(slowKinds, kind) && !slices.Contains(cutKinds, kind) { // what they take is most of all
			c.name, c.shape.fields = kind+" of 20 fields", 20
			c.shape.bytes = bytesFor(c.shape.fields)
			all = append(all, c)
		}
	}
	return all
}

// bytesFor is how long a record of so many fields is.
func bytesFor(fields int) int { return max(usualShape.bytes, 80+20*fields) }

// checks differ from the usual shape in several things at once: the cost model has to foretell what they take.
func checks() []change {
	all := []change{
		{shape: shape{keys: 30_000, partitions: 8, bytes: 700, fields: 12, detectors: 2, kind: "ewma"}},
		{shape: shape{keys: 500_000, partitions: 16, bytes: 250, fields: 3, detectors: 1, kind: "ewma"}},
		{shape: shape{keys: 20_000, partitions: 4, bytes: 350, fields: 8, detectors: 1, kind: "ewma", windows: true}},
		{shape: shape{keys: 100_000, partitions: 4, bytes: 400, fields: 10, detectors: 1, kind: "ewma", windows: true}},
		{shape: shape{keys: 50, partitions: 4, bytes: 600, fields: 10, detectors: 1, kind: "points"}},
	}
	for i := range all {
		c := &all[i]
		c.curve = "checks"
		c.name = fmt.Sprintf("check %d: %s keys, %d bytes, %d fields, %d × %s", i+1, short(float64(c.shape.keys)), c.shape.bytes, c.shape.fields, c.shape.detectors, c.shape.kind)
		if c.shape.windows {
			c.name += ", windows"
		}
	}
	return all
}

func benchCurves(ctx context.Context, o Options, r *Result) error {
	for _, name := range o.Only {
		if !slices.Contains(curves, name) {
			return &invalid.Value{Name: "--only", Value: name, Want: strings.Join(curves, ", ")}
		}
	}
	if o.Events < 1_000_000 {
		return &invalid.Value{Name: "--events", Value: o.Events, Want: "1000000 or more"}
	}
	o.Partitions = 1 // of topics that nobody creates
	all := slices.DeleteFunc(append(changes()[1:], checks()...), func(c change) bool {
		return len(o.Only) > 0 && !slices.Contains(o.Only, c.curve)
	})
	usual := changes()[0]
	err := onBrokers(ctx, o, r, func(w *world) error {
		records, err := w.write(ctx, usual.shape)
		if err != nil {
			return fmt.Errorf("usual: %w", err)
		}
		return o.each("curves", func() error {
			before, err := w.measure(ctx, usual, records)
			if err != nil {
				return fmt.Errorf("usual: %w", err)
			}
			for _, c := range all {
				o.say("%s", c.name)
				spent, err := w.writeAndMeasure(ctx, c)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				after, err := w.measure(ctx, usual, records)
				if err != nil {
					return fmt.Errorf("usual: %w", err)
				}
				w.Add(c.name, toUsual, spent/((before+after)/2))
				before = after
			}
			w.Add(usual.name, toUsual, 1)
			return nil
		})
	})
	if err != nil {
		return err
	}
	return foretold(r)
}

// foretold notes how many times as much CPU as was measured the model foretells: by these curves, where they are whole.
func foretold(r *Result) error {
	model := costs{r}
	if !model.complete() {
		model.curves = Measured()
	}
	for _, c := range checks() {
		s := c.shape
		if math.IsNaN(r.Median(c.name, toUsual)) {
			continue
		}
		stream, err := s.stream()
		if err != nil {
			return err
		}
		foretold, err := model.cpu(stream, Load{Bytes: s.bytes}, float64(s.keys), float64(s.partitions))
		if err != nil {
			return err
		}
		r.Add(c.name, "model ÷ measured", foretold/model.at("usual", cpu)/r.Median(c.name, toUsual))
	}
	return nil
}

// stream is the shape's job as it is read.
func (s shape) stream() (*config.Stream, error) {
	set := map[string]string{"BROKERS": "localhost:9092", "DIRECTORY": "-", "TOPIC": "t", "GROUP": "g", "STORE": "file", "COMMIT_EVERY": "200ms", "KEYS": strconv.Itoa(s.keys)}
	c, err := config.Parse("job", []byte(s.job()), func(name string) (string, bool) {
		value, ok := set[strings.TrimPrefix(name, "BENCH_")]
		return value, ok
	})
	if err != nil {
		return nil, err
	}
	return &c.Streams[0], nil
}

// slowKinds take some microseconds a point: of their records fewer are enough.
var slowKinds = []string{"forest", "metric", "points"}

// write writes records of a shape to a topic of their own, and returns the world of those who read it.
func (w *world) write(ctx context.Context, s shape) (*world, error) {
	one := *w
	one.Keys, one.Partitions = s.keys, int32(s.partitions) //nolint:gosec // some
	one.topic = fmt.Sprintf("%s.%d", w.topic, time.Now().UnixNano())
	one.Events = max(w.Events*int64(usualShape.bytes)/int64(max(s.bytes, usualShape.bytes)), w.Events/4, 10*int64(s.keys))
	if slices.Contains(slowKinds, s.kind) {
		one.Events /= 8
	}
	if err := kafka.Create(ctx, w.opts, one.Partitions, one.topic); err != nil {
		return nil, err
	}
	p := generate.Producer{Topic: one.topic, Events: one.Events}
	_, err := p.Run(ctx, w.opts, s.events())
	return &one, err
}

// measure has the bare client and the job read the records, and returns the job's CPU in µs an event.
func (w *world) measure(ctx context.Context, c change, records *world) (float64, error) {
	records.Result = &Result{}
	if err := records.raw(ctx); err != nil {
		return 0, err
	}
	if err := records.read(ctx, "records", c.shape.job()); err != nil {
		return 0, err
	}
	for _, f := range records.Rows[1].Figures {
		w.Add(c.name, f.Name, f.Runs[0])
	}
	w.Add(c.name, rawCPU, records.Median("raw", cpu))
	return records.Median("records", cpu), nil
}

// writeAndMeasure leaves nothing of the records.
func (w *world) writeAndMeasure(ctx context.Context, c change) (spent float64, err error) {
	records, err := w.write(ctx, c.shape)
	if records != nil {
		defer func() { err = errors.Join(err, records.clear(context.WithoutCancel(ctx))) }()
	}
	if err != nil {
		return 0, err
	}
	return w.measure(ctx, c, records)
}

// names of the shape's fields.
func (s shape) names() []string {
	names := make([]string, s.fields)
	for i := range names {
		names[i] = "value_" + strconv.Itoa(i)
	}
	return names
}

// job is that of bench path over this shape.
func (s shape) job() string {
	change := []string{
		"[temp, pressure, rpm, vibration, load]", "[" + strings.Join(s.names(), ", ") + "]",
		"      - {kind: ewma}\n", strings.Repeat("      - {kind: "+s.kind+"}\n", s.detectors),
	}
	if s.windows {
		change = append(change, noWindow, windowed)
	}
	return strings.NewReplacer(change...).Replace(job)
}

// events are those of the keys in turn, a minute apart, endlessly: normal values, which no detector finds odd for long.
func (s shape) events() iter.Seq[generate.Event] {
	return func(yield func(generate.Event) bool) {
		random := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // the same records each time
		pool := make([]string, 4096)
		for i := range pool {
			pool[i] = strconv.FormatFloat(100+5*random.NormFloat64(), 'f', 4, 64)
		}
		names, xs := s.names(), make([]string, s.fields)
		var b bytes.Buffer
		for i := 0; ; i++ {
			machine := fmt.Appendf(nil, "machine-%08d", i%s.keys)
			at := recordTime.Add(time.Duration(i/s.keys) * time.Minute)
			for j := range xs {
				xs[j] = pool[random.IntN(len(pool))]
			}
			b.Reset()
			fmt.Fprintf(&b, `{"machine":"%s","ts":%d`, machine, at.UnixMilli())
			writeMembers(&b, names, xs)
			if more := s.bytes - b.Len() - len(`,"note":""}`); more >= 0 {
				b.WriteString(`,"note":"` + strings.Repeat("x", more) + `"`)
			}
			b.WriteByte('}')
			if !yield(generate.Event{Key: machine, Value: b.Bytes(), Time: at.UnixNano()}) {
				return
			}
		}
	}
}
