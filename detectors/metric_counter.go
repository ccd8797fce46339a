package detectors

import (
	"encoding/binary"
	"math"
	"time"
)

// counters turn values that only grow until they are reset into increases per second. Nil leaves values as they are.
type counters struct {
	known  bool      // that there was a point before
	time   int64     // of it, Unix nanoseconds
	before []float64 // its values
}

// count says whether p can be judged: the first of a series cannot, nor one that is no later than the one before.
func (c *counters) count(p Point) bool { return c == nil || c.known && p.Time > c.time }

// value is what is judged of a field. After a reset a counter has grown from 0, as Prometheus' rate has it.
func (c *counters) value(p Point, field int) float64 {
	if c == nil {
		return p.X[field]
	}
	increase := p.X[field]
	if before := c.before[field]; increase >= before {
		increase -= before
	}
	return clip(increase, huge) / c.since(p)
}

// at is the inverse of value: where an increase per second brings a counter that was not reset.
func (c *counters) at(p Point, field int, perSecond float64) float64 {
	if c == nil {
		return perSecond
	}
	return clip(c.before[field], huge) + clip(perSecond, widest)*c.since(p)
}

// since is the time from the point before, in seconds, > 0.
func (c *counters) since(p Point) float64 {
	return float64(max(1, p.Time-c.time)) / float64(time.Second)
}

func (c *counters) learn(p Point) {
	if c != nil {
		c.known, c.time = true, p.Time
		copy(c.before, p.X)
	}
}

func (c *counters) bytes() int {
	if c == nil {
		return 0
	}
	return sizeOf[counters]() + 8*len(c.before)
}

func (c *counters) append(b []byte) []byte {
	if c == nil {
		return b
	}
	known := byte(0)
	if c.known {
		known = 1
	}
	b = binary.LittleEndian.AppendUint64(append(b, known), uint64(c.time)) //nolint:gosec // and back
	for _, x := range c.before {
		b = appendFloat64(b, x)
	}
	return b
}

func (c *counters) read(r *reader) {
	if c == nil {
		return
	}
	known := r.uint8()
	if known > 1 {
		r.fail("%d, want 0 or 1", known)
	}
	c.known, c.time = known == 1, int64(r.uint64()) //nolint:gosec // and back
	for i := range c.before {
		c.before[i] = r.float64(-math.MaxFloat64, math.MaxFloat64)
	}
}
