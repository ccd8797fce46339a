package detectors

import "math/rand/v2"

// halvings are the trees, all complete and side by side, without the points in them. They follow from configuration and seed alone,
// so that all detectors of one stream share them: in a processor's cache there is room for one copy, and not for one a series.
type halvings struct {
	config HalfSpaceTreesConfig
	fields int
	levels [][]halving // the roots, then their children, and so on: those of node i are 2i and 2i+1 of the next level, or leaves
}

// halving is a node with children.
type halving struct {
	at    float32 // what is less goes left; in units of the field's range
	field uint32
}

func newHalvings(config HalfSpaceTreesConfig, fields int) *halvings {
	random := rand.NewPCG(config.Seed, 0)
	h := &halvings{config: config, fields: fields, levels: make([][]halving, config.Depth)}
	for level := range h.levels {
		h.levels[level] = make([]halving, config.Trees<<level)
	}
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
	h.halve(0, tree, low, high, random)
}

func (h *halvings) halve(level, node int, low, high []float64, random *rand.PCG) {
	if level == len(h.levels) {
		return
	}
	field := int(random.Uint64() % uint64(len(low))) //nolint:gosec // less than the fields
	l, r := low[field], high[field]
	middle := (l + r) / 2
	h.levels[level][node] = halving{at: float32(middle), field: uint32(field)} //nolint:gosec // fewer fields than that
	high[field] = middle
	h.halve(level+1, 2*node, low, high, random)
	low[field], high[field] = middle, r
	h.halve(level+1, 2*node+1, low, high, random)
	low[field] = l
}

// find sets found to the leaf of a point in each tree. It goes down all of them at once, a level at a time, and without branches: so the
// processor waits neither for the node above nor for a turn that it has guessed wrong, which takes less than half the time of one tree after the other.
func (h *halvings) find(unit []float32, found []uint32) {
	for i := range found {
		found[i] = uint32(i)
	}
	for _, nodes := range h.levels {
		for i, node := range found {
			n := &nodes[node]
			right := uint32(0)
			if unit[n.field] >= n.at {
				right = 1
			}
			found[i] = 2*node + right
		}
	}
}

// enough is the number of points below which a space is not looked into: a tenth of a window, as in the paper, section 4.
func (h *halvings) enough() int { return h.config.Window / 10 }
