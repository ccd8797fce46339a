//go:build integration && unix

package sources

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
)

// What is reported is compared with the truth at some moment of the scrape, or a blink before it: a batch may have just ended. Where a broker
// does not answer a scrape in time, what was written or deleted since it last did may be missing.
const (
	blink    = 150 * time.Millisecond
	accuracy = 1.0 // seconds
)

// The seconds that a scrape tells are within one of the true ones on a real broker, whatever happens, while the broker answers; and are not
// there when it has not for longer than the watch waits. The truth is what the test has written and when, and what the handler has
// processed. LAG_PHASE makes the phases longer or shorter.
func TestRealTimeLag(t *testing.T) {
	phase := 6 * time.Second
	if d, err := time.ParseDuration(os.Getenv("LAG_PHASE")); err == nil {
		phase = d
	}
	broker, err := local.StartKafka(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Stop() })
	w := newWorldAt(t, broker.Address())
	forever := "-1"
	w.makeTopic(map[string]*string{"retention.ms": &forever})
	truth := &truth{}
	handler := &paced{truth: truth, each: 400 * time.Microsecond} // 2,500 records a second and partition
	p := w.start("a", func(_ *KafkaOptions, h *handlerOfTest) { handler.handlerOfTest = h }, driven(handler))
	scrapes := &scrapes{truth: truth}
	stop := scrapes.run(t, p)
	feed := &feed{world: w, truth: truth, client: w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))}
	w.eventually("assigned", func() error {
		if n := scrapes.present(); n != partitions {
			return fmt.Errorf("%d partitions have a lag", n)
		}
		return nil
	})
	scrapes.complete(true)

	say := func(what string) { t.Logf("%s: %s", what, scrapes.since()) }
	feed.at(500, phase)
	say("below capacity")
	feed.at(2500, phase)
	say("at capacity")
	feed.at(5000, phase)
	say("above capacity")
	time.Sleep(2 * phase)
	say("paused: the backlog, and then nothing")
	feed.at(200, phase/2)
	say("resumed")
	feed.sparse(6000, 2*time.Hour)
	time.Sleep(phase)
	say("two hours of a sparse log, in one go")
	feed.transactions(phase)
	say("transactions, every other aborted")
	handler.hold(phase / 2)
	feed.at(100, phase/2)
	say("the loop is held up")
	feed.at(5000, phase/2)
	feed.deleteHalf()
	time.Sleep(phase / 2)
	feed.at(5000, phase/2)
	feed.deleteAll()
	time.Sleep(2 * phase)
	say("retention deletes what is unread")

	// What was heard last may be told for as long as the watch waits, and the rest of a scrape.
	feed.at(5000, 2*time.Second)
	scrapes.complete(false)
	if err := broker.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(defaultWatching.every + 2*lookWait)
	for until := time.Now().Add(phase); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if n := scrapes.present(); n != 0 {
			t.Errorf("%d partitions have a lag although the broker does not answer", n)
			break
		}
	}
	say("the broker is frozen")
	if err := broker.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is told again", func() error {
		if n := scrapes.present(); n != partitions {
			return fmt.Errorf("%d partitions have a lag", n)
		}
		return nil
	})
	feed.at(500, phase)
	say("the broker answers again")
	stop()
	p.quit(t)
	scrapes.judge(t)
}

type handlerOfTest = handler

// driven has a source drive another handler than its own.
func driven(h pipeline.Handler) func(*KafkaOptions, *handlerOfTest) {
	return func(_ *KafkaOptions, own *handlerOfTest) { own.instead = h }
}

// paced is a handler of a certain pace, which notes how far it has come.
type paced struct {
	*handlerOfTest
	truth *truth
	each  time.Duration

	mu   sync.Mutex
	till time.Time
}

// hold has it do nothing for some time.
func (p *paced) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.till = time.Now().Add(d)
}

func (p *paced) Process(ctx context.Context, at pipeline.Partition, records []pipeline.Record) ([]pipeline.Message, error) {
	p.mu.Lock()
	till := p.till
	p.mu.Unlock()
	time.Sleep(max(time.Until(till), time.Duration(len(records))*p.each))
	messages, err := p.handlerOfTest.Process(ctx, at, records)
	p.truth.processed(at.ID, p.Position(at))
	return messages, err
}

func (p *paced) Assign(ctx context.Context, at pipeline.Partition, committed int64) (int64, error) {
	from, err := p.handlerOfTest.Assign(ctx, at, committed)
	p.truth.processed(at.ID, max(from, 0))
	return from, err
}

// truth is what stands in the log, since when, and what of it is processed.
type truth struct {
	mu      sync.Mutex
	records [partitions][]written
	begins  [partitions][]begin
	at      [partitions][]reached
}

