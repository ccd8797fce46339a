package sources

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The lag is that of the next data record, and 0 exactly when none is left; what is not known is not told.
func TestLag(t *testing.T) {
	now := time.Now()
	asked := now.Add(-time.Second)
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	const unknown = -1
	for name, c := range map[string]struct {
		do      func(*lag)
		records int64
		seconds float64
	}{
		"nothing is known":                     {func(*lag) {}, unknown, unknown},
		"not fetched yet":                      {func(l *lag) { l.begin(0, bounds{0, 10}, asked); l.settle() }, 10, unknown},
		"assigned, and nothing there":          {func(l *lag) { l.begin(10, bounds{0, 10}, asked); l.settle() }, 0, 0},
		"assigned, and not settled":            {func(l *lag) { l.begin(0, bounds{0, 10}, asked) }, unknown, unknown},
		"the client does not hold it":          {func(l *lag) { l.begin(0, bounds{0, 10}, asked); l.settle(); l.stray(true) }, unknown, unknown},
		"its broker has not answered for long": {func(l *lag) { l.begin(0, bounds{0, 10}, at(time.Hour)); l.settle() }, unknown, unknown},
		"a record is processed":                {func(l *lag) { taken10(l); l.at(0, at(100*time.Second)) }, 10, 100},
		"a record without a time":              {func(l *lag) { taken10(l); l.at(0, time.UnixMilli(-1)) }, 10, unknown},
		"a record from the future":             {func(l *lag) { taken10(l); l.at(0, at(-time.Minute)) }, 10, 0},
		"just after a batch":                   {func(l *lag) { taken10(l); l.done(4, at(60*time.Second), 10) }, 6, 60},
		"some time after a batch": {func(l *lag) {
			taken10(l)
			l.done(4, at(60*time.Second), 10)
			l.moved = at(2 * fleeting)
		}, 6, unknown},
		"looked at after a batch": {func(l *lag) {
			taken10(l)
			l.done(4, at(60*time.Second), 10)
			l.found(4, data{4, at(3 * time.Second)})
		}, 6, 3},
		"looked at before the batch was done": {func(l *lag) {
			taken10(l)
			l.done(4, at(60*time.Second), 10)
			l.found(2, data{2, at(90 * time.Second)})
		}, 6, 60},
		"processed": {func(l *lag) { taken10(l); l.done(10, at(60*time.Second), 10) }, 0, 0},
		"a marker is left": {func(l *lag) {
			taken10(l)
			l.done(9, at(60*time.Second), 10)
			l.found(9, data{offset: 10})
		}, 0, 0},
		"a marker, and a record behind it": {func(l *lag) {
			taken10(l)
			l.done(8, at(60*time.Second), 10)
			l.found(8, data{offset: 9})
			l.found(9, data{9, at(5 * time.Second)})
		}, 2, 5},
		"a record after an idle hour": {func(l *lag) {
			taken10(l)
			l.done(10, at(time.Hour), 10)
			l.moved = at(time.Hour)
			l.sees(bounds{0, 11}, now.Add(-time.Millisecond))
			l.found(10, data{10, at(20 * time.Millisecond)})
		}, 1, 0.02},
		"retention has deleted what was known next": {func(l *lag) {
			taken10(l)
			l.at(2, at(time.Hour))
			l.sees(bounds{7, 10}, now)
			l.found(7, data{7, at(time.Minute)})
		}, 3, 60},
		"retention has deleted all": {func(l *lag) {
			taken10(l)
			l.at(2, at(time.Hour))
			l.sees(bounds{10, 10}, now)
		}, 0, 0},
		"the log was cut off behind us": {func(l *lag) {
			taken10(l)
			l.done(4, at(time.Hour), 10)
			l.sees(bounds{0, 4}, now)
		}, 0, 0},
		"an old answer changes nothing": {func(l *lag) {
			taken10(l)
			l.sees(bounds{0, 12}, now)
			l.sees(bounds{0, 5}, asked)
			l.at(4, at(time.Second))
		}, 8, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var l lag
			c.do(&l)
			told, is := l.tell(now, time.Minute)
			records, seconds := told.records, told.seconds
			if !is {
				records, seconds = unknown, unknown
			}
			if !told.timed {
				seconds = unknown
			}
			if records != c.records || seconds != c.seconds {
				t.Errorf("%d records, %v s, want %d, %v", records, seconds, c.records, c.seconds)
			}
		})
	}
}

// What is withheld counts from when it was first seen, until the last stable offset moves or nothing lies beyond it.
func TestWithheld(t *testing.T) {
	begin := time.Now().Add(-time.Minute)
	for name, c := range map[string]struct {
		stable, high []int64 // as a broker says every ten seconds
		seconds      float64
	}{
		"nothing lies beyond":           {[]int64{10, 10, 10}, []int64{10, 10, 10}, 0},
		"a writer is busy":              {[]int64{10, 20, 30}, []int64{12, 23, 30}, 0},
		"seen once":                     {[]int64{10}, []int64{12}, 0},
		"a transaction is open":         {[]int64{10, 10, 10}, []int64{12, 12, 15}, 20},
		"it was ended":                  {[]int64{10, 10, 15}, []int64{12, 15, 15}, 0},
		"another was open behind it":    {[]int64{10, 10, 10, 14, 14}, []int64{12, 15, 15, 16, 16}, 10},
		"another begins where it ended": {[]int64{10, 10, 15, 15}, []int64{12, 15, 15, 16}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var l lag
			l.begin(10, bounds{0, 10}, time.Now())
			l.settle()
			for i := range c.stable {
				l.reaches(c.stable[i], c.high[i], begin.Add(time.Duration(i)*10*time.Second))
			}
			if told, _ := l.tell(time.Now(), time.Minute); told.withheld != c.seconds {
				t.Errorf("%v s, want %v", told.withheld, c.seconds)
			}
		})
	}
}

