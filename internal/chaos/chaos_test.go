//go:build chaos && unix

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// settings are what the environment says of a run.
type settings struct {
	Seed    uint64        `json:"seed"`
	For     time.Duration `json:"for"` // nanoseconds
	Brokers int           `json:"brokers"`
	Rate    float64       `json:"rate"`           // records a second
	Only    []string      `json:"only,omitempty"` // kinds of faults, or lanes; all of them where it is empty
}

func readSettings(t *testing.T) settings {
	t.Helper()
	read := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	var s settings
	var errs [4]error
	s.For, errs[0] = time.ParseDuration(read("CHAOS_FOR", "10m"))
	s.Brokers, errs[1] = strconv.Atoi(read("CHAOS_BROKERS", "3"))
	s.Seed, errs[2] = strconv.ParseUint(read("CHAOS_SEED", strconv.FormatInt(time.Now().Unix()%1_000_000, 10)), 10, 64)
	s.Rate, errs[3] = strconv.ParseFloat(read("CHAOS_RATE", "3000"), 64)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Only = strings.FieldsFunc(os.Getenv("CHAOS_FAULTS"), func(r rune) bool { return r == ',' || r == ' ' })
	for _, kind := range s.Only {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.kind == kind || f.lane == kind }) {
			t.Fatalf("CHAOS_FAULTS has %q, want some of %s", kind, strings.Join(kinds(faults), ","))
		}
	}
	if s.Brokers != 1 && s.Brokers != 3 {
		t.Fatalf("CHAOS_BROKERS is %d, want 1 or 3", s.Brokers)
	}
	return s
}

func (s settings) String() string {
	chosen := kinds(s.chosen())
	return fmt.Sprintf("CHAOS_SEED=%d CHAOS_FOR=%v CHAOS_BROKERS=%d CHAOS_RATE=%v CHAOS_FAULTS=%s", s.Seed, s.For, s.Brokers, s.Rate, strings.Join(chosen, ","))
}

// chosen are the faults of the run. A single broker is restarted only if that is asked for: while its partitions have no leader, Kafka 4.3.1
// drops the markers of transactions (KAFKA-20734: "Couldn't find leader endpoint for partitions …, these partitions are likely deleted
// already and hence can be skipped"). Then readers of committed records wait for ever, and what was committed may be lost or told again.
func (s settings) chosen() []fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		if len(s.Only) == 0 {
			return s.Brokers == 1 && (f.kind == "broker-kill" || f.kind == "broker-roll")
		}
		return !slices.Contains(s.Only, f.kind) && !slices.Contains(s.Only, f.lane)
	})
}

// result is what a run prints.
type result struct {
	Verdict string `json:"verdict"` // pass, fail, invalid: not all that was to be hit was hit at work; or broker: see Shown
	settings
	Seconds float64         `json:"seconds"`
	Faults  map[string]hits `json:"faults"`
	Missed  []string        `json:"missed,omitempty"` // kinds of faults that never hit anything at work
	Records int64           `json:"records"`

	// Alerts, answers to probes and dead letters in Kafka that were committed, held against those of the oracle.
	Alerts      int `json:"alerts"`
	Answers     int `json:"answers"`
	DeadLetters int `json:"dead_letters"`
	Lost        int `json:"lost"`  // or hidden from readers of committed records
	Wrong       int `json:"wrong"` // not told by the oracle, or in other words
	Doubled     int `json:"doubled"`
	Disordered  int `json:"disordered"` // keys of which they stand in another order

	Shown int `json:"shown"` // aborted records that a broker shows readers of committed ones (TestAbortsThatAFollowerMisplaces), or has shown the sink

	Stuck       int `json:"stuck"`        // partitions without owner or progress at the end
	RedisWrong  int `json:"redis_wrong"`  // differences between Redis and the topics, in alerts and open incidents
	States      int `json:"states"`       // checkpoints held against the oracle's state at the end of the log
	StatesWrong int `json:"states_wrong"` // that differ, end elsewhere, or are not there
	Undisturbed int `json:"undisturbed"`  // differences between a run without faults and this one, in alerts, answers and records received
	Exits       int `json:"exits"`        // processes that ended by themselves, or badly
	CutShort    int `json:"cut_short"`    // that said at their deadline that not all had ended, as they do when brokers do not answer
	Hung        int `json:"hung"`         // that did not end in time when told to
	Miscounted  int `json:"miscounted"`   // streams of a process whose outcomes do not add up to what was received, or that are not ready

	Drain float64 `json:"drain_seconds"` // from the last fault until all was caught up
	Logs  string  `json:"logs,omitempty"`
}

// hits counts the faults of a kind.
type hits struct {
	N        int `json:"n"`
	InFlight int `json:"in_flight"` // hit while records were being processed
}

func (r *result) bad() bool {
	return r.Lost+r.Wrong+r.Doubled+r.Disordered+r.Stuck+r.RedisWrong+r.StatesWrong+r.Undisturbed+r.Exits+r.Hung+r.Miscounted > 0
}

// calm is how long records come after the last fault.
const calm = 5 * time.Second

// Whatever is killed, frozen or cut off, a committed reader finds the alerts of a single-threaded fold of the log, each once, and
// nothing is stuck at the end.
func TestChaos(t *testing.T) {
	s := readSettings(t)
	w := newWorld(t, s.Brokers)
	w.say("%s, logs in %s", s, w.dir)
	r := &result{settings: s, Verdict: "invalid"}
	defer func() {
		if t.Failed() {
			r.Logs = w.dir
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Error(err)
		}
		w.say("RESULT %s", line)
	}()

	feeding, stopFeeding := context.WithCancel(t.Context())
	defer stopFeeding()
	fed := w.feed(feeding, s.Rate, s.Seed)
	if err := errors.Join(w.configure(true), w.startAll()); err != nil {
		t.Fatal(err)
	}
	w.watch()
	w.eventually("alerts are told", time.Minute, w.alertsTold)

	begin := time.Now()
	err := w.torment(s)
	r.Seconds, r.Faults = time.Since(begin).Round(time.Second).Seconds(), maps.Clone(w.struck)
	if err != nil {
		t.Fatalf("a fault could not be made or healed: %v", err)
	}
	time.Sleep(calm)
	stopFeeding()
	<-fed
	w.say("no more faults, no more records")
	w.judge(s, r)

	for _, kind := range kinds(s.chosen()) {
		if r.Faults[kind].InFlight == 0 {
			r.Missed = append(r.Missed, kind)
		}
	}
	switch {
	case r.bad():
		r.Verdict = "fail"
		t.Fail()
	case len(r.Missed) > 0 || r.Alerts == 0 || r.Answers == 0 || r.DeadLetters == 0:
		t.Fail()
	case r.Shown > 0:
		r.Verdict = "broker"
	default:
		r.Verdict = "pass"
	}
}

// torment makes faults for the time of the run, or until one cannot be made or healed.
func (w *world) torment(s settings) error {
	end := time.Now().Add(s.For)
	byLane := map[string][]fault{}
	for _, f := range s.chosen() {
		byLane[f.lane] = append(byLane[f.lane], f)
	}
	lanes, ctx := errgroup.WithContext(w.Context())
	for name, all := range byLane {
		lanes.Go(func() error { return w.lane(ctx, name, all, s.Seed, end) })
	}
	return lanes.Wait()
}
