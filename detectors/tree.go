package detectors

import (
	"encoding/binary"
	"math"
)

// tree is one tree of a Forest, complete: the children of node i are 2i+1 and 2i+2. So nothing is ever allocated, and no state can
// describe anything but a tree.
type tree struct {
	cut    []int16   // field that a node is cut in, uncut for a leaf
	at     []float32 // where: what is less goes left
	count  []int32   // points of the window in the node
	bounds []float32 // for each node the least value of each field, then the greatest
	loose  []bool    // nodes whose bounds may reach farther than their children's; no part of a state
}

const uncut = -1

func newTree(nodes, fields int) tree {
	t := tree{cut: make([]int16, nodes), at: make([]float32, nodes), count: make([]int32, nodes), bounds: make([]float32, nodes*2*fields), loose: make([]bool, nodes)}
	t.clear(0, fields)
	return t
}

// clear makes a node an empty leaf.
func (t *tree) clear(node, fields int) {
	t.cut[node], t.at[node], t.count[node], t.loose[node] = uncut, 0, 0, false
	low, high := t.box(node, fields)
	for i := range low {
		low[i], high[i] = math.MaxFloat32, -math.MaxFloat32
	}
}

func (t *tree) box(node, fields int) (low, high []float32) {
	b := t.bounds[node*2*fields : (node+1)*2*fields]
	return b[:fields:fields], b[fields:][:fields] // of one length, so that a loop over both checks it once
}

func (t *tree) child(node int, x []float32) int {
	if x[t.cut[node]] < t.at[node] {
		return 2*node + 1
	}
	return 2*node + 2
}

