//go:build sim

package sim

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources"
)

// Redis is away for ten minutes: no alert comes later than before, and soon after it is back all is stored that was committed then.
func TestRedisAway(t *testing.T) {
	const (
		begin    = 30 * time.Second
		away     = 10 * time.Minute
		late     = time.Second // for an alert, after its record: some times the 200 ms between two commits
		caughtUp = 15 * time.Second
	)
	p := newPlan(1)
	p.stream.Delivery, p.stream.GroupProtocol = sources.ExactlyOnce, sources.Classic
	p.history, p.stream.Start, p.stream.WarmUp = 0, config.StartEarliest, 0
	p.step, p.work = 0, 0
	p.storm, p.rate = begin+away+30*time.Second, 20
	p.faults = []fault{{At: begin, What: redisDown, For: away}}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p)
		defer w.close()
		ctx, stop := context.WithCancel(t.Context())
		followed := make(chan []arrival, 1)
		go func() { followed <- w.follow(ctx) }()
		var behind []int64
		time.AfterFunc(begin+away, func() {
			committed := w.cluster.GroupInfo(w.stream.Group).Commits[input]
			time.Sleep(caughtUp)
			stored, err := w.stored()
			if err != nil {
				t.Error(err)
			}
			for id, c := range committed {
				if stored[id] == nil || stored[id].Position() < c.Offset {
					behind = append(behind, int64(id))
				}
			}
		})
		w.live()
		for _, bad := range w.judge().bad {
			t.Error(bad)
		}
		if len(behind) > 0 {
			t.Errorf("%v after Redis was back partitions %v have not stored what was committed then", caughtUp, behind)
		}
		stop()
		arrivals := <-followed
		log, err := w.read(input)
		if err != nil {
			t.Fatal(err)
		}
		at := map[int32]map[int64]time.Time{}
		for _, r := range log {
			if at[r.Partition] == nil {
				at[r.Partition] = map[int64]time.Time{}
			}
			at[r.Partition][r.Offset] = r.Timestamp
		}
		var delays []time.Duration
		for _, a := range arrivals {
			delays = append(delays, a.at.Sub(at[a.partition][a.offset]))
		}
		if len(delays) < 100 {
			t.Fatalf("%d alerts came, want hundreds", len(delays))
		}
		slices.Sort(delays)
		t.Logf("%d alerts of %d records came after %v in half of the cases, and %v at most", len(delays), len(log), delays[len(delays)/2], delays[len(delays)-1])
		if worst := delays[len(delays)-1]; worst > late {
			t.Errorf("an alert came %v after its record, want at most %v", worst, late)
		}
	})
}

// arrival is when an alert was there for a reader of committed records, and which record it is of.
type arrival struct {
	at        time.Time
	partition int32
	offset    int64
}

// follow reads alerts as they are committed.
func (w *world) follow(ctx context.Context) (all []arrival) {
	client, err := kgo.NewClient(append(slices.Clone(w.opts), kgo.ConsumeTopics(alerts), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(50*time.Millisecond), kgo.UnknownTopicRetries(-1))...)
	if err != nil {
		w.Error(err)
		return nil
	}
	defer client.Close()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			a, err := pipeline.ParseAlert(r.Value)
			origin := a.Origin
			if answer, no := pipeline.ParseAnswer(r.Value); no == nil {
				origin, err = answer.Origin, nil
			}
			if err != nil {
				w.Error(err)
			}
			all = append(all, arrival{time.Now(), origin.Partition, origin.Offset})
		})
	}
	return all
}
