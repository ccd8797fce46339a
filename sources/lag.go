package sources

import (
	"sync"
	"time"
)

// lag is how far a partition's processing stands behind its log. It is written by the loop and by who looks at the log's end, and read
// by whoever scrapes. Transaction markers count as records and move the position as records do, so that nothing is left exactly when
// the position has reached the last stable offset.
type lag struct {
	mu        sync.Mutex
	known     bool
	committed int64     // when the partition was taken over: what is below it is folded without output
	position  int64     // next offset to process
	end       int64     // last stable offset, as far as known
	since     time.Time // Kafka timestamp of the next unprocessed record, or a time that it does not lie before
}

// begin says where a partition was taken over. How old its next record is shows when that is fetched.
func (l *lag) begin(position, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.position, l.end, l.since = true, position, end, time.Now()
}

// next says that a batch which begins with a record of this offset and timestamp is being processed.
func (l *lag) next(offset int64, timestamp time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.since = true, timestamp
	l.position, l.end = offset, max(l.end, offset+1)
}

// done says that everything below position is processed, the last of it with this timestamp.
func (l *lag) done(position int64, timestamp time.Time, stable int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position, l.since, l.end = position, timestamp, max(l.end, stable)
}

// sees says where the log ended when it was asked at a time. Where nothing was left, the next record came later than that: so an idle
// hour does not count as lag when a record ends it. It returns what records does.
func (l *lag) sees(end int64, at time.Time) (left int64, known bool) {
	l.mu.Lock()
	if l.known {
		if l.end = max(l.end, end); l.position >= l.end && at.After(l.since) {
			l.since = at
		}
	}
	l.mu.Unlock()
	return l.records()
}

// records is how many offsets are left; it is not known before the log's end is.
func (l *lag) records() (left int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.end-l.position), l.known
}

// unfolded is how many offsets are left of those that were committed before.
func (l *lag) unfolded() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.committed-l.position)
}

// seconds is how long the next record has waited; never negative, and 0 when there is none.
func (l *lag) seconds(now time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.position >= l.end {
		return 0
	}
	return max(0, now.Sub(l.since).Seconds())
}
