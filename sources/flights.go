package sources

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// flights are the probes of a prober that are under way, and the account of those that were.
type flights struct {
	stream  string
	timeout time.Duration
	metrics *KafkaMetrics
	log     *slog.Logger

	mu     sync.Mutex
	flying map[string]flight // by header
	losing map[place]bool    // partitions whose last probe did not return, which is said once
}

// flight is a probe under way.
type flight struct {
	to   place
	sent time.Time
}

// What becomes of a probe.
const (
	probeReturned = "returned"
	probeLost     = "lost"
	probeFailed   = "failed"
)

func newFlights(stream string, timeout time.Duration, m *KafkaMetrics, log *slog.Logger) *flights {
	return &flights{stream: stream, timeout: timeout, metrics: m, log: log, flying: map[string]flight{}, losing: map[place]bool{}}
}

// mostFlying bounds what is remembered where nothing comes back for long.
const mostFlying = 100_000

// begin notes a probe that is about to be sent, and says whether there is room for it.
func (fs *flights) begin(header string, to place) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := flight{to, time.Now()}
	if len(fs.flying) >= mostFlying {
		fs.lose(f, probeFailed, "a probe is not sent", fmt.Errorf("%d are under way, want a longer probe.every or a shorter probe.timeout", mostFlying))
		return false
	}
	fs.flying[header] = f
	return true
}

// over ends a flight, unless it is over already.
func (fs *flights) over(header string, how func(flight)) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.flying[header]; ok {
		delete(fs.flying, header)
		how(f)
	}
}

// unwritten ends the flight of a probe that no broker has taken.
func (fs *flights) unwritten(header string, err error) {
	fs.over(header, func(f flight) { fs.lose(f, probeFailed, "a probe could not be written", err) })
}

// answered ends the flight of a probe whose answer was read at a time; one that came too late was lost.
func (fs *flights) answered(header string, at time.Time) {
	fs.over(header, func(f flight) {
		took := at.Sub(f.sent)
		if took > fs.timeout {
			fs.lose(f, probeLost, "a probe came back too late", fmt.Errorf("it took %v", took.Round(time.Millisecond)))
			return
		}
		fs.count(f, probeReturned)
		fs.metrics.roundTrips.WithLabelValues(fs.stream).Observe(took.Seconds())
		fs.metrics.returned.WithLabelValues(fs.stream, f.to.topic).Set(float64(at.UnixMilli()) / 1e3)
		if fs.losing[f.to] {
			delete(fs.losing, f.to)
			fs.log.Info("probes come back again", "topic", f.to.topic, "partition", f.to.id, "seconds", took.Seconds())
		}
	})
}

// expire loses the probes that have been under way for too long.
func (fs *flights) expire(now time.Time) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for header, f := range fs.flying {
		if now.Sub(f.sent) > fs.timeout {
			delete(fs.flying, header)
			fs.lose(f, probeLost, "a probe has not come back", fmt.Errorf("there is no answer after %v", fs.timeout))
		}
	}
}

// lose counts a probe that did not return, and says so of the first of its partition in a row. mu is held.
func (fs *flights) lose(f flight, outcome, what string, why error) {
	fs.count(f, outcome)
	if !fs.losing[f.to] {
		fs.losing[f.to] = true
		fs.log.Warn(what, "topic", f.to.topic, "partition", f.to.id, "sent", f.sent, "why", why)
	}
}

func (fs *flights) count(f flight, outcome string) {
	fs.metrics.probes.WithLabelValues(fs.stream, f.to.topic, outcome).Inc()
}

// fail ends what is under way when the client has failed: nobody looks for its answers any more. A topic of which nothing is under way counts
// one, so that a prober that cannot even begin does not look like one with nothing to tell.
func (fs *flights) fail(topics []string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	idle := map[string]bool{}
	for _, topic := range topics {
		idle[topic] = true
	}
	for _, f := range fs.flying {
		fs.count(f, probeFailed)
		idle[f.to.topic] = false
	}
	clear(fs.flying)
	for topic, is := range idle {
		if is {
			fs.count(flight{to: place{topic: topic}}, probeFailed)
		}
	}
}

// beginProbes has what is counted of a stream's probes stand at 0.
func (m *KafkaMetrics) beginProbes(stream string, topics []string) {
	for _, topic := range topics {
		for _, outcome := range []string{probeReturned, probeLost, probeFailed} {
			m.probes.WithLabelValues(stream, topic, outcome)
		}
	}
	m.roundTrips.WithLabelValues(stream)
}

// endProbes forgets when a probe last returned: after the end of probing that would only grow old.
func (m *KafkaMetrics) endProbes(stream string) {
	m.returned.DeletePartialMatch(map[string]string{"stream": stream})
}
