package detectors

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// HalfSpaceTreesConfig configures HalfSpaceTrees.
type HalfSpaceTreesConfig struct {
	Trees  int    `yaml:"trees" jsonschema:"minimum=1,maximum=256,default=25" jsonschema_description:"Trees whose opinions are added up."`
	Depth  int    `yaml:"depth" jsonschema:"minimum=1,maximum=15,default=8" jsonschema_description:"Halvings from a root to its leaves."`
	Window int    `yaml:"window" jsonschema:"minimum=16,maximum=65535,default=250" jsonschema_description:"Points that are counted, and then are what the next as many are held against."`
	Seed   uint64 `yaml:"seed" jsonschema:"default=1" jsonschema_description:"Seed of the random halvings."`
}

// New returns HalfSpaceTrees for points of the given number of fields.
func (c *HalfSpaceTreesConfig) New(fields int) (Detector, error) {
	var errs []error
	check := func(name string, value, low, high int, want string) {
		if value < low || value > high {
			errs = append(errs, &invalid.Value{Name: name, Value: value, Want: want})
		}
	}
	check("trees", c.Trees, 1, 256, "1 to 256")
	check("depth", c.Depth, 1, 15, "1 to 15")
	check("window", c.Window, 16, math.MaxUint16, "16 to 65535")
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	d := &HalfSpaceTrees{
		config: *c, low: make([]float64, fields), high: make([]float64, fields), trees: make([]halfSpaces, c.Trees),
		unit: make([]float32, fields), memo: newMemo(fields),
	}
	random := rand.NewPCG(c.Seed, 0)
	for i := range d.trees {
		d.trees[i] = newHalfSpaces(c.Depth, fields, random)
	}
	return d, nil
}

// HalfSpaceTrees scores a point by how few points of the last full window lie where it does, in trees that halve the space at random
// and without looking at the points.
//
// It is the cheapest of the detectors for points of several fields, and the coarsest. Tan, Ting, Liu (2011), "Fast Anomaly Detection for Streaming
// Data", IJCAI, algorithms 1 to 3. They take the fields' ranges for known; here a point is placed by the ranges so far, which its own
// values stretch when it is learned.
type HalfSpaceTrees struct {
	config    HalfSpaceTreesConfig
	n         uint64    // points learned
	low, high []float64 // of each field so far
	trees     []halfSpaces

	// Scratch.
	unit []float32 // the point, with each field's range as the unit
	memo memo      // of the point whose leaves the trees know
}

// halfSpaces is one tree, complete: the children of node i are 2i+1 and 2i+2.
type halfSpaces struct {
	nodes  []halfSpace
	latest []uint16 // points of this window in each leaf
	leaf   int      // scratch: index among the leaves of the point in question
}

// halfSpace is a node.
type halfSpace struct {
	at    float32 // what is less goes left; in units of the field's range
	field uint16
	mass  uint16 // points of the last full window
}

// newHalfSpaces draws a tree: each field's work space reaches from a random place in its range to twice the greater distance to an end of that
// on either side, and is halved again and again.
func newHalfSpaces(depth, fields int, random *rand.PCG) halfSpaces {
	t := halfSpaces{nodes: make([]halfSpace, 1<<(depth+1)-1), latest: make([]uint16, 1<<depth)}
	low, high := make([]float64, fields), make([]float64, fields)
	for j := range low {
		place := uniform(random)
		reach := 2 * max(place, 1-place)
		low[j], high[j] = place-reach, place+reach
	}
	t.halve(0, low, high, random)
	return t
}

func (t *halfSpaces) halve(node int, low, high []float64, random *rand.PCG) {
	if 2*node+2 >= len(t.nodes) {
		return
	}
	field := int(random.Uint64() % uint64(len(low))) //nolint:gosec // less than the fields
	l, h := low[field], high[field]
	middle := (l + h) / 2
	t.nodes[node] = halfSpace{at: float32(middle), field: uint16(field)} //nolint:gosec // fewer fields than that
	high[field] = middle
	t.halve(2*node+1, low, high, random)
	low[field], high[field] = middle, h
	t.halve(2*node+2, low, high, random)
	low[field] = l
}

// find walks to the leaf of a point.
func (t *halfSpaces) find(unit []float32) {
	node := 0
	for node < len(t.latest)-1 {
		n := &t.nodes[node]
		right := 0
		if unit[n.field] >= n.at {
			right = 1
		}
		node = 2*node + 1 + right
	}
	t.leaf = node - (len(t.latest) - 1)
}

// mass is the number of reference points in the first node on the way to the leaf that holds less than enough, or else in the leaf, times
// the number of nodes of that size that fill the space.
func (t *halfSpaces) mass(enough uint16) int {
	depth := bits.Len(uint(len(t.latest))) - 1
	node := t.leaf + len(t.latest) // counting from one, the turns are the bits below the first
	for level := range depth {
		if mass := t.nodes[node>>(depth-level)-1].mass; mass < enough {
			return int(mass) << level
		}
	}
	return int(t.nodes[node-1].mass) << depth
}

// turn makes the latest points the reference.
func (t *halfSpaces) turn() {
	first := len(t.latest) - 1
	for i, mass := range t.latest {
		t.nodes[first+i].mass = mass
	}
	clear(t.latest)
	for i := first - 1; i >= 0; i-- {
		t.nodes[i].mass = t.nodes[2*i+1].mass + t.nodes[2*i+2].mass
	}
}

