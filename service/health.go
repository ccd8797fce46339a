package service

import (
	"fmt"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
)

// Health is what /-/healthy answers in JSON.
type Health struct {
	Healthy bool       `json:"healthy"` // no loop is stuck
	Loops   []Loop     `json:"loops"`
	Sinks   []SinkLoop `json:"sinks"`
}

// Loop is how a stream's loop goes.
type Loop struct {
	Stream     string       `json:"stream"`
	Pace       sources.Pace `json:"pace"`               // turning, slow or stuck
	Turned     float64      `json:"turned_seconds"`     // since it began a turn
	Progressed float64      `json:"progressed_seconds"` // since it began one, or processed records
}

// SinkLoop is how the loop goes that reads an alerts topic for a sink.
type SinkLoop struct {
	Sink       string       `json:"sink"`
	Topic      string       `json:"topic"`
	Pace       sources.Pace `json:"pace"`               // turning, also where the sink is away and tried again; or stuck
	Progressed float64      `json:"progressed_seconds"` // since it read, or an attempt at the sink ended
}

// String is the text of it: a line of what is not as it should be, behind the first.
func (h Health) String() string {
	var text strings.Builder
	text.WriteString(map[bool]string{true: "healthy\n", false: "not healthy\n"}[h.Healthy])
	for _, l := range h.Loops {
		switch l.Pace {
		case sources.Stuck:
			fmt.Fprintf(&text, "stream %s: its loop is stuck: no turn for %.0f s, and no record processed for %.0f s\n", l.Stream, l.Turned, l.Progressed)
		case sources.Slow:
			fmt.Fprintf(&text, "stream %s: its loop is slow: no turn for %.0f s, but records processed %.0f s ago\n", l.Stream, l.Turned, l.Progressed)
		}
	}
	for _, l := range h.Sinks {
		if l.Pace == sources.Stuck {
			fmt.Fprintf(&text, "sink %s: its loop is stuck: nothing read of %s, and no attempt ended, for %.0f s\n", l.Sink, l.Topic, l.Progressed)
		}
	}
	return text.String()
}

// Readiness is what /-/ready answers in JSON.
type Readiness struct {
	Ready   bool           `json:"ready"`
	Streams []StreamReady  `json:"streams"`
	Sinks   []sinks.Status `json:"sinks"`
}

// StreamReady is what a stream has to say of itself.
type StreamReady struct {
	Stream        string     `json:"stream"`
	Ready         bool       `json:"ready"`
	Missing       []string   `json:"missing,omitempty"` // what is, in plain words
	Series        int        `json:"series"`            // keys held
	Learning      int        `json:"learning"`          // of them raise no alert yet
	LearningUntil *time.Time `json:"learning_until,omitempty"`

	learning pipeline.Learning
}

func (r *StreamReady) learn(l pipeline.Learning) {
	r.Series, r.Learning, r.learning = l.Series, l.Learning, l
	if !l.Ready.IsZero() {
		r.LearningUntil = &l.Ready
	}
}

// String is the text of it: what is missing, or how far series are with their warm-up.
func (r Readiness) String() string {
	var text strings.Builder
	if r.Ready {
		text.WriteString("ready\n")
		for _, s := range r.Streams {
			if s.Learning > 0 {
				fmt.Fprintf(&text, "stream %s: %v\n", s.Stream, s.learning)
			}
		}
		return text.String()
	}
	text.WriteString("not ready: ")
	for _, s := range r.Streams {
		for _, m := range s.Missing {
			text.WriteString(m + "\n")
		}
	}
	for _, s := range r.Sinks {
		if !s.Ready {
			fmt.Fprintf(&text, "%s sink %s: %s\n", s.Kind, s.Sink, s.Detail)
		}
	}
	return text.String()
}

// Health says how the loops go.
func (s *Service) Health() Health {
	r := s.running
	r.mu.Lock()
	defer r.mu.Unlock()
	h := Health{Healthy: true, Loops: []Loop{}, Sinks: []SinkLoop{}}
	for _, p := range r.streams {
		pace, turned, progressed := p.source.Loop()
		h.Healthy = h.Healthy && pace != sources.Stuck
		h.Loops = append(h.Loops, Loop{p.config.Name, pace, turned.Seconds(), progressed.Seconds()})
	}
	for _, l := range r.router.Loops() {
		pace := sources.Turning
		if l.Stuck {
			pace, h.Healthy = sources.Stuck, false
		}
		h.Sinks = append(h.Sinks, SinkLoop{l.Sink, l.Topic, pace, l.Progressed.Seconds()})
	}
	return h
}

// Readiness says whether every stream is assigned and restored, and every sink takes alerts; and if not, why.
func (s *Service) Readiness() Readiness {
	r := s.running
	r.mu.Lock()
	defer r.mu.Unlock()
	all := Readiness{Ready: true, Streams: []StreamReady{}, Sinks: append([]sinks.Status{}, r.router.Status()...)}
	for _, p := range r.streams {
		one := StreamReady{Stream: p.config.Name, Ready: true}
		if pace, _, _ := p.source.Loop(); pace == sources.Turning { // else its workers may be busy for long, and who asks should not wait for them
			one.learn(p.stream.Learning())
		}
		for _, err := range []error{p.source.Ready(), p.stream.Ready()} {
			if err != nil {
				one.Ready, all.Ready = false, false
				one.Missing = append(one.Missing, err.Error())
			}
		}
		all.Streams = append(all.Streams, one)
	}
	for _, sink := range all.Sinks {
		all.Ready = all.Ready && sink.Ready
	}
	return all
}
