package sources

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A scrape goes by what is known while a broker is silent, and waits for the look under way once that answers or leads nothing any more.
func TestScrapesWaitForBrokersThatAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := looking{turn: make(chan struct{}, 1), silent: map[int32]bool{}}
		l.turn <- struct{}{} // somebody looks
		waits := func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), lookWait)
			defer cancel()
			began := time.Now()
			if l.begin(ctx, true) {
				t.Fatal("two look at a time")
			}
			return time.Since(began) > 0
		}
		l.note(1, errors.New("no answer"))
		l.note(2, nil)
		if l.forget(map[int32][]*owned{1: {{}}, 2: {{}}}); waits() {
			t.Error("a scrape waits for a broker that is silent")
		}
		if l.forget(map[int32][]*owned{2: {{}}}); !waits() {
			t.Error("no scrape waits for the others when one that was silent leads nothing any more")
		}
		l.note(1, errors.New("no answer"))
		if l.note(1, nil); !waits() {
			t.Error("no scrape waits for a broker that answers again")
		}
	})
}
