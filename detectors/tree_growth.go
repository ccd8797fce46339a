package detectors

import "math"

// wantsCut says whether a node holds enough points for its level, and is not as deep already as the window is large.
func (f *Forest) wantsCut(at, level int) bool {
	return int(f.count[at]) >= f.config.LeafPoints<<level && f.config.LeafPoints<<(2*level) < f.size() // level < levels(size)
}

// cut cuts a leaf that is large enough. It keeps its bounds, which may be loose.
func (f *Forest) cut(leaf, level int) {
	if f.wantsCut(leaf, level) && f.split(leaf, level, f.inside[:f.gather(leaf, level)]) {
		f.nodes[leaf].limit = loose
	}
}

// gather fills f.inside with the slots of the points in a node and returns their number.
func (f *Forest) gather(node, level int) int {
	root := node
	for range level {
		root = (root - f.config.Trees) / 2
	}
	n := 0
	for slot := range f.size() {
		at := root
		for range level {
			at = f.child(at, f.slot(slot))
		}
		f.inside[n] = uint16(slot)
		if at == node {
			n++
		}
	}
	return n
}

// renew grows a tree anew from the window.
func (f *Forest) renew(tree int) {
	n := f.size()
	for slot := range n {
		f.inside[slot] = uint16(slot)
	}
	f.grow(tree, 0, f.inside[:n])
}

// grow makes a node one with the points in the given slots, and cuts it, and what comes of it, as long as there are points enough.
func (f *Forest) grow(at, level int, slots []uint16) {
	f.count[at] = uint16(len(slots)) //nolint:gosec // the window has at most 32768
	if f.wantsCut(at, level) && f.split(at, level, slots) {
		f.shrink(at, level)
		return
	}
	f.empty(at)
	low, high := f.box(at)
	for _, slot := range slots {
		stretch(low, high, f.slot(int(slot)))
	}
	f.seal(at, level, level)
}

// split cuts a node with the points in the given slots, and grows its children. It returns false where the points are all the same.
func (f *Forest) split(at, level int, slots []uint16) bool {
	field, where, ok := f.draw(level, slots)
	if !ok {
		return false
	}
	f.nodes[at] = node{at: where, field: uint16(field)} //nolint:gosec // fewer fields than that
	f.level[at] = uint8(level)                          //nolint:gosec // at most 8
	left := f.part(slots, field, where)
	f.grow(f.first(at), level+1, slots[:left])
	f.grow(f.first(at)+1, level+1, slots[left:])
	return true
}

// part moves the slots whose points go left before the others, and returns their number. Those keep their order; of the others the first moves
// behind each time that one goes left. Without branches, for half of them would be guessed wrong.
func (f *Forest) part(slots []uint16, field int, where float32) (left int) {
	aside := f.aside[:len(slots)]
	for i, slot := range slots {
		goes := 0
		if f.window[int(slot)*f.fields+field] < where {
			goes = 1
		}
		slots[left] = slot
		other := aside[left]
		if goes == 0 {
			other = slot
		}
		aside[i] = other
		left += goes
	}
	copy(slots[left:], aside[left:])
	return left
}

// draw picks a field at random, of those that vary, and a place within its bounds. The bounds are those of as few points as a node of
// this level needs: those of a whole window reach to its outliers, and cuts would fall where nothing is.
func (f *Forest) draw(level int, slots []uint16) (field int, at float32, ok bool) {
	low, high := f.low, f.high
	first := f.slot(int(slots[0]))
	copy(low, first)
	copy(high, first)
	for i := range min(len(slots), f.config.LeafPoints<<level) {
		other := i + int(uniform(f.random)*float64(len(slots)-i))
		slots[i], slots[other] = slots[other], slots[i]
		stretch(low, high, f.slot(int(slots[i])))
	}
	varying := 0
	for i := range low {
		if low[i] < high[i] {
			varying++
		}
	}
	if varying == 0 {
		return 0, 0, false
	}
	for nth := int(uniform(f.random) * float64(varying)); ; field++ {
		if low[field] < high[field] {
			if nth == 0 {
				break
			}
			nth--
		}
	}
	l, h := float64(low[field]), float64(high[field])
	at = float32(l + uniform(f.random)*(h-l))
	if at <= low[field] { // rounded down: nothing would go left
		at = high[field]
	}
	return field, at, true
}

// empty sets a node's bounds to those of no points.
func (f *Forest) empty(at int) {
	low, high := f.box(at)
	for i := range low {
		low[i], high[i] = math.MaxFloat32, -math.MaxFloat32
	}
}

// seal makes a node a leaf, or part of the leaf at a level above it, and has the leftmost node at the bottom stand for it.
func (f *Forest) seal(at, level, leaf int) {
	f.nodes[at] = node{at: uncut}
	f.level[at] = uint8(leaf) //nolint:gosec // at most 8
	if level == f.depth {
		f.nodes[at].limit = loose
		if leaf < f.depth {
			f.nodes[at].limit = uint16(f.config.LeafPoints << leaf) //nolint:gosec // at most 32768, as it may be cut
		}
		return
	}
	left := f.first(at)
	size := 2 * f.fields
	copy(f.bounds[left*size:][:size], f.bounds[at*size:][:size])
	f.count[left], f.count[left+1] = f.count[at], 0
	f.empty(left + 1)
	f.seal(left, level+1, leaf)
	f.seal(left+1, level+1, leaf)
}
