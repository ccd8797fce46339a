package sinks

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Loop is how the reading of one alerts topic for one sink goes.
type Loop struct {
	Sink, Topic string
	Stuck       bool
	Progressed  time.Duration // since it read, or an attempt at the sink ended in whatever way
}

// loops remember when each of a sink's loops last made progress, by topic. They are used from many goroutines.
type loops struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// turn notes progress.
func (l *loops) turn(topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[topic] = time.Now()
}

// Loops says how those of all sinks go. A sink that is away is tried again and again, so its loop makes progress: stuck is one that has gone for
// longer without any than every deadline and every wait between two attempts.
func (r *Router) Loops() []Loop {
	var all []Loop
	for _, m := range r.members {
		m.loops.mu.Lock()
		for _, topic := range slices.Sorted(maps.Keys(m.loops.last)) {
			idle := time.Since(m.loops.last[topic])
			all = append(all, Loop{m.name, topic, idle > m.pace.idle, idle})
		}
		m.loops.mu.Unlock()
	}
	return all
}