// Score returns log2 of how many times more points there would be if all lay with this one in the smallest space: 0 to
// depth + log2(2·trees·window).
func (d *HalfSpaceTrees) Score(p Point) (score float64, ok bool) {
	if d.n < uint64(d.config.Window) { //nolint:gosec // positive
		return 0, false
	}
	d.look(p)
	sum := 0
	for i := range d.trees {
		sum += d.trees[i].mass(d.enough())
	}
	most := d.config.Trees * d.config.Window << d.config.Depth
	return math.Log2((float64(most) + 0.5) / (float64(sum) + 0.5)), true
}

// enough is the number of points below which a space is not looked into: a tenth of a window, as in the paper, section 4.
func (d *HalfSpaceTrees) enough() uint16 { return uint16(d.config.Window / 10) } //nolint:gosec // at most 6553

// look finds p's leaves.
func (d *HalfSpaceTrees) look(p Point) {
	if d.memo.is(p.X) {
		return
	}
	for j, x := range p.X {
		d.unit[j] = 0
		if x, length := clip(x, huge), d.high[j]-d.low[j]; length > 0 {
			d.unit[j] = float32(clip((x-d.low[j])/length, wide))
		}
	}
	for i := range d.trees {
		d.trees[i].find(d.unit)
	}
}

// Left implements Detector.
func (d *HalfSpaceTrees) Left() int { return left(uint64(d.config.Window), d.n) } //nolint:gosec // positive

// Learn counts p, where the ranges place it that it has stretched.
func (d *HalfSpaceTrees) Learn(p Point) {
	for j, x := range p.X {
		x = clip(x, huge)
		if d.n == 0 {
			d.low[j], d.high[j] = x, x
		}
		if x < d.low[j] || x > d.high[j] {
			d.low[j], d.high[j] = min(d.low[j], x), max(d.high[j], x)
			d.memo.forget()
		}
	}
	d.look(p)
	d.memo.forget() // the next point may end the window
	for i := range d.trees {
		t := &d.trees[i]
		t.latest[t.leaf]++
	}
	d.n++
	if d.n%uint64(d.config.Window) == 0 { //nolint:gosec // positive
		for i := range d.trees {
			d.trees[i].turn()
		}
	}
}

// Bytes implements Detector.
func (d *HalfSpaceTrees) Bytes() int {
	t := &d.trees[0]
	tree := sizeOf[halfSpaces]() + len(t.nodes)*sizeOf[halfSpace]() + 2*len(t.latest)
	return sizeOf[HalfSpaceTrees]() + len(d.trees)*tree + len(d.unit)*(4+3*8)
}

// Shares credits each field with the halvings on the ways to the leaves: a turn counts by how many times fewer reference points
// there are than half, in halvings.
func (d *HalfSpaceTrees) Shares(p Point, shares []float64) {
	clear(shares)
	d.look(p)
	for i := range d.trees {
		t := &d.trees[i]
		for node := t.leaf + len(t.latest); node > 1; node /= 2 {
			parent := &t.nodes[node/2-1]
			if parent.mass < d.enough() {
				continue
			}
			shares[parent.field] += max(0, math.Log2(float64(1+parent.mass)/float64(1+t.nodes[node-1].mass))-1)
		}
	}
	normalise(shares)
}

// halfSpaceTreesLaw has the quantiles of 37,500 scores of Gaussian noise in 5 fields, with the defaults; the last one, for what noise never
// reaches, is a guess.
var halfSpaceTreesLaw = law{{0, 0}, {1.80, .3}, {2.46, 1}, {3.20, 2}, {3.97, 3}, {5.43, 4}, {22, 12}}

// Decades interpolates in the table of quantiles.
func (d *HalfSpaceTrees) Decades(score float64) float64 { return halfSpaceTreesLaw.decades(score) }

// ScoreAt is the inverse of Decades.
func (d *HalfSpaceTrees) ScoreAt(decades float64) float64 { return halfSpaceTreesLaw.score(decades) }

const halfSpaceTreesVersion = 1

// AppendBinary appends version, points learned, the ranges and of each leaf the points of both windows: with the defaults 10 KB. The
// trees themselves follow from the seed.
func (d *HalfSpaceTrees) AppendBinary(b []byte) ([]byte, error) {
	b = appendCount(append(b, halfSpaceTreesVersion), d.n)
	for j := range d.low {
		b = appendFloat64(appendFloat64(b, d.low[j]), d.high[j])
	}
	for i := range d.trees {
		t := &d.trees[i]
		for leaf, latest := range t.latest {
			b = binary.LittleEndian.AppendUint16(b, latest)
			b = binary.LittleEndian.AppendUint16(b, t.nodes[len(t.latest)-1+leaf].mass)
		}
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *HalfSpaceTrees) UnmarshalBinary(b []byte) error {
	d.memo.forget()
	r := newReader(b, halfSpaceTreesVersion)
	d.n = r.count()
	for j := range d.low {
		d.low[j] = r.float64(-huge, huge)
		d.high[j] = r.float64(d.low[j], huge)
	}
	window := uint64(d.config.Window) //nolint:gosec // positive
	reference := uint64(0)
	if d.n >= window {
		reference = window
	}
	counted := func(what string, got int, want uint64) {
		if uint64(got) != want { //nolint:gosec // a sum of counts
			r.fail("a tree counts %d points of %s window, want %d", got, what, want)
		}
	}
	for i := range d.trees {
		t := &d.trees[i]
		latest := make([]uint16, len(t.latest))
		now, before := 0, 0
		for leaf := range t.latest {
			latest[leaf], t.latest[leaf] = r.uint16(), r.uint16()
			now, before = now+int(latest[leaf]), before+int(t.latest[leaf])
		}
		counted("this", now, d.n%window)
		counted("the last", before, reference)
		t.turn()
		copy(t.latest, latest)
	}
	return r.end()
}
