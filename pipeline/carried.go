package pipeline

import (
	"encoding/binary"
	"fmt"
	"math"
)

// carried are the last values of a series, which stand in for those that a record lacks; NaN until there is one.
type carried []float64

func newCarried(values int) carried {
	c := make(carried, values)
	for i := range c {
		c[i] = math.NaN()
	}
	return c
}

// complete puts into x what it lacks, and says whether it lacks nothing now. What x has is remembered, unless it comes late.
func (c carried) complete(x []float64, late bool) bool {
	whole := true
	for i, v := range x {
		switch {
		case math.IsNaN(v):
			x[i] = c[i]
			whole = whole && !math.IsNaN(c[i])
		case !late || math.IsNaN(c[i]):
			c[i] = v
		}
	}
	return whole
}

const carriedMade = 1 // version

// AppendBinary appends the state, 8 bytes a value.
func (c carried) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, carriedMade)
	for _, v := range c {
		b = appendFloat(b, v)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (c carried) UnmarshalBinary(b []byte) error {
	if len(b) != 1+8*len(c) || b[0] != carriedMade {
		return fmt.Errorf("%w: last values of %d bytes, want %d of version %d", errState, len(b), 1+8*len(c), carriedMade)
	}
	for i := range c {
		if c[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[1+8*i:])); math.IsInf(c[i], 0) {
			return fmt.Errorf("%w: a last value is %v", errState, c[i])
		}
	}
	return nil
}
