package pipeline

import "time"

// stage is a part of a record's way. Where the time goes is told by timing one record in many: a clock that is read for each would cost as
// much as a stage of the cheapest streams.
type stage int

const (
	stageDecode stage = iota // from bytes to a sample
	stageWindow              // watermark, key, window, eviction
	stageScore               // detectors, limit, incident, learning and drift
	stages
)

var stageNames = [stages]string{"decode", "window", "score"}

// What the counter of the stages is called. Of its stages commit is counted by the source, which knows it.
const (
	StageName = "gonomaly_stage_seconds_total"
	StageHelp = "Time by stage of a record's way: decode, window (with watermark and eviction) and score (with learning), by timing one record in 251; " +
		"commit (write, end of the transaction) by timing each. Partitions run side by side: the sum may grow by more than a second a second."
)

// timeEvery is one record in how many is timed, by offset: a prime, so that keys that take turns are timed alike.
const timeEvery = 251

// timing is that of the record under way, if that is timed.
type timing struct {
	on     bool
	next   int64 // offset of the next record to be timed
	begin  time.Time
	point  time.Time // when the point under way began
	decode time.Duration
	score  time.Duration // of all its points: a record may close many windows
}

// timed is apply with a clock beside it, which changes nothing of the state.
func (w *Worker) timed(r *Record) Outcome {
	w.timing = timing{on: true, next: r.Offset - r.Offset%timeEvery + timeEvery, begin: time.Now()}
	outcome := w.apply(r)
	all := time.Since(w.timing.begin)
	w.timing.on = false
	if outcome == DeadLettered || outcome == Filtered || outcome == Probed {
		w.timing.decode = all
	}
	for s, took := range [stages]time.Duration{w.timing.decode, all - w.timing.decode - w.timing.score, w.timing.score} {
		w.took[s] += timeEvery * max(0, took)
	}
	return outcome
}

// addStages counts what the stages took, by the records that were timed, and begins anew.
func (m *Metrics) addStages(stream string, took *[stages]time.Duration) {
	for s, d := range took {
		if d > 0 {
			m.stages[s].WithLabelValues(stream).Add(d.Seconds())
			took[s] = 0
		}
	}
}
