package detectors

import (
	"math"
	"math/rand/v2"
)

// halvings are the trees, all complete and side by side, without the points in them. They follow from configuration and seed alone,
// so that all detectors of one stream share them: in a processor's cache there is room for one copy, and not for one a series.
type halvings struct {
	config HalfSpaceTreesConfig
	fields int
	nodes  []halving // node i is the root of tree i, and the children of node i are nodes 2i+trees and 2i+trees+1, or leaves
}

// halving is a node with children: the place of its cut, in units of the field's range, and below that the field. So a turn is one look at
// memory, one subtraction and a sign.
type halving int64

const fieldBits = 24 // of a halving

func newHalving(field int, at float32) halving { return halving(place(at)<<fieldBits | int64(field)) }

func (n halving) field() int { return int(n & (1<<fieldBits - 1)) }

// place is a whole number of 32 bits, the greater the greater x is. Minus zero is zero.
func place(x float32) int64 {
	b := int32(math.Float32bits(x + 0)) //nolint:gosec // the bits as they are
	return int64(b ^ b>>31&math.MaxInt32)
}

// below is subtracted from a cut: the difference is less than 0 where x does not lie below the cut, whatever its field.
func below(x float32) halving { return halving(place(x)<<fieldBits | (1<<fieldBits - 1)) }

func newHalvings(config HalfSpaceTreesConfig, fields int) *halvings {
	random := rand.NewPCG(config.Seed, 0)
	h := &halvings{config: config, fields: fields, nodes: make([]halving, config.Trees*(1<<config.Depth-1))}
	for i := range config.Trees {
		h.draw(i, random)
	}
	return h
}

// draw draws a tree: each field's work space reaches from a random place in its range to twice the greater distance to an end of that
// on either side, and is halved again and again.
func (h *halvings) draw(tree int, random *rand.PCG) {
	low, high := make([]float64, h.fields), make([]float64, h.fields)
	for j := range low {
		place := uniform(random)
		reach := 2 * max(place, 1-place)
		low[j], high[j] = place-reach, place+reach
	}
	h.halve(tree, low, high, random)
}

func (h *halvings) halve(node int, low, high []float64, random *rand.PCG) {
	if node >= len(h.nodes) {
		return
	}
	field := int(random.Uint64() % uint64(len(low))) //nolint:gosec // less than the fields
	l, r := low[field], high[field]
	middle := (l + r) / 2
	h.nodes[node] = newHalving(field, float32(middle))
	left := 2*node + h.config.Trees
	high[field] = middle
	h.halve(left, low, high, random)
	low[field], high[field] = middle, r
	h.halve(left+1, low, high, random)
	low[field] = l
}

// find sets found to the leaf of a point in each tree, where x holds below of the point's values. It goes down five trees at once, for so many are
// at hand in registers, and without branches: so the processor waits neither for the node above nor for a turn that it has guessed wrong.
func (h *halvings) find(x []halving, found []uint32) {
	nodes, trees := h.nodes, uint32(len(found)) //nolint:gosec // at most 256
	leaves := uint32(len(nodes))                //nolint:gosec // at most 256 << 15
	i := 0
	for ; i+5 <= len(found); i += 5 {
		tree := uint32(i)
		a, b, c, d, e := tree, tree+1, tree+2, tree+3, tree+4
		for range h.config.Depth {
			a = 2*a + trees + nodes[a].turn(x)
			b = 2*b + trees + nodes[b].turn(x)
			c = 2*c + trees + nodes[c].turn(x)
			d = 2*d + trees + nodes[d].turn(x)
			e = 2*e + trees + nodes[e].turn(x)
		}
		five := found[i : i+5]
		five[0], five[1], five[2], five[3], five[4] = a-leaves, b-leaves, c-leaves, d-leaves, e-leaves
	}
	for ; i < len(found); i++ {
		at := uint32(i)
		for range h.config.Depth {
			at = 2*at + trees + nodes[at].turn(x)
		}
		found[i] = at - leaves
	}
}

// turn is 1 where the point is to go right, and 0 where it lies below the cut.
func (n halving) turn(x []halving) uint32 { return uint32(uint64(n-x[n.field()]) >> 63) } //nolint:gosec // the sign

// fieldAbove is the field of the halving that makes the node so many levels above a leaf one of two.
func (h *halvings) fieldAbove(leaf, up int) int {
	level := h.config.Depth - 1 - up
	return h.nodes[h.config.Trees*(1<<level-1)+leaf>>(up+1)].field()
}

// enough is the number of points below which a space is not looked into: a tenth of a window, as in the paper, section 4.
func (h *halvings) enough() int { return h.config.Window / 10 }
