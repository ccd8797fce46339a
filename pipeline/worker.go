// Package pipeline turns the records of a partition into alerts. A Worker is the deterministic state machine of one partition; a
// Stream drives the workers of one configured path and keeps their checkpoints. Nothing in a worker reads the clock, depends on the
// order of a map or draws unseeded randomness, so that restoring a checkpoint and folding the log again gives the same alerts.
package pipeline

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// Outcome is what became of a record. Every record has exactly one.
type Outcome int

const (
	Scored       Outcome = iota // a point that a detector scored
	Warming                     // a point that every detector only learned
	Aggregated                  // taken into a window
	Late                        // its window was closed already
	Incomplete                  // of a series of which some value has never come
	NotAdmitted                 // of a new key, when the partition holds max_series
	DeadLettered                // could not be decoded
	Filtered                    // of another kind than the stream's, or a tombstone
	Probed                      // a probe, which nothing is learned of
	outcomes
)

var outcomeNames = [outcomes]string{"scored", "warming", "aggregated", "late", "incomplete", "not_admitted", "dead_lettered", "filtered", "probe"}

func (o Outcome) String() string { return outcomeNames[o] }

// Counts is what a worker has done since it was made; it is no part of its state.
type Counts struct {
	Outcomes [outcomes]uint64           // of records at or above the committed offset
	Replayed uint64                     // records below it, folded again in recovery
	Reasons  map[decode.Reason]uint64   // of dead letters
	Points   uint64                     // made of records or windows
	Alerts   map[Kind]map[Status]uint64 // told
	Untold   map[Kind]map[Untold]uint64 // points, or changes
	Evicted  map[Eviction]uint64        // series, but for those of a recovery
	Future   uint64                     // of those records, dated after the horizon
}

// Eviction is why a series was forgotten.
type Eviction string

const (
	Idle  Eviction = "idle"  // silent for longer than idle
	Bound Eviction = "bound" // for a key that comes more often, when there was no more room
)

func newCounts() Counts {
	c := Counts{
		Reasons: map[decode.Reason]uint64{}, Evicted: map[Eviction]uint64{},
		Alerts: map[Kind]map[Status]uint64{Anomaly: {}, Drift: {}, Silence: {}}, Untold: map[Kind]map[Untold]uint64{Anomaly: {}, Drift: {}},
	}
	for k, reasons := range reasonsUntold {
		for _, why := range reasons {
			c.Untold[k][why] = 0
		}
	}
	return c
}

// Worker is the state machine of one partition. It belongs to one goroutine at a time.
type Worker struct {
	*plan
	partition Partition
	decoder   decode.Decoder
	sample    decode.Sample

	// The state.
	position  int64  // the next offset wanted; -1 before the first record of a worker without state
	watermark int64  // event time that windows and cool-downs have reached, Unix nanoseconds
	resumed   int64  // where it was when it last went on after a gap; see missed
	since     int64  // alerts of records below it were told under another configuration,
	before    string // of this hash
	table
	pool pool

	// Derived from the state.
	closing   []closing // open windows by their end
	ghosts    int       // windows in it whose series is gone
	nextQuiet int64     // no such incident is over before this watermark

	// Of the whole state that it was restored from, which may be another configuration's.
	stored []string // names of a series' parts
	layout []int    // where they are in plan.parts

	// Of snapshots.
	generation uint32    // of snapshots; it grows with each
	dirty      []uint32  // series changed since the snapshot before
	gone       []string  // keys of series that a snapshot has, evicted since
	snapshot   *Snapshot // that is being taken, or nil

	counts  Counts
	record  *Record // the one that apply is at
	silent  bool    // its alerts are told already
	told    []Message
	verdict verdict
	x       []float64
	spare   []*window // closed ones, to be opened again
	due     []keyed   // series whose windows close at one time

	// Horizon is the event time, Unix nanoseconds, beyond which a record counts as one of the future; 0 for none. Nothing else hangs on it.
	Horizon int64
	misread int64 // an event time that is likely to be read in a wrong unit; 0 for none
	timing  timing
	took    [stages]time.Duration // since the metrics were told

	// Tracing, if set, has what is told say to which trace it belongs.
	Tracing *Tracing

	// Trace, if set, is called for every point, for samples that are too few for one, and for those of keys that find no room.
	Trace func(Trace)
}

