package detectors

import (
	"encoding/binary"
	"math"
)

// The trees of a Forest are complete, all as deep as they may come to be, and lie in the same arrays, a level after the other: node i is the
// root of tree i, and the children of node i are nodes 2i+trees and 2i+trees+1. So nothing is ever allocated, no state can describe
// anything but trees, and a point goes down all of them at once.
//
// Below a leaf that could still be cut all points go left: the leftmost node at the bottom stands for it, with its points and its bounds, and
// the others below it are empty.

// node is where a node is cut.
type node struct {
	at    float32 // what is less goes left; uncut for a leaf and what is below it
	field uint16
	limit uint16 // of a cut node: with so many points, or fewer, remove has more to do than count; at the bottom: with so many, or more, add has
}

// uncut is more than any value, see wide.
const uncut = math.MaxFloat32

// loose is the limit of a cut node whose bounds may reach farther than its children's; no part of a state. At the bottom it is that of a leaf
// which is never cut.
const loose = math.MaxUint16

func (n *node) cut() bool { return n.at < uncut }

// box is the bounds of a node.
func (f *Forest) box(at int) (low, high []float32) {
	b := f.bounds[at*2*f.fields : (at+1)*2*f.fields]
	return b[:f.fields:f.fields], b[f.fields:][:f.fields] // of one length, so that a loop over both checks it once
}

// first is the left child of a node; the right one is the next.
func (f *Forest) first(at int) int { return 2*at + f.config.Trees }

func (f *Forest) child(at int, x []float32) int {
	n, right := &f.nodes[at], 0
	if x[n.field] >= n.at {
		right = 1
	}
	return f.first(at) + right
}

// find sets ends to the nodes at the bottom that x reaches. It goes down all trees at once, a level at a time, and without branches: so
// the processor waits neither for the node above nor for a turn that it has guessed wrong.
func (f *Forest) find(x []float32, ends []uint32) {
	trees := uint32(len(ends)) //nolint:gosec // at most 256
	for tree := range ends {
		ends[tree] = uint32(tree)
	}
	for range f.depth {
		for tree, at := range ends {
			n := &f.nodes[at]
			right := uint32(0)
			if x[n.field] >= n.at {
				right = 1
			}
			ends[tree] = 2*at + trees + right
		}
	}
}

// holds says whether x lies in a node's bounds.
func (f *Forest) holds(at uint32, x []float32) bool {
	low, high := f.box(int(at))
	for i, v := range x {
		if v < low[i] || v > high[i] {
			return false
		}
	}
	return true
}

// outside returns the field in which x lies farthest out of a node's bounds, and the probability that a random cut of the bounds
// stretched to x falls between them and x.
func (f *Forest) outside(at int, x []float32) (field int, probability float64) {
	if f.count[at] == 0 {
		return 0, 0
	}
	low, high := f.box(at)
	for i, v := range x {
		var gap float32
		if v < low[i] {
			gap = low[i] - v
		} else if v > high[i] {
			gap = v - high[i]
		} else {
			continue
		}
		if p := float64(gap) / (float64(gap) + float64(high[i]) - float64(low[i])); p > probability {
			field, probability = i, p
		}
	}
	return field, probability
}

// add takes f.point in, and cuts the leaves that it reaches where they hold enough.
func (f *Forest) add() {
	trees := uint32(len(f.found)) //nolint:gosec // at most 256
	for tree, end := range f.found {
		f.count[end]++
		for at, up := end, 0; up < f.depth; up++ {
			at = (at - trees) / 2
			f.count[at]++
		}
		if !f.within[tree] {
			f.stretch(end)
		}
		if f.count[end] >= f.nodes[end].limit {
			leaf := int(end)
			for range f.depth - int(f.level[end]) {
				leaf = (leaf - len(f.found)) / 2
			}
			f.cut(leaf, int(f.level[end]))
		}
	}
}

// stretch moves the bounds of a node at the bottom, and of those above, so that f.point lies within.
func (f *Forest) stretch(end uint32) {
	for at, up := int(end), 0; ; up++ {
		low, high := f.box(at)
		stretch(low, high, f.point)
		if up == f.depth {
			return
		}
		at = (at - len(f.found)) / 2
	}
}

// stretch moves bounds so that x lies within.
func stretch(low, high, x []float32) {
	low, high = low[:len(x)], high[:len(x)]
	for i, v := range x {
		if v < low[i] {
			low[i] = v
		}
		if v > high[i] {
			high[i] = v
		}
	}
}

