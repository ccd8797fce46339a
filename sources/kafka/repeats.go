package kafka

import (
	"sync"
	"time"
)

// Repeats keeps a log readable while something goes on to fail: each thing is said once a minute. The zero value has heard nothing yet.
type Repeats struct {
	mu   sync.Mutex
	said map[about]*repeat
}

// about is what a line says, and of what.
type about struct{ msg, of string }

type repeat struct {
	at   time.Time
	held int // since then
}

const (
	sayAgain = time.Minute
	mostSaid = 1000 // different things; then all are said again, for texts may have numbers in them that never come twice
)

// Say tells whether a line is to be logged, and how many like it have not been since the last that was.
func (r *Repeats) Say(msg, of string) (held int, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, now := about{msg, of}, time.Now()
	before := r.said[a]
	if before != nil && now.Sub(before.at) < sayAgain {
		before.held++
		return 0, false
	}
	if before != nil {
		held = before.held
	}
	if r.said == nil || len(r.said) >= mostSaid {
		r.said = map[about]*repeat{}
	}
	r.said[a] = &repeat{at: now}
	return held, true
}
