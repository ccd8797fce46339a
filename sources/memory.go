package sources

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// memory says how much memory the process holds that no collection would free, and how much it may take: GOMEMLIMIT, or math.MaxInt64 for
// no limit. fresh has it collect first.
type memory func(fresh bool) (held, limit int64)

// Names of runtime/metrics.
const (
	memoryTotal    = "/memory/classes/total:bytes"
	memoryReleased = "/memory/classes/heap/released:bytes"
	memoryObjects  = "/memory/classes/heap/objects:bytes" // garbage among them
	memoryFree     = "/memory/classes/heap/free:bytes"
	memoryLive     = "/gc/heap/live:bytes" // by the last collection
)

// processMemory reads runtime/metrics. All that the process has mapped stands near the limit in good health, too: the collector lets the
// garbage grow until there. So garbage does not count, once the total is near.
func processMemory(fresh bool) (held, limit int64) {
	if limit = debug.SetMemoryLimit(-1); limit == math.MaxInt64 {
		return 0, limit
	}
	samples := []metrics.Sample{{Name: memoryTotal}, {Name: memoryReleased}, {Name: memoryObjects}, {Name: memoryFree}, {Name: memoryLive}}
	read := func() (total, held int64) {
		metrics.Read(samples)
		value := func(i int) int64 { return int64(samples[i].Value.Uint64()) } //nolint:gosec // bytes of memory
		total = value(0) - value(1)
		return total, total - value(2) - value(3) + min(value(4), value(2))
	}
	total, held := read()
	if total < near(limit) {
		return total, limit
	}
	if fresh {
		runtime.GC()
		_, held = read()
	}
	return held, limit
}

// near is where the memory limit is close: 90 % of it.
func near(limit int64) int64 { return limit - limit/10 }

// Times of a rest for memory.
const (
	lookEvery  = 50 * time.Millisecond
	freshEvery = time.Second
	sayRest    = 3 * time.Second  // then readiness shows it
	longest    = 10 * time.Second // then fetching goes on: what stands in memory is state, which resting does not shrink
)

// pressure has fetching rest while memory is short. It belongs to the loop; others ask it whether it rests.
type pressure struct {
	memory memory

	looked time.Time
	fresh  time.Time // of the last collection
	over   bool      // it has rested for the longest, and memory is short still: not again until it has fallen

	mu          sync.Mutex
	since       time.Time // it began to rest; zero while it does not
	held, limit int64
}

// The turns of a rest.
type rest int

const (
	none rest = iota
	begins
	lasts
	overruns // it ends, although memory has not fallen
)

// look measures now and then, and says whether fetching is to rest.
func (p *pressure) look(now time.Time) rest {
	resting := p.resting()
	if now.Sub(p.looked) < lookEvery {
		if resting {
			return lasts
		}
		return none
	}
	p.looked = now
	held, limit := p.memory(false)
	if held >= near(limit) && !p.over && now.Sub(p.fresh) >= freshEvery { // while fetching rests nothing else makes the process collect
		held, limit = p.memory(true)
		p.fresh = now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.limit = held, limit
	switch {
	case held < near(limit):
		p.since, p.over = time.Time{}, false
		return none
	case p.over:
		return none
	case !resting:
		p.since = now
		return begins
	case now.Sub(p.since) >= longest:
		p.since, p.over = time.Time{}, true
		return overruns
	}
	return lasts
}

func (p *pressure) resting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.since.IsZero()
}

// trouble is why nothing is fetched, once that has lasted.
func (p *pressure) trouble(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() || now.Sub(p.since) < sayRest {
		return nil
	}
	return fmt.Errorf("fetching rests for lack of memory: %s", p.text())
}

func (p *pressure) text() string {
	return fmt.Sprintf("%d MiB of the %d MiB of GOMEMLIMIT are held", p.held>>20, p.limit>>20)
}

// pressed says whether fetching is to rest, and counts it.
func (s *session) pressed() bool {
	switch s.pressure.look(time.Now()) {
	case begins:
		s.o.Metrics.rests.WithLabelValues(s.o.Stream).Inc()
		s.log.Warn("memory is short: fetching rests", "memory", s.pressure.text())
		return true
	case lasts:
		return true
	case overruns:
		s.o.Metrics.overruns.WithLabelValues(s.o.Stream).Inc()
		s.log.Error("memory is short still: fetching goes on all the same, for what is held is state. Raise GOMEMLIMIT, or hold fewer series",
			"memory", s.pressure.text())
	}
	return false
}
