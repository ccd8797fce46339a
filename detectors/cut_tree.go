package detectors

import (
	"encoding/binary"
	"math"
)

// cutTree is one tree of a CutForest, over the points of its sample. Nodes are numbered, and taken from those that are free. The bounds of
// a leaf are its point, twice.
type cutTree struct {
	fields int
	nodes  []cutNode
	bounds []float32 // for each node the least value of each field, then the greatest
	leaf   []uint16  // of each slot of the sample
	free   []uint16  // nodes, the next one last
	root   int16     // none before the first point
}

// cutNode is a node.
type cutNode struct {
	parent, left, right int16 // none where there is none
	field               int16 // that the node is cut in
	at                  float32
	count               uint16 // slots below it; of a leaf, those with its point
}

const none = -1

func newCutTree(sample, fields int) cutTree {
	t := cutTree{
		fields: fields, nodes: make([]cutNode, 2*sample-1), bounds: make([]float32, (2*sample-1)*2*fields),
		leaf: make([]uint16, sample), free: make([]uint16, 0, 2*sample-1),
	}
	t.clear()
	return t
}

func (t *cutTree) clear() {
	t.root = none
	t.free = t.free[:0]
	for i := len(t.nodes) - 1; i >= 0; i-- {
		t.free = append(t.free, uint16(i)) //nolint:gosec // less than 8192
	}
}

func (t *cutTree) box(node int16) (low, high []float32) {
	b := t.bounds[int(node)*2*t.fields:][:2*t.fields]
	return b[:t.fields:t.fields], b[t.fields:]
}

func (n *cutNode) isLeaf() bool { return n.left == none }

// take takes a free node.
func (t *cutTree) take(n cutNode) int16 {
	i := int16(t.free[len(t.free)-1]) //nolint:gosec // less than 8192
	t.free = t.free[:len(t.free)-1]
	t.nodes[i] = n
	return i
}

// overhang returns by how much x lies outside of a node's bounds, and the length of the bounds, both summed over the fields.
func (t *cutTree) overhang(node int16, x []float32) (outside, length float64) {
	low, high := t.box(node)
	for j, v := range x {
		l, h := low[j], high[j]
		length += float64(h) - float64(l)
		if v < l {
			outside += float64(l) - float64(v)
		} else if v > h {
			outside += float64(v) - float64(h)
		}
	}
	return outside, length
}

// score returns the expected inverse depth of the leaf that x would be. At each node the cut that x would bring falls outside of the bounds
// with the probability of its share of the stretched bounds: then x is a leaf one deeper. At its own leaf it counts for less, the
// more points are there. With credit each field gets its part.
func (t *cutTree) score(x []float32, credit []float64) (score float64) {
	reached := 1.0
	node, depth := t.root, 0.0
	for {
		n := &t.nodes[node]
		outside, length := t.overhang(node, x)
		if n.isLeaf() && outside == 0 {
			mass := float64(n.count)
			return score + reached*(1-mass/float64(2*t.nodes[t.root].count))/(depth+math.Log2(mass+1))
		}
		if outside > 0 {
			apart := outside / (outside + length)
			part := reached * apart / (depth + 1)
			score += part
			reached *= 1 - apart
			if credit != nil {
				t.credit(node, x, part/outside, credit)
			}
		}
		if n.isLeaf() {
			return score
		}
		node = n.child(x)
		depth++
	}
}

// credit adds to each field how far x lies outside of a node's bounds in it, times weight.
func (t *cutTree) credit(node int16, x []float32, weight float64, credit []float64) {
	low, high := t.box(node)
	for j, v := range x {
		credit[j] += weight * (math.Max(0, float64(low[j])-float64(v)) + math.Max(0, float64(v)-float64(high[j])))
	}
}

func (n *cutNode) child(x []float32) int16 {
	if x[n.field] < n.at {
		return n.left
	}
	return n.right
}

