package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// store is a Checkpoints in memory that fails when it is told to, and remembers what was saved.
type store struct {
	mu     sync.Mutex
	fail   error
	takes  time.Duration // each Save
	chain  []pipeline.Stored
	offers []string // of every Save: whole or changes, and the offset
}

func (s *store) Load(_ context.Context, _ pipeline.Log, atMost int64, config string) ([]pipeline.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	points, _, _ := strings.Cut(config, "-")
	if len(s.chain) == 0 || s.chain[len(s.chain)-1].Offset > atMost || !strings.HasPrefix(s.chain[0].Config, points+"-") {
		return nil, pipeline.ErrNoCheckpoint
	}
	return slices.Clone(s.chain), nil
}

func (s *store) Save(_ context.Context, _ pipeline.Log, c pipeline.Checkpoint, pieces pipeline.Pieces) error {
	time.Sleep(s.takes)
	var state []byte
	for piece, err := range pieces {
		if err != nil {
			return err
		}
		state = append(state, piece...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "whole"
	if c.After != pipeline.Whole {
		kind = "changes"
	}
	s.offers = append(s.offers, fmt.Sprintf("%s %d", kind, c.Offset))
	switch {
	case s.fail != nil:
		return s.fail
	case c.After == pipeline.Whole:
		s.chain = nil
	case len(s.chain) == 0 || s.chain[len(s.chain)-1].Offset != c.After:
		return pipeline.ErrBroken
	}
	s.chain = append(s.chain, pipeline.Stored{Checkpoint: c, State: state})
	return nil
}

func (s *store) set(fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *store) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chain = nil
}

func (s *store) offered() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.offers, ", ")
	s.offers = nil
	return all
}

// play is a stream of one partition, and the source that drives it.
type play struct {
	*testing.T
	*pipeline.Stream
	store     *store
	records   []pipeline.Record
	committed int64
}

var partitionOfPlay = pipeline.Partition{Topic: "t"}

func newPlay(t *testing.T, s *store) *play {
	t.Helper()
	return newPlayOf(t, s, settings["records"])
}

func newPlayOf(t *testing.T, s *store, yaml string, change ...func(*pipeline.Options)) *play {
	t.Helper()
	o := pipeline.Options{
		Name: "s", Group: "g", Topics: []string{"t"}, Config: settingsOf(t, yaml), Checkpoints: s, CheckpointEvery: 5 * time.Second,
		Metrics: pipeline.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o)
	}
	stream, err := pipeline.NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	return &play{T: t, Stream: stream, store: s, records: log(5000, 3, 40), committed: -1}
}

func (p *play) assign() (from int64) {
	p.Helper()
	from, err := p.Assign(p.Context(), partitionOfPlay, p.committed)
	if err != nil {
		p.Fatal(err)
	}
	return from
}

// commit processes records up to an offset, commits them, and lets what that begins come to its end.
func (p *play) commit(offset int64) {
	p.Helper()
	if _, err := p.Process(p.Context(), partitionOfPlay, p.records[max(0, p.Position(partitionOfPlay)):offset]); err != nil {
		p.Fatal(err)
	}
	p.committed = offset
	if err := p.Committed(p.Context(), partitionOfPlay, offset); err != nil {
		p.Fatal(err)
	}
	time.Sleep(time.Second)
}

func (p *play) offered(want string) {
	p.Helper()
	if got := p.store.offered(); got != want {
		p.Errorf("the store was offered %q, want %q", got, want)
	}
}

// A checkpoint is under way for a tenth of the time at most, however often one is asked for.
func TestCheckpointsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{takes: 2 * time.Second})
		p.assign()
		p.commit(1000)
		time.Sleep(7 * time.Second)
		p.offered("whole 1000") // after 5 s, at 7 s
		p.commit(1001)
		time.Sleep(16 * time.Second)
		p.offered("")
		time.Sleep(4 * time.Second)
		p.offered("changes 1001") // at 25 s, and at 27 s it is stored
		if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
		p.Wait()
	})
}

