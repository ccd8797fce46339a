package pipeline

import (
	"math"
	"runtime/debug"
)

// roomFor says whether the series of so many partitions, each of so many bytes at most, leave the rest of the process enough of limit; and
// if not, what max_bytes would: a third of the limit in all, with which the garbage collector has its room.
func roomFor(partitions int, each, limit int64) (maxBytes int64, enough bool) {
	n := int64(max(partitions, 1))
	return limit / 3 / n, each <= limit/2/n
}

// checkRoom warns, once, that the partitions which are assigned may come to hold more than the process may take: a flood of keys would have
// it killed.
func (s *Stream) checkRoom() {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return
	}
	s.mu.RLock()
	n := len(s.partitions)
	s.mu.RUnlock()
	each := int64(s.plan.capacity) * s.plan.seriesBytes
	if maxBytes, enough := roomFor(n, each, limit); !enough {
		s.crowded.Do(func() {
			s.log.Warn("series may come to take more memory than there is: set max_bytes", "partitions", n, "bytes_each", each, "limit", limit, "max_bytes", maxBytes)
		})
	}
}