// maxKey is the longest name of a series, in bytes: it is kept for each series and copied to each alert.
const maxKey = 1024

// maxJump is how far a record without a Kafka timestamp, of a file, may be ahead of those before it: one that is dated years from now would
// make all others late.
const maxJump = 366 * 24 * time.Hour

// NewWorker returns the worker of a partition of a stream, without state, or every *invalid.Value of the configuration, joined.
func NewWorker(stream string, c Config, partition Partition) (*Worker, error) {
	p, err := newPlan(stream, c)
	if err != nil {
		return nil, err
	}
	return newWorker(p, partition), nil
}

func newWorker(p *plan, partition Partition) *Worker {
	decoder, err := decode.New(p.config.Decode)
	if err != nil {
		panic("a decoder's settings that newPlan let through: " + err.Error())
	}
	t := newTable(p)
	return &Worker{
		plan: p, partition: partition, decoder: decoder, position: -1, watermark: math.MinInt64, nextQuiet: math.MaxInt64,
		table: t, pool: newPool(p, t.common), generation: 1, counts: newCounts(),
	}
}

// Position is the next offset wanted, or -1 before the first record.
func (w *Worker) Position() int64 { return w.position }

// Series is the number of keys held.
func (w *Worker) Series() int { return w.index.n }

// Counts is what was done so far; its maps are the worker's own.
func (w *Worker) Counts() *Counts { return &w.counts }

// Process takes records in, in order of offset, skipping those below the position. It returns the alerts and dead letters of those
// at or above committed; the slice is valid until the next call.
func (w *Worker) Process(records []Record, committed int64) []Message {
	w.told = w.told[:0]
	for i := range records {
		r := &records[i]
		if r.Offset < w.position {
			continue
		}
		w.position = r.Offset + 1
		if r.Control {
			continue
		}
		w.record, w.silent = r, r.Offset < committed
		var outcome Outcome
		if r.Offset >= w.timing.next {
			outcome = w.timed(r)
		} else {
			outcome = w.apply(r)
		}
		if w.silent {
			w.counts.Replayed++
		} else {
			w.counts.Outcomes[outcome]++
		}
	}
	return w.told
}

// apply is the path of one record, from its bytes to what it leads to.
func (w *Worker) apply(r *Record) Outcome {
	if header, ok := r.probe(); ok {
		return w.probed(r, header)
	}
	if err := w.decode(r); err == decode.ErrFiltered { //nolint:errorlint // a Decoder wraps nothing
		w.unscored(r, "", Filtered)
		return Filtered
	} else if err != nil {
		w.setAside(r, err)
		return DeadLettered
	}
	if w.timing.on {
		w.timing.decode = time.Since(w.timing.begin)
	}
	if w.Horizon > 0 && w.sample.Time > w.Horizon && !w.silent {
		w.counts.Future++
	}
	if w.sample.Time < w.doubtful {
		w.misread = w.sample.Time
	}
	w.advance(w.sample.Time)
	for w.crowded() {
		s, _ := w.oldest()
		w.evict(s, Bound)
	}
	s, ok := w.lookup(w.sample.Key)
	if !ok {
		w.unscored(r, string(w.sample.Key), NotAdmitted)
		return NotAdmitted
	}
	if s.carried != nil && !s.carried.complete(w.sample.Values, w.sample.Time < s.last) {
		w.unscored(r, w.name(s.id, w.Trace != nil), Incomplete)
		return Incomplete
	}
	switch c := w.config.Window; {
	case c == nil:
		return w.point(s, point{time: w.sample.Time, x: w.sample.Values})
	case c.Last > 0:
		if w.x = s.shingle(w.x[:0], w.sample.Values, c.Last); len(w.x) == 0 {
			w.unscored(r, w.name(s.id, w.Trace != nil), Warming)
			return Warming
		}
		return w.point(s, point{time: w.sample.Time, x: w.x})
	default:
		return w.aggregate(s)
	}
}