// A whole checkpoint is followed by what changes, until that comes to half of it.
func TestCheckpointsAreIncremental(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{})
		if from := p.assign(); from != pipeline.FromStart {
			t.Errorf("a new partition is read from %d", from)
		}
		p.commit(1000)
		p.offered("") // it is not time yet
		time.Sleep(5 * time.Second)
		p.offered("whole 1000") // although nothing more has come
		for o := int64(1001); o < 1008; o++ {
			p.commit(o)
			time.Sleep(5 * time.Second)
			p.offered(fmt.Sprintf("changes %d", o))
		}
		p.commit(1200) // every series changes
		time.Sleep(5 * time.Second)
		p.offered("changes 1200")
		p.commit(1201)
		time.Sleep(5 * time.Second)
		p.offered("whole 1201")
		time.Sleep(time.Minute)
		p.offered("") // nothing is new
		p.commit(1202)
		if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
		p.offered("changes 1202")
		p.Wait()

		next := newPlay(t, p.store)
		next.committed = p.committed
		if from := next.assign(); from != 1202 {
			t.Errorf("the next owner reads from %d, want 1202", from)
		}
		next.commit(1300)
		time.Sleep(5 * time.Second)
		next.offered("changes 1300")
		if err := next.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
		next.Wait()
	})
}

// What no transaction has committed is not stored, neither when a checkpoint is due while records are in flight nor by an owner that ends.
func TestCheckpointsAreOfWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{})
		p.assign()
		p.commit(1000)
		if _, err := p.Process(t.Context(), partitionOfPlay, p.records[1000:1100]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.offered("")
		if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
		p.Wait()
		p.offered("")
	})
}

// A history is not stored before the group has committed where it begins: a successor would go on from it without knowing that.
func TestHistoryIsStoredOnceItIsCommitted(t *testing.T) {
	const end = 1000
	for _, confirmed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlayOf(t, &store{}, settings["records"], func(o *pipeline.Options) { o.Latest = true })
			if from := p.assign(); from != pipeline.FromLatest {
				t.Fatalf("it begins at %d, want the end", from)
			}
			p.committed = end
			if from := p.assign(); from != pipeline.FromStart {
				t.Fatalf("its history begins at %d, want the start", from)
			}
			if _, err := p.Process(t.Context(), partitionOfPlay, p.records[:end]); err != nil {
				t.Fatal(err)
			}
			want := ""
			if confirmed {
				p.commit(end)
				want = "whole 1000"
			}
			if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
				t.Fatal(err)
			}
			p.Wait()
			p.offered(want)
		})
	}
}

// A checkpoint that fails is tried again, also when no record comes any more; until then the stream says that it is not ready.
func TestFailedCheckpointIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{})
		p.assign()
		time.Sleep(5 * time.Second)
		p.commit(1000)
		p.offered("whole 1000")
		p.store.set(errors.New("away"))
		time.Sleep(5 * time.Second)
		p.commit(1010)
		p.offered("changes 1010")
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "away") {
			t.Errorf("Ready = %v, want that the store is away", err)
		}
		time.Sleep(5 * time.Second)
		p.offered("changes 1010")
		p.store.set(nil)
		time.Sleep(5 * time.Second)
		p.offered("changes 1010")
		if err := p.Ready(); err != nil {
			t.Errorf("Ready = %v once the store is back", err)
		}
		time.Sleep(time.Minute)
		p.offered("") // nothing is new
		p.store.set(errors.New("away"))
		p.commit(1020)
		p.offered("changes 1020")
		if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
		p.Wait() // nothing goes on for a partition that is no longer ours
		p.offered("changes 1020, changes 1020, changes 1020")
	})
}

