package sources

import (
	"sync"
	"time"
)

// status is how a partition's consumption goes, as Burrow has it.
type status int

const (
	statusOK     status = iota
	statusWarn          // the offset advances, and the lag does not shrink
	statusStall         // the loop turns, and the offset does not advance
	statusStop          // the loop does not turn
	statusRewind        // the offset went back
	statuses
)

var statusNames = [statuses]string{"ok", "warn", "stall", "stop", "rewind"}

// sample is what stood of a partition at a turn of the loop.
type sample struct {
	at     time.Time
	offset int64 // committed
	folded int64 // position, while what was committed before is folded; else 0
	lag    int64 // records to go
}

// samples are how many a window has, as Burrow's does by default.
const samples = 10

// window is the last samples of a partition. It outlives sessions, so that an offset that was set back between two of them shows.
type window struct {
	mu    sync.Mutex
	every time.Duration // between two samples
	all   []sample
}

func (w *window) add(s sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == samples {
		w.all = append(w.all[:0], w.all[1:]...)
	}
	w.all = append(w.all, s)
}

// resume forgets all but the newest sample: how it went before is not how the new owner does.
func (w *window) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.all); n > 1 {
		w.all = append(w.all[:0], w.all[n-1])
	}
}

// newest is the last sample, zero before there is one.
func (w *window) newest() sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.all); n > 0 {
		return w.all[n-1]
	}
	return sample{}
}

// status judges the window with so many records to go; what the last sample had to go still counts, for it may be processed and not
// committed.
func (w *window) status(lag int64, now time.Time) status {
	if last := w.newest(); now.Sub(last.at) < 2*w.every {
		lag = max(lag, last.lag)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return judge(w.all, lag, now, (samples-1)*w.every)
}

// judge gives the status by a window of samples, the lag now, the time, and how long a whole window is. The rules are those of Burrow's wiki,
// "Consumer Lag Evaluation Rules", and of its evaluator for rewind. What Burrow sees from outside is a commit; from inside a sample is taken
// at a turn of the loop, whether or not there was anything to commit: so a consumer that has stopped is told from a partition to which little
// comes, and that is asked first, because a lag of zero would stay in the window of one that takes no more samples.
func judge(window []sample, lag int64, now time.Time, whole time.Duration) status {
	if lag <= 0 || len(window) == 0 {
		return statusOK
	}
	oldest, newest := window[0], window[len(window)-1]
	if now.Sub(newest.at) > max(whole, newest.at.Sub(oldest.at)) {
		return statusStop
	}
	back, still, shrinks := false, true, false
	for i, s := range window {
		if s.lag <= 0 {
			return statusOK
		}
		if i > 0 {
			before := window[i-1]
			back = back || s.offset < before.offset
			still = still && s.offset == before.offset && s.folded == before.folded
			shrinks = shrinks || s.lag < before.lag
		}
	}
	switch {
	case back:
		return statusRewind
	case len(window) < samples: // Burrow calls such a window incomplete
		return statusOK
	case still:
		return statusStall
	case !shrinks:
		return statusWarn
	}
	return statusOK
}

// windowOf is the window of a partition that is taken over, where a committed offset is found.
func (k *Kafka) windowOf(at place, t taken) *window {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.windows[at]
	if w == nil {
		w = &window{every: k.watching.every}
		k.windows[at] = w
	}
	w.resume()
	if t.log != nil {
		committed := max(t.committed, 0)
		w.add(sample{at: time.Now(), offset: committed, lag: t.log.end - max(committed, t.log.start)})
	}
	return w
}

// sample notes how the partitions stand, if the loop has made progress since the last time.
func (s *session) sample(now time.Time) {
	progress := s.lastProgress()
	if progress.Equal(s.sampled) {
		return
	}
	s.sampled = progress
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owned {
		t, known := o.lag.tell(now, s.watching.every)
		if !known {
			continue
		}
		one := sample{at: now, offset: max(o.committed, 0), lag: t.records}
		if o.position < o.committed {
			one.folded = max(o.position, 0)
		} else if before := o.lag.window.newest(); before.offset == one.offset {
			one.lag += o.position - one.offset // processed, and not committed in all that time
		}
		o.lag.window.add(one)
	}
}