// written is a data record. Readers of committed records see it from some moment between two on.
type written struct {
	offset   int64
	time     time.Time
	from, by time.Time
}

// begin is the start of a log, moved at some moment between two.
type begin struct {
	offset   int64
	from, by time.Time
}

// reached is a position.
type reached struct {
	position int64
	at       time.Time
}

func (u *truth) processed(id int32, position int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at[id] = append(u.at[id], reached{position, time.Now()})
}

func (u *truth) wrote(id int32, records ...written) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.records[id] = append(u.records[id], records...)
}

func (u *truth) deleted(id int32, b begin) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begins[id] = append(u.begins[id], b)
}

// miss is by how much a report differs from the truth at its nearest, over all that may have been true from a blink before the scrape to its
// end.
func (u *truth) miss(id int32, reported float64, begin, end, heard time.Time) float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	begin = begin.Add(-blink)
	positions := []int64{0}
	for _, r := range u.at[id] {
		if r.at.Before(begin) {
			positions = positions[:0]
		}
		if !r.at.After(end) {
			positions = append(positions, r.position)
		}
	}
	nearest := math.Inf(1)
	for _, position := range positions {
		for _, now := range []time.Time{begin, begin.Add(blink), end} {
			for _, early := range []bool{false, true} {
				nearest = min(nearest, math.Abs(reported-u.lag(id, position, now, heard, early)))
			}
		}
	}
	return nearest
}

// lag is how long the next record has waited at a time; early has everything that was under way be done.
func (u *truth) lag(id int32, position int64, now, heard time.Time, early bool) float64 {
	late := now
	if heard.Before(now) {
		late = heard
	}
	happened := func(from, by time.Time) bool { return early && !from.After(now) || !by.After(late) }
	for _, b := range u.begins[id] {
		if happened(b.from, b.by) {
			position = max(position, b.offset)
		}
	}
	all := u.records[id]
	i, _ := slices.BinarySearchFunc(all, position, func(r written, offset int64) int { return int(r.offset - offset) })
	if i == len(all) || !happened(all[i].from, all[i].by) {
		return 0
	}
	return max(0, now.Sub(all[i].time).Seconds())
}

// feed writes to the first two partitions; the others stay empty.
type feed struct {
	*world
	truth  *truth
	client *kgo.Client
}

const fed = 2 // partitions

// at writes so many records a second to each partition, dated now.
func (f *feed) at(rate int, d time.Duration) {
	f.Helper()
	const tick = 20 * time.Millisecond
	begin, n := time.Now(), 0
	for time.Since(begin) < d {
		due := int(time.Since(begin).Seconds() * float64(rate))
		f.write(due-n, func(int) time.Time { return time.Now() })
		n = due
		time.Sleep(tick)
	}
}

// sparse writes records that lie so far back in all, one after the other.
func (f *feed) sparse(n int, back time.Duration) {
	f.Helper()
	begin := time.Now().Add(-back)
	f.write(n, func(i int) time.Time { return begin.Add(time.Duration(i) * back / time.Duration(n)) })
}

func (f *feed) write(n int, date func(i int) time.Time) {
	f.Helper()
	var records []*kgo.Record
	for i := range n {
		for id := range int32(fed) {
			records = append(records, &kgo.Record{Topic: input, Partition: id, Value: fmt.Append(nil, "x", i), Timestamp: date(i).Truncate(time.Millisecond)})
		}
	}
	from := time.Now()
	if err := f.client.ProduceSync(f.Context(), records...).FirstErr(); err != nil {
		f.Fatal(err)
	}
	f.wrote(records, from, time.Now())
}

func (f *feed) wrote(records []*kgo.Record, from, by time.Time) {
	for _, r := range records {
		f.truth.wrote(r.Partition, written{r.Offset, r.Timestamp, from, by})
	}
}

// transactions writes some, every other of which is aborted, so that markers stand between the records and at the end.
func (f *feed) transactions(d time.Duration) {
	f.Helper()
	client := f.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("producer"))
	for begin, n := time.Now(), 0; time.Since(begin) < d; n++ {
		if err := client.BeginTransaction(); err != nil {
			f.Fatal(err)
		}
		var records []*kgo.Record
		for i := range 20 {
			records = append(records, &kgo.Record{Topic: input, Partition: int32(i % fed), Value: []byte("x"), Timestamp: time.Now().Truncate(time.Millisecond)})
		}
		if err := client.ProduceSync(f.Context(), records...).FirstErr(); err != nil {
			f.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // nobody sees them yet
		end := kgo.TryCommit
		if n%2 == 1 {
			end = kgo.TryAbort
		}
		from := time.Now()
		if err := client.EndTransaction(f.Context(), end); err != nil {
			f.Fatal(err)
		}
		if end == kgo.TryCommit {
			f.wrote(records, from, time.Now().Add(blink)) // its markers are written after the answer
		}
	}
	time.Sleep(2 * time.Second) // with an aborted one at the end, or a marker
}