// outside returns the field in which x lies farthest out of a node's bounds, and the probability that a random cut of the bounds
// stretched to x falls between them and x.
func (t *tree) outside(node int, x []float32) (field int, probability float64) {
	if t.count[node] == 0 {
		return 0, 0
	}
	low, high := t.box(node, len(x))
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

// add takes f.point in, and cuts the leaf that it reaches when that holds enough.
func (t *tree) add(f *Forest) {
	node, depth := 0, 0
	for {
		t.count[node]++
		t.stretch(node, f.point)
		if t.cut[node] < 0 {
			break
		}
		node = t.child(node, f.point)
		depth++
	}
	if t.wantsCut(f, node, depth) {
		t.grow(f, node, depth, f.inside[:t.gather(f, node)])
	}
}

func (t *tree) stretch(node int, x []float32) {
	low, high := t.box(node, len(x))
	stretch(low, high, x)
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

// wantsCut says whether a node holds enough points for its depth, and is not as deep already as the window is large.
func (t *tree) wantsCut(f *Forest, node, depth int) bool {
	return int(t.count[node]) >= f.config.LeafPoints<<depth && f.config.LeafPoints<<(2*depth) < f.size() // depth < levels(size)
}

// gather fills f.inside with the slots of the points in a node and returns their number.
func (t *tree) gather(f *Forest, node int) int {
	n := 0
	for slot := range f.size() {
		at := 0
		for at < node && t.cut[at] >= 0 {
			at = t.child(at, f.slot(slot))
		}
		if at == node {
			f.inside[n] = uint16(slot)
			n++
		}
	}
	return n
}

// renew grows the tree anew from the window.
func (t *tree) renew(f *Forest) {
	n := f.size()
	for slot := range n {
		f.inside[slot] = uint16(slot)
	}
	t.settle(f, 0, f.inside[:n])
	t.grow(f, 0, 0, f.inside[:n])
}

// settle makes a node a leaf with the points in the given slots.
func (t *tree) settle(f *Forest, node int, slots []uint16) {
	t.clear(node, len(f.point))
	t.count[node] = int32(len(slots)) //nolint:gosec // the window has at most 32768
	for _, slot := range slots {
		t.stretch(node, f.slot(int(slot)))
	}
}

// grow cuts a leaf, and what comes of it, as long as there are points enough.
func (t *tree) grow(f *Forest, node, depth int, slots []uint16) {
	if !t.wantsCut(f, node, depth) {
		return
	}
	field, at, ok := t.draw(f, depth, slots)
	if !ok {
		return
	}
	t.cut[node], t.at[node], t.loose[node] = int16(field), at, true //nolint:gosec // fewer fields than that
	left := 0
	for i, slot := range slots {
		if f.slot(int(slot))[field] < at {
			slots[left], slots[i] = slots[i], slots[left]
			left++
		}
	}
	t.settle(f, 2*node+1, slots[:left])
	t.settle(f, 2*node+2, slots[left:])
	t.grow(f, 2*node+1, depth+1, slots[:left])
	t.grow(f, 2*node+2, depth+1, slots[left:])
}

// draw picks a field at random, of those that vary, and a place within its bounds. The bounds are those of as few points as a node of
// this depth needs: those of a whole window reach to its outliers, and cuts would fall where nothing is.
func (t *tree) draw(f *Forest, depth int, slots []uint16) (field int, at float32, ok bool) {
	low, high := f.low, f.high
	first := f.slot(int(slots[0]))
	copy(low, first)
	copy(high, first)
	for i := range min(len(slots), f.config.LeafPoints<<depth) {
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

// remove takes x out, and makes a leaf of the first node on its way that no longer holds enough for a cut.
func (t *tree) remove(f *Forest, x []float32) {
	var path [32]int
	node, depth, moved := 0, 0, false // moved: that bounds farther down have
	for {
		path[depth] = node
		t.count[node] = max(t.count[node]-1, 0)
		if t.cut[node] < 0 {
			break
		}
		if int(t.count[node]) < f.config.LeafPoints<<depth {
			t.merge(node, len(x))
			moved = true
			break
		}
		node = t.child(node, x)
		depth++
	}
	for depth--; depth >= 0; depth-- {
		if at := path[depth]; moved || t.loose[at] {
			t.shrink(at, len(x))
			moved = true
		}
	}
}

// shrink brings the bounds of a node to those of its children. There they stay: what is added stretches both alike.
func (t *tree) shrink(node, fields int) {
	low, high := t.box(node, fields)
	lowLeft, highLeft := t.box(2*node+1, fields)
	lowRight, highRight := t.box(2*node+2, fields)
	for i := range low {
		low[i], high[i] = min(lowLeft[i], lowRight[i]), max(highLeft[i], highRight[i])
	}
	t.loose[node] = false
}

// merge makes a leaf of a node.
func (t *tree) merge(node, fields int) {
	if t.cut[node] < 0 {
		return
	}
	for _, child := range [2]int{2*node + 1, 2*node + 2} {
		t.merge(child, fields)
	}
	t.shrink(node, fields)
	t.cut[node], t.at[node] = uncut, 0 // of a leaf nobody asks whether it is loose
}

// append writes the subtree below a node: of each node the count, the bounds and the cut.
func (t *tree) append(b []byte, node int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(t.count[node])) //nolint:gosec // at most 32768
	b = binary.LittleEndian.AppendUint16(b, uint16(t.cut[node]))   //nolint:gosec // the same bits
	low, high := t.box(node, t.fields())
	for i := range low {
		b = appendFloat32(appendFloat32(b, low[i]), high[i])
	}
	if t.cut[node] < 0 {
		return b
	}
	b = appendFloat32(b, t.at[node])
	return t.append(t.append(b, 2*node+1), 2*node+2)
}

func (t *tree) fields() int { return len(t.bounds) / len(t.cut) / 2 }

// read restores the subtree below a node and returns the number of its points.
func (t *tree) read(r *reader, node int) (points int) {
	t.clear(node, t.fields())
	points, cut := int(r.uint16()), int16(r.uint16()) //nolint:gosec // the same bits
	low, high := t.box(node, t.fields())
	for i := range low {
		low[i], high[i] = r.float32(-math.MaxFloat32, math.MaxFloat32), r.float32(-math.MaxFloat32, math.MaxFloat32)
	}
	t.count[node] = int32(points) //nolint:gosec // from 16 bits
	switch {
	case r.err != nil || cut == uncut:
		return points
	case cut < uncut || int(cut) >= t.fields() || 2*node+2 >= len(t.cut):
		r.fail("node %d of %d is cut in field %d of %d", node, len(t.cut), cut, t.fields())
		return 0
	}
	t.cut[node], t.at[node], t.loose[node] = cut, r.float32(-wide, wide), true
	if sum := t.read(r, 2*node+1) + t.read(r, 2*node+2); r.err == nil && sum != points {
		r.fail("a node with %d points has children with %d", points, sum)
	}
	return points
}