// insert puts f.point into the slot: on its way down each node's bounds, stretched to it, are cut at random, and where that cut would
// set it apart it becomes a leaf (algorithm 2).
func (t *cutTree) insert(f *CutForest, slot int) {
	x := f.point
	if t.root == none {
		t.root = t.newLeaf(x, none)
		t.leaf[slot] = uint16(t.root) //nolint:gosec // not none
		return
	}
	node := t.root
	for {
		field, at, apart := t.drawCut(f, node, x)
		if apart {
			node = t.split(node, field, at, x)
			break
		}
		n := &t.nodes[node]
		if n.isLeaf() {
			n.count++
			break
		}
		n.count++
		low, high := t.box(node)
		stretch(low, high, x)
		node = n.child(x)
	}
	t.leaf[slot] = uint16(node) //nolint:gosec // not none
}

func (t *cutTree) newLeaf(x []float32, parent int16) int16 {
	leaf := t.take(cutNode{parent: parent, left: none, right: none, count: 1})
	low, high := t.box(leaf)
	copy(low, x)
	copy(high, x)
	return leaf
}

// drawCut draws a cut of a node's bounds stretched to x, and says whether it sets x apart from them.
func (t *cutTree) drawCut(f *CutForest, node int16, x []float32) (field int, at float32, apart bool) {
	outside, length := t.overhang(node, x)
	if outside == 0 {
		return 0, 0, false
	}
	low, high := t.box(node)
	u := uniform(f.random) * (outside + length)
	for j, v := range x {
		l, h := float64(min(low[j], v)), float64(max(high[j], v))
		if u >= h-l && field < len(x)-1 {
			u -= h - l
			field++
			continue
		}
		at = float32(min(l+u, h))
		if at <= float32(l) { // nothing would go left
			at = math.Nextafter32(float32(l), math.MaxFloat32)
		}
		break
	}
	// What is less goes left: x is apart where it is on one side of the cut and all the bounds on the other.
	v := x[field]
	return field, at, v < at && at <= low[field] || v >= at && high[field] < at
}

// split puts a new node in the place of one, whose children are that and a leaf with x, and returns the leaf.
func (t *cutTree) split(node int16, field int, at float32, x []float32) int16 {
	old := t.nodes[node]
	parent := t.take(cutNode{parent: old.parent, field: int16(field), at: at, count: old.count + 1}) //nolint:gosec // fewer fields than that
	leaf := t.newLeaf(x, parent)
	p := &t.nodes[parent]
	if p.left, p.right = node, leaf; x[field] < at {
		p.left, p.right = leaf, node
	}
	t.nodes[node].parent = parent
	t.adopt(old.parent, node, parent)
	low, high := t.box(node)
	newLow, newHigh := t.box(parent)
	copy(newLow, low)
	copy(newHigh, high)
	stretch(newLow, newHigh, x)
	return leaf
}

// adopt puts a node in the place of another below a parent, or at the root.
func (t *cutTree) adopt(parent, old, node int16) {
	switch {
	case parent == none:
		t.root = node
	case t.nodes[parent].left == old:
		t.nodes[parent].left = node
	default:
		t.nodes[parent].right = node
	}
	t.nodes[node].parent = parent
}

// remove takes the point of a slot out: its sibling takes the place of their parent, and the bounds above shrink (algorithm 1).
func (t *cutTree) remove(slot int) {
	leaf := int16(t.leaf[slot]) //nolint:gosec // less than 8192
	if t.nodes[leaf].count > 1 {
		for node := leaf; node != none; node = t.nodes[node].parent {
			t.nodes[node].count--
		}
		return
	}
	parent := t.nodes[leaf].parent
	t.free = append(t.free, uint16(leaf)) //nolint:gosec // not none
	if parent == none {
		t.root = none
		return
	}
	p := t.nodes[parent]
	sibling := p.left
	if sibling == leaf {
		sibling = p.right
	}
	t.adopt(p.parent, parent, sibling)
	t.free = append(t.free, uint16(parent)) //nolint:gosec // not none
	for node := p.parent; node != none; node = t.nodes[node].parent {
		t.nodes[node].count--
		t.enclose(node)
	}
}