// deleteHalf deletes half of what is not yet processed, and deleteAll all of it.
func (f *feed) deleteHalf() {
	f.delete(func(position, end int64) int64 { return (position + end) / 2 })
}

func (f *feed) deleteAll() { f.delete(func(_, end int64) int64 { return end }) }

func (f *feed) delete(to func(position, end int64) int64) {
	f.Helper()
	ends, err := f.admin.ListEndOffsets(f.Context(), input)
	if err != nil {
		f.Fatal(err)
	}
	offsets := kadm.Offsets{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Partition < fed {
			f.truth.mu.Lock()
			at := f.truth.at[end.Partition]
			f.truth.mu.Unlock()
			offsets.AddOffset(input, end.Partition, to(at[len(at)-1].position, end.Offset), -1)
		}
	})
	from := time.Now()
	if _, err := f.admin.DeleteRecords(f.Context(), offsets); err != nil {
		f.Fatal(err)
	}
	offsets.Each(func(o kadm.Offset) { f.truth.deleted(o.Partition, begin{o.At, from, time.Now()}) })
}

// scrapes reads the metric all the time, and compares.
type scrapes struct {
	truth *truth

	mu      sync.Mutex
	wants   bool // every partition's
	told    int  // partitions at the last scrape
	n       int  // values compared
	missing int
	unheard int // told as of before the scrape
	worst   float64
	misses  []string
	took    []time.Duration

	before struct{ n, missing int }
	high   float64
}

func (s *scrapes) complete(wants bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wants = wants
}

// present is how many partitions had a lag at the last scrape.
func (s *scrapes) present() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

func (s *scrapes) run(t *testing.T, p *process) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			s.scrape(t, p)
			time.Sleep(170 * time.Millisecond) // beside every other period
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (s *scrapes) scrape(t *testing.T, p *process) {
	begin := time.Now()
	families, err := p.registry.Gather()
	end := time.Now()
	if err != nil {
		t.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = 0
	s.took = append(s.took, end.Sub(begin))
	for _, f := range families {
		if f.GetName() != "gonomaly_time_lag_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			s.told++
			id := int32(0)
			for _, l := range m.GetLabel() {
				if l.GetName() == "partition" {
					id = int32(l.GetValue()[0] - '0')
				}
			}
			value := m.GetGauge().GetValue()
			heard := p.heard(id)
			if !heard.Before(begin) {
				heard = end
			} else {
				s.unheard++
			}
			miss := s.truth.miss(id, value, begin, end, heard)
			s.n++
			s.worst, s.high = max(s.worst, miss), max(s.high, value)
			if !(miss <= accuracy) || math.IsNaN(value) || value < 0 {
				s.misses = append(s.misses, fmt.Sprintf("partition %d: %.3f s, off by %.3f s", id, value, miss))
			}
		}
	}
	if s.wants && s.told < partitions {
		s.missing += partitions - s.told
	}
}

// since says how it went since the last time.
func (s *scrapes) since() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf("%d values, %d not told, highest %.1f s, worst so far off by %.3f s, %d misses so far", s.n-s.before.n, s.missing-s.before.missing, s.high, s.worst, len(s.misses))
	s.before.n, s.before.missing, s.high = s.n, s.missing, 0
	return text
}

// heard is when a broker last told of a partition.
func (p *process) heard(id int32) time.Time {
	m := p.o.Metrics
	m.mu.Lock()
	l := m.lags[[3]string{"s", input, fmt.Sprint(id)}]
	m.mu.Unlock()
	if l == nil {
		return time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

func (s *scrapes) judge(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.took)
	t.Logf("%d values, worst off by %.3f s, %d not told, %d as of before the scrape; a scrape took %v in the middle, %v in 99 of 100 cases", s.n, s.worst, s.missing, s.unheard,
		s.took[len(s.took)/2].Round(time.Microsecond), s.took[len(s.took)*99/100].Round(time.Microsecond))
	for _, m := range s.misses[:min(len(s.misses), 20)] {
		t.Error(m)
	}
	if n := len(s.misses); n > 20 {
		t.Errorf("and %d more", n-20)
	}
	if s.missing > s.n/100 {
		t.Errorf("%d values of %d are not told although the broker answers, want 1 in 100 at most", s.missing, s.n)
	}
}