// A transaction that nobody ends withholds what is written behind it: that is no lag, and it is told.
func TestOpenTransaction(t *testing.T) {
	w := newWorld(t, input)
	p := w.start("a")
	w.eventually("idle", p.idle)
	upstream := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("upstream"))
	if err := upstream.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := upstream.ProduceSync(t.Context(), &kgo.Record{Topic: input, Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.produceAt(time.Now(), 1)
	withheld := func() (seconds float64) {
		seconds, _ = p.metric(t, "gonomaly_kafka_withheld_seconds", "1")
		return seconds
	}
	w.eventually("it is told", func() error {
		if s := withheld(); s < 0.5 {
			return fmt.Errorf("%v s are withheld", s)
		}
		return nil
	})
	if err := p.lagOf(1, 0, 0); err != nil {
		t.Errorf("what nobody can read is no lag: %v", err)
	}
	if s, _ := p.metric(t, "gonomaly_kafka_withheld_seconds", "0"); s > 0 {
		t.Errorf("%v s are withheld in a partition without a transaction", s)
	}
	if err := upstream.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is over", func() error {
		if s := withheld(); s > 0 {
			return fmt.Errorf("%v s are withheld", s)
		}
		return p.idle()
	})
}

// taken10 has a lag stand at the begin of a log with ten records.
func taken10(l *lag) {
	l.begin(0, bounds{0, 10}, time.Now().Add(-time.Second))
	l.settle()
}

// While the loop is held up, a scrape finds out what came since: how many records, and how old the first of them is; in a log with markers
// and aborted records, too.
func TestLagIsLookedAt(t *testing.T) {
	w := newWorld(t, input)
	w.produce(400)
	p := w.start("a")
	w.caughtUp()
	w.eventually("idle", p.idle)
	release, held := make(chan struct{}), make(chan struct{}, partitions)
	hold := func() {
		held <- struct{}{}
		<-release
	}
	p.h.before.Store(&hold)
	defer close(release)
	w.produceAt(time.Now().Add(-time.Minute), 0)
	<-held
	w.eventually("the record that is processed", func() error { return p.lagOf(0, 1, 60) })
	w.produceAborted(1)
	time.Sleep(2 * lookFresh)
	if err := p.lagOf(1, 0, 0); err != nil {
		t.Errorf("aborted records are no lag: %v", err)
	}
	for i, ago := range []time.Duration{time.Hour, 2 * time.Hour} {
		w.produceAt(time.Now().Add(-ago), 1)
		w.eventually("records beside the loop", func() error { return p.lagOf(1, float64(i+1), 3600) })
	}
}

// Where retention deletes what is still to be read there is no lag left, neither here nor in the group's offsets, although nothing comes that
// would show it.
func TestAllIsDeleted(t *testing.T) {
	w := newWorld(t, input)
	w.produce(400)
	quick := tuned(func(k *Kafka) {
		k.watching = watching{every: 50 * time.Millisecond, suspect: 200 * time.Millisecond, stuck: time.Minute, orphaned: time.Minute}
	})
	p := w.start("a", quick)
	w.caughtUp()
	w.eventually("idle", p.idle)
	released := make(chan struct{})
	w.cluster.ControlKey(kmsg.Fetch.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		w.cluster.SleepControl(func() { <-released })
		return nil, nil, false
	})
	time.Sleep(500 * time.Millisecond) // no fetch from before is under way any more
	for id := range int32(partitions) {
		w.produceAt(time.Now().Add(-time.Hour), id)
	}
	ends, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
		t.Fatal(err)
	}
	close(released)
	w.eventually("nothing is left", p.idle)
	w.eventually("and the group has it so", w.behind)
	if n, _ := p.metric(t, "gonomaly_kafka_gaps_total"); n == 0 {
		t.Error("the gap is not told")
	}
	if n, _ := p.metric(t, "gonomaly_kafka_client_rebuilds_total"); n != 0 {
		t.Errorf("%v clients were made anew, want none", n)
	}
}

// lagOf is nil when a partition's lag is at least so many records, exactly 0 for 0, and within a second of so many seconds.
func (p *process) lagOf(id int32, records, seconds float64) error {
	label := fmt.Sprint(id)
	n, _ := p.metric(p.h.t, "gonomaly_kafka_lag_records", label)
	s, known := p.metric(p.h.t, "gonomaly_time_lag_seconds", label)
	if known != 1 || n < records || records == 0 && n > 0 || s < seconds-1 || s > seconds+10 {
		return fmt.Errorf("partition %d: %v records, %v s (%d told), want %v, %v", id, n, s, known, records, seconds)
	}
	return nil
}

// produceAt writes a record of a time to a partition.
func (w *world) produceAt(at time.Time, id int32) {
	w.Helper()
	client := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := client.ProduceSync(w.Context(), &kgo.Record{Topic: input, Partition: id, Value: []byte("x"), Timestamp: at}).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// produceAborted writes records to a partition in a transaction that is aborted.
func (w *world) produceAborted(id int32) {
	w.Helper()
	client := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("aborts"))
	if err := client.BeginTransaction(); err != nil {
		w.Fatal(err)
	}
	if err := client.ProduceSync(w.Context(), &kgo.Record{Topic: input, Partition: id, Value: []byte("x")}).FirstErr(); err != nil {
		w.Fatal(err)
	}
	if err := client.EndTransaction(w.Context(), kgo.TryAbort); err != nil {
		w.Fatal(err)
	}
}
