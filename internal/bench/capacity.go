package bench

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gonomaly/gonomaly/config"
)

// Load is what a stream is to bear.
type Load struct {
	Rate  float64 // events a second, of the whole stream
	Bytes int     // of a record
	Keys  int     // of the whole stream
	Cores int     // of each machine, for Gonomaly alone

	Partitions int // of the stream, where it has more than it needs
}

// Demand is what a load takes, by the cost model.
type Demand struct {
	Stream     string  `json:"stream"`
	CPU        float64 `json:"cpu_us_per_event"`
	Cores      float64 `json:"cores"` // so that two fifths of them are at rest
	Processes  int     `json:"processes"`
	Partitions int     `json:"partitions"`           // at least
	Most       float64 `json:"events_per_partition"` // a second, that one partition can bear
	Memory     float64 `json:"memory_bytes"`         // of a process
	Series     int64   `json:"bytes_per_series"`     // in memory
	Stored     float64 `json:"redis_bytes"`          // at most: as if nothing could be compressed
	Written    float64 `json:"redis_bytes_per_second"`
	Read       float64 `json:"kafka_read_bytes_per_second"`
	Alarms     float64 `json:"false_alarms_per_second"`
	Commits    float64 `json:"transactions_per_second"`
	Restore    float64 `json:"restore_seconds"`      // of a process, when all of its state comes back
	Raw        float64 `json:"raw_cpu_us_of_curves"` // what the bare client took for a record of 200 bytes where the curves were measured
}

// What the model holds to be so, beside the curves. The figures are of bench checkpoint and bench restore.
const (
	busy           = 0.6     // share of a core that is used in the mean: the rest is for peaks, and to catch up
	stateShare     = 0.75    // bytes of an encoded series over those in memory
	restoredSeries = 500_000 // a second
	chainsStored   = 2 * 1.5 // two, each with what changed beside it
	headroom       = 2       // memory over what lives, with GOGC at its default
)

// curves.json is what bench curves --json has measured, on a machine with two cores which Kafka and Redis shared.
//
//go:embed curves.json
var measured []byte

// Measured returns the curves that come with Gonomaly.
func Measured() *Result {
	var r Result
	if err := json.Unmarshal(measured, &r); err != nil {
		panic("curves.json: " + err.Error())
	}
	return &r
}

// Plan says what a stream takes under a load, with checkpoints every so many seconds, by curves that bench curves has measured. The cost of
// an event is that of the usual one, and what each thing that is other than usual adds to it by itself.
func Plan(curves *Result, s *config.Stream, checkpoints float64, l Load) (d Demand, err error) {
	m := costs{curves}
	if !m.complete() {
		return d, errors.New("the curves are not whole: make them with gonomaly bench curves --json FILE, without --only")
	}
	if d.Series, err = s.SeriesBytes(); err != nil {
		return d, err
	}
	d.Stream = s.Name
	d.Processes, d.Partitions = 1, max(1, l.Partitions)
	for range 10 { // more processes have fewer keys each
		share := 1 / float64(d.Processes)
		if d.CPU, err = m.cpu(s, l, share*float64(l.Keys), share*float64(d.Partitions)); err != nil {
			return d, err
		}
		d.Cores = l.Rate * d.CPU / 1e6 / busy
		d.Most = busy * m.at("1 partitions", eventRate) * m.at("usual", cpu) / d.CPU
		n := max(1, int(math.Ceil(d.Cores/float64(l.Cores))))
		partitions := max(n, l.Partitions, int(math.Ceil(l.Rate/d.Most)))
		if n == d.Processes && partitions == d.Partitions {
			break
		}
		d.Processes, d.Partitions = n, partitions
	}
	keys := float64(l.Keys) / float64(d.Processes)
	state := stateShare * float64(d.Series)
	d.Memory = m.at("100 keys", resident)*(1<<20) + headroom*keys*float64(d.Series)
	d.Stored = chainsStored * float64(l.Keys) * state
	d.Written = state * min(float64(l.Keys), l.Rate*checkpoints) / checkpoints
	d.Read = l.Rate * float64(l.Bytes)
	d.Alarms = falseAlarms(s, l, d.Partitions)
	d.Commits = float64(d.Processes) / s.CommitEvery.Seconds()
	d.Restore = keys / restoredSeries
	d.Raw = m.at("usual", rawCPU)
	return d, nil
}

// falseAlarms is how many a second the stream allows.
func falseAlarms(s *config.Stream, l Load, partitions int) float64 {
	f, keys, points := s.Alert.FalseAlarms, float64(l.Keys), l.Rate
	if w := s.Window; w != nil && w.Every > 0 { // a point is a window
		points = min(points, keys/w.Every.Seconds())
	}
	switch {
	case f.Every == 0 && f.Points > 0:
		return points * f.Alarms / f.Points
	case f.Every == 0:
		return 0
	case f.Partition:
		return float64(partitions) * f.Alarms / f.Every.Seconds()
	}
	return keys * f.Alarms / f.Every.Seconds()
}

// Figures of the curves.
const (
	toUsual = "CPU ÷ usual"  // how many times as much CPU as the usual job takes at the same time
	rawCPU  = "raw µs/event" // the bare client's
)

// costs reads curves.
type costs struct{ curves *Result }

func (m costs) at(row, figure string) float64 { return m.curves.Median(row, figure) }

// of is what a row takes, in µs an event.
func (m costs) of(row string) float64 { return m.at(row, toUsual) * m.at("usual", cpu) }

func (m costs) complete() bool {
	for _, c := range changes() {
		if math.IsNaN(m.of(c.name)) || math.IsNaN(m.at(c.name, eventRate)) {
			return false
		}
	}
	return true
}

