//go:build chaos && unix

package chaos

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/generate"
)

// feed writes a fleet's events, bad and late ones among them, until ctx is done and whatever becomes of the brokers. What is lost or
// written twice on the way is none of its business: the log is the truth.
func (w *world) feed(ctx context.Context, rate float64, seed uint64) (done <-chan struct{}) {
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: seed, Machines: machines, Anomalies: 20, WarmUp: 100})
	if err != nil {
		w.Fatal(err)
	}
	next, stop := iter.Pull(spoiled(fleet.Events(), rand.New(rand.NewPCG(seed, 0))))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer stop()
		for ctx.Err() == nil {
			p := generate.Producer{Topic: input, Rate: rate}
			opts := append(slices.Clone(w.direct), kgo.MetadataMinAge(250*time.Millisecond))
			_, err := p.Run(ctx, opts, func(yield func(generate.Event) bool) {
				for e, ok := next(); ok && yield(e); e, ok = next() { //nolint:revive // each is drawn once
				}
			})
			if err != nil && ctx.Err() == nil {
				w.say("the generator goes on after: %v", err)
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	return ended
}

// spoiled has some events that cannot be decoded, and some that come again when their time is over.
func spoiled(events iter.Seq[generate.Event], r *rand.Rand) iter.Seq[generate.Event] {
	bad := []string{"", "null", `{"machine":`, `{"machine":"machine-000001"}`, `{"machine":"m","ts":"today","temp":1}`, "\x00\xff"}
	return func(yield func(generate.Event) bool) {
		var old generate.Event
		for e := range events {
			switch n := r.IntN(1000); {
			case n < len(bad):
				e.Value = []byte(bad[n])
			case n < len(bad)+3 && old.Key != nil:
				if !yield(old) {
					return
				}
			case n < len(bad)+5:
				old = generate.Event{Key: slices.Clone(e.Key), Value: slices.Clone(e.Value), Time: e.Time}
			}
			if !yield(e) {
				return
			}
		}
	}
}