// A store that has lost what a checkpoint continues gets a whole one.
func TestBrokenChainBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{})
		p.assign()
		time.Sleep(5 * time.Second)
		p.commit(1000)
		p.offered("whole 1000")
		p.store.lose()
		time.Sleep(5 * time.Second)
		p.commit(1010)
		p.offered("changes 1010, whole 1010") // at once
		if err := p.Ready(); err != nil {
			t.Errorf("Ready = %v, want nil: nothing failed", err)
		}
		p.store.lose()
		p.commit(1020)
		if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
		p.offered("changes 1020, whole 1020") // the next owner replays nothing
		p.Wait()
	})
}

// An assignment that failed and is not tried again, because another process has the partition, does not keep this one from being ready.
func TestGivenUpAssignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{fail: errors.New("away")})
		if _, err := p.Assign(t.Context(), partitionOfPlay, 100); err == nil {
			t.Fatal("assigned without its checkpoints")
		}
		if err := p.Ready(); err == nil {
			t.Error("ready although an assignment waits")
		}
		time.Sleep(time.Minute)
		if err := p.Ready(); err != nil {
			t.Errorf("Ready = %v a minute after the last attempt", err)
		}
	})
}

// A store out of reach holds an assignment up, but not for ever; one that answers is believed.
func TestStoreOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, &store{fail: errors.New("away")})
		p.committed = 100
		begin := time.Now()
		for {
			from, err := p.Assign(t.Context(), partitionOfPlay, p.committed)
			if err == nil {
				if from != pipeline.FromStart {
					t.Errorf("it is read from %d, want the start of the log", from)
				}
				break
			}
			if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "cannot be read") {
				t.Errorf("Ready = %v, want that the checkpoints cannot be read", err)
			}
			time.Sleep(time.Second)
		}
		if waited := time.Since(begin).Round(time.Second); waited != 2*time.Minute {
			t.Errorf("it waited for %v, want 2m", waited)
		}
	})
}

// That records are set aside is said at once, with why; and then once a minute with how many.
func TestRecordsSetAsideAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		p := newPlayOf(t, &store{}, settings["records"], func(o *pipeline.Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) })
		for i := range p.records {
			p.records[i].Value, p.records[i].Control = []byte("{}"), false
		}
		p.assign()
		said.Reset()
		for i := range int64(70) { // a second each
			p.commit(10 * (i + 1))
		}
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("it is said in %d lines, want 2:\n%s", len(lines), &said)
		}
		for i, want := range []string{"records=10 partition=t/0 offset=9 reason=missing_field detail=", "records=600 partition=t/0 offset=609 reason=missing_field detail="} {
			if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], "level=WARN") {
				t.Errorf("line %d is %s, want %s", i+1, lines[i], want)
			}
		}
	})
}

// Event times that are read in a wrong unit are said to be, once; those of a right one are not.
func TestTimesInAWrongUnitAreSaid(t *testing.T) {
	for unit, want := range map[string]int{"ms": 1, "s": 0} {
		synctest.Test(t, func(t *testing.T) {
			var said bytes.Buffer
			p := newPlayOf(t, &store{}, settings["records"], func(o *pipeline.Options) {
				o.Log = slog.New(slog.NewTextHandler(&said, nil))
				o.Config.Decode.Time = decode.Time{Field: "at", Unit: unit, Zone: "UTC"}
			})
			for i := range p.records {
				p.records[i].Value, p.records[i].Control = fmt.Appendf(nil, `{"at":%d,"key":"m","v":1,"w":1}`, 1714979289+i/10), false
				p.records[i].Timestamp = 1714979289e9
			}
			p.assign()
			for i := range int64(3) {
				p.commit(10 * (i + 1))
			}
			if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
				t.Error(err)
			}
			if got := strings.Count(said.String(), "in seconds, unit: s, it is 2024-05-06T07:08:09Z"); got != want || strings.Contains(said.String(), "set aside") {
				t.Errorf("in %s it is said %d times, want %d:\n%s", unit, got, want, &said)
			}
		})
	}
}
