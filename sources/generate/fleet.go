package generate

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// FleetConfig describes a fleet of simulated machines.
type FleetConfig struct {
	Seed      uint64
	Machines  int       // ≥ 1
	Anomalies float64   // expected number of injections per 10,000 points, in [0, 100], once the warm-up is over
	WarmUp    int       // points of each machine before its first injection may come, ≥ 0
	Start     time.Time // event time of the first event, to the millisecond; by default 2026-01-01, UTC
}

// Fleet is a fleet of machines, each of which reports once a simulated minute. Temperature, speed, pressure and vibration follow the
// machine's load, each with its own gain, lag and noise; the load follows the time of day and wanders. No two machines are alike.
type Fleet struct{ c FleetConfig }

// NewFleet checks c.
func NewFleet(c FleetConfig) (*Fleet, error) {
	var errs []error
	if c.Machines < 1 || c.Machines > 10_000_000 {
		errs = append(errs, &invalid.Value{Name: "machines", Value: c.Machines, Want: "between 1 and 10000000"})
	}
	if !(c.Anomalies >= 0 && c.Anomalies <= 100) {
		errs = append(errs, &invalid.Value{Name: "anomalies", Value: c.Anomalies, Want: "between 0 and 100 per 10000 points"})
	}
	if c.WarmUp < 0 {
		errs = append(errs, &invalid.Value{Name: "warm_up", Value: c.WarmUp, Want: "≥ 0"})
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	c.Start = c.Start.UTC().Truncate(time.Millisecond)
	return &Fleet{c}, errors.Join(errs...)
}

// Events is the endless sequence of the fleet's events, in order of event time; it may be run through any number of times.
//
// The machines report one after the other within each minute. An event reads
// {"machine":"machine-004213","ts":1767225600000,"temp":71.2345,"pressure":4.5123,"rpm":2981.42,"vibration":1.0343,"load":63.2145,
// "site":"east/hall-03","model":"KX-220","state":"running"}, some 186 bytes, with ts in Unix milliseconds.
func (f *Fleet) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		machines := make([]*machine, f.c.Machines)
		for i := range machines {
			machines[i] = newMachine(f.c, i)
		}
		value := make([]byte, 0, 256)
		for point := int64(0); ; point++ {
			for i, m := range machines {
				ms := f.millis(i, point)
				value = m.report(value[:0], point, ms)
				e := Event{Key: m.name, Value: value, Time: ms * int64(time.Millisecond)}
				if point == m.fault.first {
					e.Injection = f.injection(i, m.fault)
				}
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Injections returns the anomalies that begin within the first so many events, in the order in which they do.
func (f *Fleet) Injections(events int64) []Injection {
	var all []Injection
	machines := int64(f.c.Machines)
	for i := range f.c.Machines {
		points := (events + machines - 1 - int64(i)) / machines
		s := f.schedule(i)
		for e := s.next(); e.first < points; e = s.next() {
			all = append(all, *f.injection(i, e))
		}
	}
	slices.SortFunc(all, func(a, b Injection) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Machine, b.Machine))
	})
	return all
}

// millis is the event time of a machine's point, Unix milliseconds: each machine has its own moment in the minute.
func (f *Fleet) millis(i int, point int64) int64 {
	const minute = 60_000
	return f.c.Start.UnixMilli() + point*minute + int64(i)*minute/int64(f.c.Machines)
}

func (f *Fleet) injection(i int, e episode) *Injection {
	return &Injection{
		Machine: machineName(i), Kind: e.kind, Field: sensors[e.sensor].name,
		Start: time.UnixMilli(f.millis(i, e.first)).UTC(), End: time.UnixMilli(f.millis(i, e.last)).UTC(),
	}
}

func (f *Fleet) schedule(i int) *schedule {
	return newSchedule(newRand(f.c.Seed, i, 1), f.c.Anomalies, f.c.WarmUp)
}

func machineName(i int) string { return fmt.Sprintf("machine-%06d", i) }

// newRand returns a source of randomness of its own for each seed, machine and purpose.
func newRand(seed uint64, machine, purpose int) *rand.Rand {
	parent := rand.NewPCG(seed, uint64(machine)<<8|uint64(purpose))                     //nolint:gosec // neither is negative
	return rand.New(rand.NewPCG(parent.Uint64()^seed, parent.Uint64()^parent.Uint64())) //nolint:gosec,staticcheck // a simulation keeps no secrets; each call draws anew
}
