//go:build chaos && unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"
)

// fault is something that goes wrong, and comes right again before the next fault of its lane. The lanes run side by side.
type fault struct {
	kind, lane string
	do         func(*world, *rand.Rand) error // it draws before it waits, so that the schedule is the seed's alone
}

var faults = append([]fault{
	{"worker-kill", "workers", (*world).killWorker},
	{"worker-freeze", "workers", (*world).freezeWorker},
	{"worker-term", "workers", (*world).termWorker},
	{"broker-kill", "brokers", (*world).killBroker},
	{"broker-freeze", "brokers", (*world).freezeBroker},
	{"broker-roll", "brokers", (*world).rollBrokers},
	{"redis-kill", "redis", (*world).killRedis},
	{"redis-freeze", "redis", (*world).freezeRedis},
	{"redis-flush", "redis", (*world).flushRedis},
	{"redis-promote", "redis", (*world).promoteReplica},
	{"kafka-requests", "network", func(w *world, r *rand.Rand) error { return w.cutKafka(r, "kafka-requests", requests) }},
	{"kafka-replies", "network", func(w *world, r *rand.Rand) error { return w.cutKafka(r, "kafka-replies", replies) }},
	{"redis-requests", "network", func(w *world, r *rand.Rand) error { return w.cutRedis(r, "redis-requests", requests) }},
	{"redis-replies", "network", func(w *world, r *rand.Rand) error { return w.cutRedis(r, "redis-replies", replies) }},
}, stepFaults()...)

func kinds(all []fault) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.kind)
	}
	return names
}

// lane makes its faults one after the other, each kind once before any comes again.
func (w *world) lane(ctx context.Context, name string, all []fault, seed uint64, end time.Time) error {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	for {
		for _, i := range r.Perm(len(all)) {
			time.Sleep(between(r, 1000, 5000))
			if patient := r.IntN(3) > 0; patient {
				_ = w.until(min(20*time.Second, time.Until(end)), w.allBusy) // else it hits what still suffers from others
			}
			if !time.Now().Before(end) || ctx.Err() != nil {
				return nil
			}
			if err := all[i].do(w, r); err != nil {
				return fmt.Errorf("%s: %w", all[i].kind, err)
			}
		}
	}
}

func (w *world) allBusy() error {
	for _, s := range w.slots {
		if !s.busy() {
			return fmt.Errorf("%s is idle", s.name)
		}
	}
	return nil
}

// between draws from a to b milliseconds.
func between(r *rand.Rand, a, b int) time.Duration {
	return time.Duration(a+r.IntN(b-a+1)) * time.Millisecond
}

// outage draws how long a process is away: now and then longer than its session.
func outage(r *rand.Rand) time.Duration {
	short, long := between(r, 0, 700), between(r, 7000, 10_000)
	if r.IntN(3) == 0 {
		return long
	}
	return short
}

// strike counts a fault that is about to hit some of the slots, and says it.
func (w *world) strike(kind, what string, at ...*slot) {
	busy := false
	for _, s := range at {
		busy = busy || s.busy()
	}
	w.hit(kind, busy, what)
}

// hit counts a fault, and says it.
func (w *world) hit(kind string, inFlight bool, what string) {
	w.count(func() {
		h := w.struck[kind]
		h.N++
		if inFlight {
			h.InFlight++
		}
		w.struck[kind] = h
	})
	w.say("%s: %s%s", kind, what, map[bool]string{false: " (idle)"}[inFlight])
}

func (w *world) killWorker(r *rand.Rand) error {
	s, away := w.slots[r.IntN(len(w.slots))], outage(r)
	s.turn.Lock()
	defer s.turn.Unlock()
	w.strike("worker-kill", fmt.Sprintf("%s, back after %v", s.name, away), s)
	if err := s.process().kill(); err != nil {
		return err
	}
	time.Sleep(away)
	return s.start()
}

func (w *world) freezeWorker(r *rand.Rand) error {
	s, away := w.slots[r.IntN(len(w.slots))], between(r, 8000, 12_000)
	s.turn.Lock()
	defer s.turn.Unlock()
	w.strike("worker-freeze", fmt.Sprintf("%s for %v", s.name, away), s)
	return frozen(s.process().cmd.Process.Signal, away)
}

