package detectors

import (
	"encoding/binary"
	"math/bits"
)

// halfSpace is a leaf of HalfSpaceTrees, in one number, for what is touched for a point counts as much as what is computed. From the lowest bits
// on it has, in a quarter of them, the points of this window; in the next quarter those of the last full window; and in the upper half its mass. That
// is of the first node on the way here that holds less than enough of the last full window's points, or else of the leaf: these, times the nodes
// of that size that fill the space.
type halfSpace interface{ uint32 | uint64 }

// small says whether all of a leaf has room in 32 bits.
func (c *HalfSpaceTreesConfig) small() bool {
	return c.Window <= 1<<8-1 && c.Window<<c.Depth <= 1<<16-1
}

// quarter is the bits of a quarter of a leaf.
func quarter[L halfSpace]() int { return bits.Len64(uint64(^L(0))) / 4 }

// counts are the bits of a quarter of a leaf, the lowest.
func counts[L halfSpace]() L { return 1<<quarter[L]() - 1 }

// masses is the sum of the masses of some leaves.
func masses[L halfSpace](leaves []L, which []uint32) (sum int) {
	for _, i := range which {
		sum += int(leaves[i] >> (2 * quarter[L]()))
	}
	return sum
}

// pointsIn are those of both windows in some leaves of a tree: there is room for the sums in what they are added up from, and what masses add up
// to lies above them.
func pointsIn[L halfSpace](leaves []L) (latest, last int) {
	sum := L(0)
	for ; len(leaves) >= 8; leaves = leaves[8:] {
		sum += leaves[0] + leaves[1] + leaves[2] + leaves[3] + leaves[4] + leaves[5] + leaves[6] + leaves[7]
	}
	for _, leaf := range leaves {
		sum += leaf
	}
	return int(sum & counts[L]()), int(sum >> quarter[L]() & counts[L]())
}

// learnIn counts a point of this window in some leaves, and turns to the next window where that is the last one.
func learnIn[L halfSpace](leaves []L, which []uint32, ends bool, h *halvings) {
	for _, i := range which {
		leaves[i]++
	}
	if ends {
		turn(leaves, h)
	}
}

// turn makes the latest points the reference.
func turn[L halfSpace](leaves []L, h *halvings) {
	for size := 1 << h.config.Depth; len(leaves) > 0; leaves = leaves[size:] {
		turnBelow(leaves[:size], h.config.Window, 0, h.enough())
	}
}

// turnBelow does that below a node on some level, in which there are so many of these points.
func turnBelow[L halfSpace](leaves []L, all, level, enough int) {
	if half := len(leaves) / 2; all >= enough && half > 0 {
		left, _ := pointsIn(leaves[:half])
		turnBelow(leaves[:half], left, level+1, enough)
		turnBelow(leaves[half:], all-left, level+1, enough)
		return
	}
	mass := L(all<<level) << (2 * quarter[L]())
	for i, leaf := range leaves {
		leaves[i] = mass | leaf&counts[L]()<<quarter[L]()
	}
}

// appendPoints writes the points of both windows.
func appendPoints[L halfSpace](b []byte, leaves []L) []byte {
	for _, leaf := range leaves {
		b = binary.LittleEndian.AppendUint16(b, uint16(leaf&counts[L]()))
		b = binary.LittleEndian.AppendUint16(b, uint16(leaf>>quarter[L]()&counts[L]()))
	}
	return b
}

// readPoints restores the leaves of what has learned n points.
func readPoints[L halfSpace](r *reader, leaves []L, n uint64, h *halvings) {
	window := uint64(h.config.Window) //nolint:gosec // positive
	reference := min(n, window) / window * window
	again := *r
	for tree := range h.config.Trees {
		var latest, last uint64
		of := leaves[tree<<h.config.Depth:][:1<<h.config.Depth]
		for i := range of {
			a, b := r.uint16(), r.uint16()
			latest, last = latest+uint64(a), last+uint64(b)
			of[i] = L(b) & counts[L]()
		}
		if latest != n%window {
			r.fail("a tree counts %d points of this window, want %d", latest, n%window)
		}
		if last != reference {
			r.fail("a tree counts %d points of the last window, want %d", last, reference)
		}
	}
	if reference > 0 {
		turn(leaves, h)
	}
	for i := range leaves {
		leaves[i] += L(again.uint16()) & counts[L]()
		again.uint16()
	}
}