func (w *Worker) decode(r *Record) error {
	if err := w.decoder.Decode(r.Key, r.Value, r.Timestamp, &w.sample); err != nil {
		return err
	}
	if r.Timestamp < 0 && w.position > 1 && w.watermark > math.MinInt64 && w.sample.Time-w.watermark > int64(maxJump) {
		return &decode.Refused{Reason: decode.BadTime, Detail: "event time is " + utc(w.sample.Time).Format(time.RFC3339) + ", want at most a year after " +
			utc(w.watermark).Format(time.RFC3339) + ", where the records before it are"}
	}
	if n := len(w.sample.Key); n > maxKey {
		return &decode.Refused{Reason: decode.TooLarge, Detail: "the key has " + strconv.Itoa(n) + " bytes, want at most " + strconv.Itoa(maxKey)}
	}
	return nil
}

// lookup returns the series of the sample's key, unless there is no room for it.
func (w *Worker) lookup(key []byte) (s series, ok bool) {
	s, ok = w.find(key)
	if !ok {
		if !w.makeRoom(key) {
			return s, false
		}
		s = w.add(key)
		s.last, s.born = w.sample.Time, w.generation
		w.pool.lend(s)
		w.young.add(s)
		w.sit(s.slot)
	}
	w.touch(s)
	if s.points > 0 {
		w.young.came(s.slot, w.sample.Time)
	}
	if s.disturbed {
		w.heard(s)
	}
	s.last = max(s.last, w.sample.Time)
	s.hits.hit(w.misses.age)
	return s, true
}

// makeRoom evicts what a new key is to take the place of, if it deserves that.
func (w *Worker) makeRoom(key []byte) bool {
	for asked := false; !w.room(len(key)); {
		s, ok := w.oldest()
		if !ok || !asked && !w.deserves(key, s) {
			return false
		}
		asked = true
		w.evict(s, Bound)
	}
	return true
}

// evict forgets the series that has the first seat. Its open incidents are over, and its open windows make no points.
func (w *Worker) evict(s series, why Eviction) {
	w.touch(s)
	for _, k := range kinds {
		if i := w.incident(s, k); i.open() {
			w.resolve(s, k, w.watermark, "the series was forgotten: "+evictionReasons[why])
		}
	}
	if s.taken > 0 {
		w.gone = append(w.gone, string(w.key(s.id)))
	}
	w.leave()
	w.remove(s)
	if !w.silent {
		w.counts.Evicted[why]++
	}
	if w.ghosts += len(s.windows); w.ghosts > 1000+w.index.n {
		w.sweep()
	}
}

var evictionReasons = map[Eviction]string{Idle: "it has been silent for long", Bound: "the partition holds as many as it may"}

// sweep takes the windows of series that are gone out of the list, which they would fill before their end.
func (w *Worker) sweep() {
	for i := range w.closing {
		c := &w.closing[i]
		c.series = slices.DeleteFunc(c.series, func(b *body) bool { return b.gone })
	}
	w.ghosts = 0
}

// setAside makes a dead letter of a record.
func (w *Worker) setAside(r *Record, err error) {
	reason, detail := decode.Reason("unknown"), err.Error()
	if refused, ok := err.(*decode.Refused); ok { //nolint:errorlint // a Decoder returns nothing else
		reason, detail = refused.Reason, refused.Detail
	}
	if w.silent {
		return
	}
	w.counts.Reasons[reason]++
	header := func(key, value string) Header { return Header{Key: "gonomaly." + key, Value: []byte(value)} }
	headers := make([]Header, 0, len(r.Headers)+7)
	for _, h := range r.Headers {
		headers = append(headers, Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	headers = append(headers,
		header("reason", string(reason)), header("detail", detail), header("stream", w.stream), header("topic", w.partition.Topic),
		header("partition", strconv.Itoa(int(w.partition.ID))), header("offset", strconv.FormatInt(r.Offset, 10)),
		header("timestamp", strconv.FormatInt(r.Timestamp/1e6, 10)))
	var traced *Traced
	if w.Tracing != nil {
		traced = w.Tracing.of(r, w.partition, identity{stream: w.stream, partition: w.partition, offset: r.Offset}.id())
		headers = append(headers, Header{Key: letterTraceParent, Value: []byte(traced.Parent())})
	}
	w.told = append(w.told, Message{
		Topic: DeadLetterTopic(w.partition.Topic), Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Headers: headers,
		Offset: r.Offset, Time: r.Timestamp, Trace: traced,
	})
}

// DeadLetterTopic is where the records of topic go that cannot be decoded.
func DeadLetterTopic(topic string) string { return topic + ".dead-letters" }