// frozen stops a process for a while.
func frozen(signal func(os.Signal) error, d time.Duration) error {
	if err := signal(syscall.SIGSTOP); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	time.Sleep(d)
	if err := signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (w *world) termWorker(r *rand.Rand) error {
	s := w.slots[r.IntN(len(w.slots))]
	s.turn.Lock()
	defer s.turn.Unlock()
	w.strike("worker-term", s.name, s)
	if err := s.end(); err != nil {
		return err
	}
	return s.start()
}

func (w *world) killBroker(r *rand.Rand) error {
	i, away := r.IntN(len(w.cluster.Brokers)), between(r, 500, 5000)
	w.strike("broker-kill", fmt.Sprintf("broker %d, back after %v", i+1, away), w.slots...)
	return w.restartBroker(i, away, w.cluster.Brokers[i].Kill)
}

// restartBroker ends a broker and starts it again after a while. It returns when the broker has what it missed.
func (w *world) restartBroker(i int, away time.Duration, end func() error) error {
	ways := w.toEach(func(slot string) string { return toKafka(slot, i) })
	if err := end(); err != nil {
		return err
	}
	w.network.refuse(ways...)
	time.Sleep(away)
	if err := w.cluster.Brokers[i].Start(w.Context()); err != nil {
		return err
	}
	if err := w.network.accept(ways...); err != nil {
		return err
	}
	return w.replicated()
}

func (w *world) freezeBroker(r *rand.Rand) error {
	i, away := r.IntN(len(w.cluster.Brokers)), between(r, 3000, 12_000)
	w.strike("broker-freeze", fmt.Sprintf("broker %d for %v", i+1, away), w.slots...)
	if err := frozen(w.cluster.Brokers[i].Signal, away); err != nil {
		return err
	}
	return w.replicated()
}

func (w *world) rollBrokers(r *rand.Rand) error {
	for _, i := range r.Perm(len(w.cluster.Brokers)) {
		w.strike("broker-roll", fmt.Sprintf("broker %d", i+1), w.slots...)
		if err := w.restartBroker(i, 0, w.cluster.Brokers[i].Stop); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) killRedis(r *rand.Rand) error {
	away := between(r, 200, 4000)
	w.strike("redis-kill", fmt.Sprintf("back after %v", away), w.slots...)
	if err := w.redis.main.Kill(); err != nil {
		return err
	}
	w.network.refuse(w.toEach(toRedis)...)
	time.Sleep(away)
	return errors.Join(w.redis.main.Start(w.Context()), w.network.accept(w.toEach(toRedis)...))
}

func (w *world) freezeRedis(r *rand.Rand) error {
	away := between(r, 1000, 8000)
	w.strike("redis-freeze", fmt.Sprintf("for %v", away), w.slots...)
	return frozen(w.redis.main.Signal, away)
}

func (w *world) flushRedis(*rand.Rand) error {
	w.strike("redis-flush", "all is gone", w.slots...)
	_, err := do(w.Context(), w.redis.main, "FLUSHALL")
	return err
}

// promoteReplica is a fail-over that loses what was written last, though it was acknowledged.
func (w *world) promoteReplica(r *rand.Rand) error {
	lose := between(r, 1000, 4000)
	if err := w.redis.part(w.Context()); err != nil {
		return err
	}
	time.Sleep(lose)
	w.strike("redis-promote", fmt.Sprintf("the writes of %v are lost", lose), w.slots...)
	w.redis.swap()
	if err := w.network.lead(w.redis.main.Address(), w.toEach(toRedis)...); err != nil {
		return err
	}
	if err := w.redis.replica.Kill(); err != nil {
		return err
	}
	if err := w.redis.replica.Start(w.Context()); err != nil {
		return err
	}
	return w.redis.follow(w.Context())
}

// cutKafka cuts one process off from all brokers, or all processes from one broker.
func (w *world) cutKafka(r *rand.Rand, kind, direction string) error {
	slots, brokers := w.slots, []int{r.IntN(len(w.cluster.Brokers))}
	if one := r.IntN(len(slots)); r.IntN(2) == 0 {
		slots, brokers = slots[one:one+1], nil
		for i := range w.cluster.Brokers {
			brokers = append(brokers, i)
		}
	}
	away := between(r, 500, 10_000)
	var names []string
	for _, s := range slots {
		for _, b := range brokers {
			names = append(names, toKafka(s.name, b))
		}
	}
	w.strike(kind, fmt.Sprintf("%s for %v", strings.Join(names, ", "), away), slots...)
	return w.cutFor(names, direction, away)
}

func (w *world) cutRedis(r *rand.Rand, kind, direction string) error {
	s, away := w.slots[r.IntN(len(w.slots))], between(r, 500, 10_000)
	w.strike(kind, fmt.Sprintf("%s for %v", s.name, away), s)
	return w.cutFor([]string{toRedis(s.name)}, direction, away)
}

func (w *world) cutFor(names []string, direction string, away time.Duration) error {
	for _, n := range names {
		if err := w.network.cut(n, direction); err != nil {
			return err
		}
	}
	time.Sleep(away)
	for _, n := range names {
		if err := w.network.heal(n); err != nil {
			return err
		}
	}
	return nil
}