// enclose sets a node's bounds to those of its children.
func (t *cutTree) enclose(node int16) {
	low, high := t.box(node)
	lowLeft, highLeft := t.box(t.nodes[node].left)
	lowRight, highRight := t.box(t.nodes[node].right)
	for j := range low {
		low[j], high[j] = min(lowLeft[j], lowRight[j]), max(highLeft[j], highRight[j])
	}
}

// append writes the tree from the root down, cuts and points, as bounds follow from those; then for each slot which of the leaves, in
// that order, it is in. Nodes are renumbered when read.
func (t *cutTree) append(b []byte, size int) []byte {
	if size == 0 {
		return b
	}
	order := make([]uint16, len(t.nodes))
	leaves := uint16(0)
	b = t.appendNode(b, t.root, order, &leaves)
	for _, leaf := range t.leaf[:size] {
		b = binary.LittleEndian.AppendUint16(b, order[leaf])
	}
	return b
}

// leafMark stands where a node has its field.
const leafMark = math.MaxUint16

func (t *cutTree) appendNode(b []byte, node int16, order []uint16, leaves *uint16) []byte {
	n := &t.nodes[node]
	if !n.isLeaf() {
		b = binary.LittleEndian.AppendUint16(b, uint16(n.field)) //nolint:gosec // positive
		b = appendFloat32(b, n.at)
		return t.appendNode(t.appendNode(b, n.left, order, leaves), n.right, order, leaves)
	}
	order[node] = *leaves
	*leaves++
	b = binary.LittleEndian.AppendUint16(b, leafMark)
	low, _ := t.box(node)
	for _, x := range low {
		b = appendFloat32(b, x)
	}
	return b
}

func (t *cutTree) read(r *reader, size int) {
	t.clear()
	if size == 0 {
		return
	}
	leaves := make([]int16, 0, len(t.leaf))
	t.root = t.readNode(r, none, &leaves)
	for slot := range size {
		of := int(r.uint16())
		if r.err == nil && of >= len(leaves) {
			r.fail("a point in leaf %d of %d", of, len(leaves))
		}
		if r.err != nil {
			return
		}
		t.leaf[slot] = uint16(leaves[of]) //nolint:gosec // not none
		t.nodes[leaves[of]].count++
	}
	if t.recount(t.root) == 0 {
		r.fail("a leaf without a point")
	}
}

// readNode reads a node, and adds it to the leaves if it is one.
func (t *cutTree) readNode(r *reader, parent int16, leaves *[]int16) int16 {
	field := r.uint16()
	if len(t.free) == 0 {
		r.fail("a tree of more than %d nodes", len(t.nodes))
	}
	if field != leafMark && int(field) >= t.fields {
		r.fail("a node is cut in field %d of %d", field, t.fields)
	}
	if r.err != nil {
		return 0
	}
	node := t.take(cutNode{parent: parent, left: none, right: none})
	if field == leafMark {
		*leaves = append(*leaves, node)
		low, high := t.box(node)
		for j := range low {
			low[j] = r.float32(-wide, wide)
			high[j] = low[j]
		}
		return node
	}
	at := r.float32(-wide, wide)
	left := t.readNode(r, node, leaves)
	right := t.readNode(r, node, leaves)
	if r.err != nil {
		return 0
	}
	n := &t.nodes[node]
	n.left, n.right, n.field, n.at = left, right, int16(field), at //nolint:gosec // less than 32768
	t.enclose(node)
	return node
}

// recount sets the counts of the nodes from those of the leaves, and returns 0 if one of these is 0.
func (t *cutTree) recount(node int16) uint16 {
	n := &t.nodes[node]
	if !n.isLeaf() {
		left, right := t.recount(n.left), t.recount(n.right)
		if n.count = left + right; left == 0 || right == 0 {
			n.count = 0
		}
	}
	return n.count
}
