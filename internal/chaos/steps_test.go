//go:build chaos && unix

package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// moment is just before or just after a process has made something durable.
type moment struct {
	kind string // of the fault that hits it
	passage
	skip int32 // of such passages

	// approach brings a process to where it comes to the moment as soon as provoke is called. It is nil for what each does all the time.
	approach func(*world, *slot) (provoke func() error, err error)
	ending   bool // the process has been told to end. It is killed and not frozen: asleep it would miss the time that it has for that.
}

// revoked is the group whose revokes are hit.
const revoked = "points"

// moments are those around each step that is to last.
var moments = []moment{
	{kind: "before-produce", passage: passage{step: "produce"}}, // alerts and dead letters, into the open transaction
	{kind: "after-produce", passage: passage{step: "produce", answered: true}},
	{kind: "before-txn-offsets", passage: passage{step: "txn-offsets"}},
	{kind: "after-txn-offsets", passage: passage{step: "txn-offsets", answered: true}},
	{kind: "before-end-txn", passage: passage{step: "end-txn"}},
	{kind: "after-end-txn", passage: passage{step: "end-txn", answered: true}},
	{kind: "before-chunk", passage: passage{step: "chunk"}}, // of a checkpoint
	{kind: "after-chunk", passage: passage{step: "chunk", answered: true}},
	{kind: "before-pointer", passage: passage{step: "pointer"}}, // to a checkpoint
	{kind: "after-pointer", passage: passage{step: "pointer", answered: true}},
	{kind: "before-redis-alert", passage: passage{step: "redis-alert"}}, // the sink's script
	{kind: "after-redis-alert", passage: passage{step: "redis-alert", answered: true}},
	{kind: "before-sink-offsets", passage: passage{step: "sink-offsets"}}, // of the sink's group
	{kind: "after-sink-offsets", passage: passage{step: "sink-offsets", answered: true}},
	{kind: "before-init-producer", passage: passage{step: "init-producer"}, approach: (*world).toRestart},
	{kind: "after-init-producer", passage: passage{step: "init-producer", answered: true}, approach: (*world).toRestart},
	// Between the answer that names fewer partitions and its next request to join, a member gives partitions up, with a last checkpoint.
	{kind: "before-revoke", passage: passage{step: "sync", group: revoked, answered: true}, approach: (*world).toRevoke},
	{kind: "after-revoke", passage: passage{step: "join", group: revoked}, skip: 1, approach: (*world).toRevoke},
	{kind: "before-leave", passage: passage{step: "leave"}, approach: (*world).toLeave, ending: true},
	{kind: "after-leave", passage: passage{step: "leave", answered: true}, approach: (*world).toLeave, ending: true},
}

// stepFaults kill or freeze a process at each of the moments.
func stepFaults() []fault {
	var all []fault
	for _, m := range moments {
		all = append(all, fault{m.kind, "steps", func(w *world, r *rand.Rand) error { return w.hitAt(r, m) }})
	}
	return all
}

// comesTo is how long a process may take to come to a moment, while it suffers from other faults too.
const comesTo = 20 * time.Second

// hitAt kills or freezes a process at a moment. What it has sent before the step goes to the server after it wakes up; if it was killed,
// never.
func (w *world) hitAt(r *rand.Rand, m moment) (err error) {
	s, asleep, away := w.slots[r.IntN(len(w.slots))], between(r, 8000, 12_000), outage(r)
	freeze := r.IntN(2) == 0 && !m.ending
	s.turn.Lock()
	defer s.turn.Unlock()
	provoke := func() error { return nil }
	if m.approach != nil {
		if provoke, err = m.approach(w, s); err != nil {
			return err
		}
	}
	t := s.watch.set(m.passage, m.skip)
	if err := provoke(); err != nil {
		return err
	}
	select {
	case <-t.caught:
	case <-s.process().exited:
	case <-time.After(comesTo):
	}
	if s.watch.unset(t) {
		w.say("%s: %s does not come to it", m.kind, s.name)
		if m.ending {
			return errors.Join(s.end(), s.start())
		}
		return nil
	}
	if freeze {
		w.hit(m.kind, true, fmt.Sprintf("%s sleeps for %v", s.name, asleep))
		err := frozen(s.process().cmd.Process.Signal, asleep)
		t.released <- true
		return err
	}
	w.hit(m.kind, true, fmt.Sprintf("%s is killed, back after %v", s.name, away))
	err = s.process().kill()
	t.released <- false
	if err != nil {
		return err
	}
	time.Sleep(away)
	return s.start()
}

func (w *world) toRestart(s *slot) (provoke func() error, err error) {
	return s.start, s.process().kill()
}

func (w *world) toLeave(s *slot) (provoke func() error, err error) {
	_ = w.until(comesTo, func() error { // it has something to leave
		_, err := w.partitionsOf(s)
		return err
	})
	return func() error { return s.process().cmd.Process.Signal(syscall.SIGTERM) }, nil
}

// toRevoke has another process leave the group, and when it comes back this one must give up partitions.
func (w *world) toRevoke(s *slot) (provoke func() error, err error) {
	other := w.slots[0]
	if other == s {
		other = w.slots[1]
	}
	other.turn.Lock()
	if err := other.end(); err != nil {
		other.turn.Unlock()
		return nil, err
	}
	_ = w.until(comesTo, func() error { return w.sharedAmong(len(w.slots) - 1) }) // if not, it does not come to it
	return func() error {
		defer other.turn.Unlock()
		return other.start()
	}, nil
}

// sharedAmong is nil when so many members have all partitions of the group.
func (w *world) sharedAmong(members int) error {
	ctx, cancel := w.asked()
	defer cancel()
	groups, err := w.admin.DescribeGroups(ctx, revoked)
	if err = errors.Join(err, groups.Error()); err != nil {
		return err
	}
	g, assigned := groups[revoked], 0
	for _, m := range g.Members {
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				assigned += len(t.Partitions)
			}
		}
	}
	if g.State != "Stable" || len(g.Members) != members || assigned != partitions {
		return fmt.Errorf("group %s is %s, %d members have %d partitions", revoked, g.State, len(g.Members), assigned)
	}
	return nil
}