// remove takes x out.
func (f *Forest) remove(x []float32) {
	f.find(x, f.left)
	trees := uint32(len(f.left)) //nolint:gosec // at most 256
	for tree, end := range f.left {
		steady := f.count[end] > 0
		for at, up := end, 0; up < f.depth; up++ {
			at = (at - trees) / 2
			if f.count[at] <= f.nodes[at].limit {
				steady = false
			}
		}
		if !steady {
			f.removeFrom(tree, x)
			continue
		}
		f.count[end]--
		for at, up := end, 0; up < f.depth; up++ {
			at = (at - trees) / 2
			f.count[at]--
		}
	}
}

// removeFrom takes x out of a tree, makes a leaf of the first node on its way that no longer holds enough for a cut, and brings loose bounds on its
// way to what they have to be.
func (f *Forest) removeFrom(tree int, x []float32) {
	var path [16]int
	at, level, moved := tree, 0, false // moved: that bounds farther down have
	for ; ; level++ {
		path[level] = at
		f.count[at] = max(f.count[at], 1) - 1
		if !f.nodes[at].cut() {
			f.seal(at, level, level) // counts below
			break
		}
		if int(f.count[at]) < f.config.LeafPoints<<level {
			f.merge(at, level)
			moved = true
			break
		}
		at = f.child(at, x)
	}
	for level--; level >= 0; level-- {
		if at := path[level]; moved || f.nodes[at].limit == loose {
			f.shrink(at, level)
			moved = true
		}
	}
	f.findIn(tree)
}

// findIn finds anew where f.point ends in a tree that has changed.
func (f *Forest) findIn(tree int) {
	at := tree
	for range f.depth {
		at = f.child(at, f.point)
	}
	f.found[tree] = uint32(at) //nolint:gosec // one of the nodes
	f.within[tree] = f.holds(f.found[tree], f.point)
}

// shrink brings the bounds of a cut node to those of its children. There they stay: what is added stretches both alike.
func (f *Forest) shrink(at, level int) {
	f.nodes[at].limit = uint16(f.config.LeafPoints << level) //nolint:gosec // at most 32768, as it is cut
	left := f.first(at)
	low, high := f.box(at)
	lowLeft, highLeft := f.box(left)
	lowRight, highRight := f.box(left + 1)
	for i := range low {
		low[i], high[i] = min(lowLeft[i], lowRight[i]), max(highLeft[i], highRight[i])
	}
}

// merge makes a leaf of a cut node.
func (f *Forest) merge(at, level int) {
	f.enclose(at, level)
	f.seal(at, level, level)
}

// enclose shrinks the bounds of a node and of all that are cut below it.
func (f *Forest) enclose(at, level int) {
	if f.nodes[at].cut() {
		f.enclose(f.first(at), level+1)
		f.enclose(f.first(at)+1, level+1)
		f.shrink(at, level)
	}
}

// append writes the subtree below a node: of each node the count, the bounds and the cut.
func (f *Forest) append(b []byte, at int) []byte {
	n := &f.nodes[at]
	b = binary.LittleEndian.AppendUint16(b, f.count[at])
	if n.cut() {
		b = binary.LittleEndian.AppendUint16(b, n.field)
	} else {
		b = binary.LittleEndian.AppendUint16(b, noField)
	}
	low, high := f.box(at)
	for i := range low {
		b = appendFloat32(appendFloat32(b, low[i]), high[i])
	}
	if !n.cut() {
		return b
	}
	b = appendFloat32(b, n.at)
	return f.append(f.append(b, f.first(at)), f.first(at)+1)
}

// noField stands in a state where a cut node has its field.
const noField = math.MaxUint16

// read restores the subtree below a node and returns the number of its points.
func (f *Forest) read(r *reader, at, level int) (points int) {
	points, field := int(r.uint16()), r.uint16()
	f.count[at] = uint16(points) //nolint:gosec // from 16 bits
	low, high := f.box(at)
	for i := range low {
		low[i], high[i] = r.float32(-math.MaxFloat32, math.MaxFloat32), r.float32(-math.MaxFloat32, math.MaxFloat32)
	}
	switch {
	case r.err != nil || field == noField:
		f.seal(at, level, level)
		return points
	case int(field) >= f.fields || level == f.depth:
		r.fail("node %d on level %d of %d is cut in field %d of %d", at, level, f.depth, field, f.fields)
		return 0
	}
	f.nodes[at] = node{at: r.float32(-wide, wide), field: field, limit: loose}
	f.level[at] = uint8(level) //nolint:gosec // at most 8
	if sum := f.read(r, f.first(at), level+1) + f.read(r, f.first(at)+1, level+1); r.err == nil && sum != points {
		r.fail("a node with %d points has children with %d", points, sum)
	}
	return points
}