// cpu is of one event, in µs, in a process with so many keys and partitions. Keys cost the waiting for their memory, and so the more the
// larger a series is.
func (m costs) cpu(s *config.Stream, l Load, keys, partitions float64) (float64, error) {
	own, err := s.SeriesBytes()
	if err != nil {
		return 0, err
	}
	ordinary, err := usualShape.stream()
	if err != nil {
		return 0, err
	}
	least, err := ordinary.SeriesBytes()
	if err != nil {
		return 0, err
	}
	fields := float64(len(s.Decode.Values))
	usual := m.of("usual")
	waiting := m.more("keys", keys)
	windows := s.Window != nil && s.Window.Every > 0
	if waiting > 0 && !windows { // what is saved is no more where series are large
		waiting *= float64(own) / float64(least)
	}
	sum := usual + waiting + m.more("partitions", partitions) + m.more("bytes", float64(l.Bytes)) + m.more("fields", fields)
	if windows { // most events touch nothing else of a series
		sum += fields / float64(usualShape.fields) * m.more("windows", keys)
	}
	sum += m.more("detectors", float64(len(s.Detectors)))
	for _, d := range s.Detectors {
		of := fields
		if len(d.Values) > 0 {
			of = float64(len(d.Values))
		}
		sum += m.kind(d.Kind, of)
	}
	return max(sum, 0.5*usual), nil
}

// cutKinds take about the same time whatever the number of fields: they look at one in each step.
var cutKinds = []string{"forest", "half_space_trees"}

// point of a line: so many things, and what they add to the CPU of the usual event.
type point struct{ n, more float64 }

// kind is what a detector of a kind adds over an EWMA's, of so many fields. What was not measured takes about as much as that.
func (m costs) kind(kind string, fields float64) float64 {
	line := []point{{0, 0}}
	for _, c := range changes() {
		if c.curve != "kinds" || c.shape.kind != kind {
			continue
		}
		without := c.shape
		without.kind = usualShape.kind
		base := m.of("usual") + m.more("fields", float64(without.fields)) + m.more("bytes", float64(without.bytes))
		if without.keys != usualShape.keys {
			base += m.of("100 keys") - m.of("usual")
		}
		line = append(line, point{float64(c.shape.fields), m.of(c.name) - base})
	}
	switch {
	case len(line) == 1:
		return 0
	case slices.Contains(cutKinds, kind):
		return line[1].more
	}
	return along(line, plain, fields)
}

// more is what so many of a curve's things add to the CPU of the usual event; below the first nothing is gained.
func (m costs) more(curve string, n float64) float64 {
	scale := plain
	if slices.Contains([]string{"keys", "windows", "partitions"}, curve) {
		scale = math.Log
	}
	var line []point
	if curve != "windows" {
		line = append(line, point{usualShape.of(curve), 0})
	}
	for _, c := range changes() {
		if c.curve != curve {
			continue
		}
		p := point{c.shape.of(curve), m.of(c.name) - m.of("usual")}
		switch {
		case curve == "fields" && c.shape.bytes > usualShape.bytes: // these have more bytes too
			p.more -= m.more("bytes", float64(c.shape.bytes))
		case curve == "windows": // and these more keys
			p.more -= m.more("keys", p.n)
		}
		line = append(line, p)
	}
	slices.SortFunc(line, func(a, b point) int { return int(a.n - b.n) })
	return along(line, scale, max(n, line[0].n))
}

func plain(n float64) float64 { return n }

// along reads off straight lines between points, on a scale, and beyond the last point the last line.
func along(line []point, scale func(float64) float64, n float64) float64 {
	i := 1
	for i < len(line)-1 && n > line[i].n {
		i++
	}
	a, b := line[i-1], line[i]
	return a.more + (b.more-a.more)*(scale(n)-scale(a.n))/(scale(b.n)-scale(a.n))
}

// of is how many of a curve's things the shape has.
func (s shape) of(curve string) float64 {
	switch curve {
	case "keys", "windows":
		return float64(s.keys)
	case "bytes":
		return float64(s.bytes)
	case "fields":
		return float64(s.fields)
	case "detectors":
		return float64(s.detectors)
	}
	return float64(s.partitions)
}

// Lines tell a demand to a person: what, and how much of it.
func (d Demand) Lines(l Load) [][2]string {
	return [][2]string{
		{"load", fmt.Sprintf("%s events/s of %s bytes, %s keys", short(l.Rate), short(float64(l.Bytes)), short(float64(l.Keys)))},
		{"CPU", fmt.Sprintf("%s µs an event: %s cores, of which 60 %% are used", short(d.CPU), short(d.Cores))},
		{"processes", fmt.Sprintf("%s, of %d cores each", short(float64(d.Processes)), l.Cores)},
		{"partitions", fmt.Sprintf("%s or more: one bears %s events/s", short(float64(d.Partitions)), short(d.Most))},
		{"memory", fmt.Sprintf("%s a process; %s bytes a series", size(d.Memory), short(float64(d.Series)))},
		{"Redis", fmt.Sprintf("at most %s kept, %s/s written, before compression", size(d.Stored), size(d.Written))},
		{"Kafka", fmt.Sprintf("%s/s read, before compression; %s false alarms/s; %s transactions/s", size(d.Read), short(d.Alarms), short(d.Commits))},
		{"restore", fmt.Sprintf("%s s, when a process gets all of its state back", short(d.Restore))},
		{"measured", fmt.Sprintf("where the bare client takes %s µs a record; where gonomaly bench path --only raw finds more, CPU is as much more", short(d.Raw))},
	}
}

// size writes a number of bytes.
func size(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for len(units) > 1 && n >= 1000 {
		n, units = n/1000, units[1:]
	}
	return short(n) + " " + units[0]
}
