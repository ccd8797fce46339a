package sources

import (
	"sync"
	"time"
)

// lag is how far a partition's processing stands behind its log. It is written by the loop and by who asks the brokers, and read by
// whoever scrapes. What counts is data: a transaction marker moves the position as a record does, and is nothing that anybody waits for.
type lag struct {
	mu        sync.Mutex
	settled   bool  // the client was told where to fetch
	astray    bool  // the client does not hold it, and has not said so
	committed int64 // when the partition was taken over: what is below it is folded without output
	position  int64 // next offset to process
	start     int64 // of the log
	end       int64 // last stable offset, as far as known
	clear     int64 // no data record lies between the position and it
	next      data  // the next unprocessed data record, as far as known
	heard     time.Time
	held      held
	last      data      // the last processed data record
	moved     time.Time // that was
	window    *window
}

// held is a last stable offset with records beyond it, from when it was first seen until it last was. Zero where there are none.
type held struct {
	at          int64
	first, last time.Time
}

// data is a data record's place and Kafka timestamp; zero where it is not known.
type data struct {
	offset int64
	time   time.Time
}

// fleeting is for how long after a batch the next record's time may be taken for that of the last one: until the next batch, which is most
// often on its way already.
const fleeting = time.Second

// begin says where a partition was taken over. How old its next record is shows when that is looked at or fetched.
func (l *lag) begin(position int64, log bounds, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position, l.start, l.end, l.heard = position, log.start, log.end, at
}

// settle says that fetching begins: from now on there is a lag.
func (l *lag) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = true
}

// stray says whether the client still holds the partition.
func (l *lag) stray(astray bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.astray = astray
}

// at says that a data record is the next to be processed.
func (l *lag) at(offset int64, timestamp time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = data{offset, timestamp}
	l.position, l.end = offset, max(l.end, offset+1)
}

// done says that everything below position is processed, the last of its data records with this timestamp, zero where there was none; and
// where the log was stable to when that was fetched.
func (l *lag) done(position int64, timestamp time.Time, stable int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position, l.end = position, max(l.end, stable)
	if !timestamp.IsZero() {
		l.last, l.moved = data{position - 1, timestamp}, time.Now()
	}
}

// sees says where the log began and ended when a broker was asked at a time.
func (l *lag) sees(log bounds, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if asked.After(l.heard) {
		l.start, l.end, l.heard = log.start, max(log.end, l.position), asked
	}
}

// reaches says how far the log reached beyond its last stable offset when a broker was asked at a time. Where writers are busy the two
// answers are not of one moment: but then the offset moves.
func (l *lag) reaches(stable, high int64, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case asked.Before(l.held.last):
	case high <= stable:
		l.held = held{}
	case l.held.first.IsZero() || l.held.at != stable:
		l.held = held{stable, asked, asked}
	default:
		l.held.last = asked
	}
}

// found says which data record a broker has first at or after an offset; one without a time stands for none below its offset.
func (l *lag) found(from int64, d data) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case from > max(l.wanted(), l.clear):
		// The position was set back in between.
	case d.time.IsZero():
		l.clear = max(l.clear, d.offset)
	case d.offset >= l.wanted():
		l.next = d
	}
}

// wanted is the first offset that is still to come. The lock is held.
func (l *lag) wanted() int64 { return max(l.position, l.start) }

// none says that no data record is left below the last stable offset, as far as known. The lock is held.
func (l *lag) none() bool { return max(l.wanted(), l.clear) >= l.end }

// dark is from where a broker has to be asked for the next record's time, if that is so.
func (l *lag) dark() (from int64, dark bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.none() || l.ahead() {
		return 0, false
	}
	return max(l.wanted(), l.clear), true
}

// ahead says that the next data record is known. The lock is held.
func (l *lag) ahead() bool { return !l.next.time.IsZero() && l.next.offset >= l.wanted() }

// told is what is reported of a lag.
type told struct {
	records  int64   // offsets, markers in between among them; 0 when no data record is left
	unfolded int64   // of those that were committed before
	seconds  float64 // that the next data record has waited; never negative, and 0 when there is none
	timed    bool    // the seconds are known
	withheld float64 // seconds that records have waited behind a transaction that is not ended
}

// tell returns what is known at a time; nothing for a partition that is not ours, or whose broker has not answered within a time.
func (l *lag) tell(now time.Time, within time.Duration) (t told, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.settled || l.astray || l.heard.IsZero() || now.Sub(l.heard) > within {
		return told{}, false
	}
	t.unfolded = max(0, l.committed-l.position)
	t.withheld = l.held.last.Sub(l.held.first).Seconds()
	if !l.none() {
		t.records = l.end - l.wanted()
	}
	switch {
	case l.none():
		t.timed = true
	case l.ahead():
		if l.next.time.Unix() > 0 { // a producer may give none
			t.seconds, t.timed = max(0, now.Sub(l.next.time).Seconds()), true
		}
	case l.last.time.Unix() > 0 && now.Sub(l.moved) < fleeting:
		t.seconds, t.timed = max(0, now.Sub(l.last.time).Seconds()), true
	}
	return t, true
}

// left is how many offsets the log has beyond the position, deleted ones among them: what a watchdog wants to see move.
func (l *lag) left() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.end-l.position)
}

// deleted says that the log begins beyond the position.
func (l *lag) deleted() (start int64, deleted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.start, l.start > l.position
}
