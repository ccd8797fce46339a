package detectors

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// ForestConfig configures a Forest.
type ForestConfig struct {
	Trees      int    `yaml:"trees" jsonschema:"minimum=1,maximum=256,default=32" jsonschema_description:"Trees whose opinions are averaged."`
	Window     int    `yaml:"window" jsonschema:"minimum=64,maximum=32768,default=2048" jsonschema_description:"Points that count: older ones are forgotten."`
	LeafPoints int    `yaml:"leaf_points" jsonschema:"minimum=1,maximum=1024,default=32" jsonschema_description:"Points that a root must hold to be split; twice as many a level deeper."`
	WarmUp     int    `yaml:"warm_up" jsonschema:"minimum=2,maximum=1000000000,default=256" jsonschema_description:"Points learned before the first score; more than leaf_points."`
	Seed       uint64 `yaml:"seed" jsonschema:"default=1" jsonschema_description:"Seed of the random splits."`
}

// New returns a Forest for points of the given number of fields.
func (c *ForestConfig) New(fields int) (Detector, error) {
	var errs []error
	check := func(name string, value, low, high int, want string) {
		if value < low || value > high {
			errs = append(errs, &invalid.Value{Name: name, Value: value, Want: want})
		}
	}
	check("trees", c.Trees, 1, 256, "1 to 256")
	check("window", c.Window, 64, 32768, "64 to 32768")
	check("leaf_points", c.LeafPoints, 1, min(1024, c.Window/2), "1 to 1024, and at most half of window")
	check("warm_up", c.WarmUp, max(2, c.LeafPoints+1), 1e9, "2 to 1000000000, and more than leaf_points")
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &shape{config: *c, fields: fields, levels: make([]float64, c.Window+1)}
	for n := range s.levels {
		s.levels[n] = c.levels(n)
	}
	s.depth = int(math.Ceil(s.levels[c.Window]))
	return s.forest(), nil
}

// levels is the depth of a tree over n points, and of the subtree that a leaf with n points stands for: its average path by the paper,
// section 4.1.
func (c *ForestConfig) levels(n int) float64 {
	if n <= c.LeafPoints {
		return 0
	}
	return math.Log2(float64(n)/float64(c.LeafPoints)) / 2
}

// shape is what forests of one configuration have in common.
type shape struct {
	config ForestConfig
	fields int
	depth  int       // of the trees at most: levels between a root and its farthest nodes
	levels []float64 // by ForestConfig.levels of each number of points
}

// leaf is the depth of the subtree that a leaf stands for. A forged state may have it count more points than the window comes to hold.
func (s *shape) leaf(points uint16) float64 { return s.levels[min(int(points), len(s.levels)-1)] }

// forest returns one that has learned nothing.
func (s *shape) forest() *Forest {
	trees, nodes := s.config.Trees, s.config.Trees*(2<<s.depth-1)
	f := &Forest{
		shape:  s,
		random: rand.NewPCG(s.config.Seed, 0),
		window: make([]float32, s.config.Window*s.fields),
		nodes:  make([]node, nodes), count: make([]uint16, nodes), bounds: make([]float32, nodes*2*s.fields), level: make([]uint8, nodes),
		point: make([]float32, s.fields), memo: newMemo(s.fields), found: make([]uint32, trees), within: make([]bool, trees), left: make([]uint32, trees),
		inside: make([]uint16, s.config.Window), aside: make([]uint16, s.config.Window),
		low: make([]float32, s.fields), high: make([]float32, s.fields),
	}
	for tree := range trees {
		f.empty(tree)
		f.seal(tree, 0, 0)
	}
	return f
}

// Forest scores a point by how few cuts at random set it apart from the last points: an isolation forest over a sliding window.
//
// It suits points of several fields that have no seasons; it is indifferent to their units. A node is cut when it holds enough points for
// its depth, and becomes a leaf again when they have left the window: Leveni, Weigert Cassales, Pfahringer, Bifet, Boracchi (2024),
// "Online Isolation Forest", ICML, algorithms 1 to 4. Three things differ. A node is cut along the window's own points where the paper,
// which keeps none in the trees, draws uniform ones in their stead. The trees take turns to grow anew from the window, all of them once
// a window, so that neither an early cut nor an outlier in a node's bounds stays for ever. And a point outside of a node's bounds is
// set apart there already, with the probability that a cut falls between.
type Forest struct {
	*shape
	random *rand.PCG
	n      uint64    // points learned
	window []float32 // the last ones, by n modulo the window

	// Of each node; see tree.go.
	nodes  []node
	count  []uint16  // points of the window in it
	bounds []float32 // the least value of each field, then the greatest
	level  []uint8   // levels below the root of the leaf that it stands for, or of itself

	// Scratch, which no result outlives.
	point         []float32 // the point in float32
	memo          memo      // of that point
	found         []uint32  // for each tree where it ends
	within        []bool    // that it lies in the bounds there, and so in those of all nodes on its way
	left          []uint32  // the same as found, of the point that leaves the window
	inside, aside []uint16  // slots of the window, those of a node side by side
	low, high     []float32 // bounds of a cut
}

// Another implements Sharer.
func (f *Forest) Another() Detector { return f.forest() }

// Score returns 2^(-E/c), in (0, 1]: E is the number of cuts, on average over the trees, that set the point apart, and c that for the
// average point.
func (f *Forest) Score(p Point) (score float64, ok bool) {
	if f.n < uint64(f.config.WarmUp) { //nolint:gosec // positive
		return 0, false
	}
	f.look(p)
	sum := 0.0
	for tree, end := range f.found {
		if f.within[tree] {
			sum += float64(f.level[end]) + f.leaf(f.count[end])
		} else {
			sum += f.cuts(tree, nil)
		}
	}
	return math.Exp2(-sum / float64(len(f.found)) / f.levels[f.size()]), true
}

// Bytes implements Detector. What it shares is not its own.
func (f *Forest) Bytes() int {
	return sizeOf[Forest]() + 4*(len(f.window)+len(f.bounds)+len(f.point)+len(f.low)+len(f.high)+len(f.found)+len(f.left)) +
		len(f.nodes)*sizeOf[node]() + 2*(len(f.count)+len(f.inside)+len(f.aside)) + len(f.level) + len(f.within) + 8*len(f.point)
}

// look finds where p lies in each tree. Values beyond wide count as that, so that there is room for differences in float32. Minus zero is zero,
// or the order of points would decide which of them is a bound.
func (f *Forest) look(p Point) {
	if f.memo.is(p.X) {
		return
	}
	for i := range f.point {
		f.point[i] = float32(clip(p.X[i], wide)) + 0
	}
	f.find(f.point, f.found)
	for tree, end := range f.found {
		f.within[tree] = f.holds(end, f.point)
	}
}

// size is the number of points in the window.
func (f *Forest) size() int { return int(min(f.n, uint64(f.config.Window))) } //nolint:gosec // at most the window

// cuts returns the expected number of cuts that set f.point apart in a tree. With credit it adds to each field what its cuts did for that.
func (f *Forest) cuts(tree int, credit []float64) float64 {
	expected, reached := 0.0, 1.0 // reached: the probability that no cut between point and bounds has come before
	at, levels := tree, 0.0
	for {
		field, outside := f.outside(at, f.point)
		if outside > 0 {
			expected += reached * outside * levels
			if credit != nil {
				credit[field] += reached * outside * float64(1+f.leaf(f.count[at]))
			}
			reached *= 1 - outside
		}
		n := &f.nodes[at]
		if !n.cut() {
			return expected + reached*(levels+f.leaf(f.count[at]))
		}
		next := f.child(at, f.point)
		if credit != nil {
			credit[n.field] += reached * math.Log2(float64(1+int(f.count[at]))/float64(1+int(f.count[next]))) / 2
		}
		at = next
		levels++
	}
}

// Left implements Detector.
func (f *Forest) Left() int { return left(uint64(f.config.WarmUp), f.n) } //nolint:gosec // positive

// Learn takes p into the window and the trees, and the point that it replaces out of them.
func (f *Forest) Learn(p Point) {
	f.look(p)
	window := uint64(f.config.Window) //nolint:gosec // positive
	slot := f.slot(int(f.n % window)) //nolint:gosec // less than the window
	full := f.n >= window
	f.n++
	if full {
		f.remove(slot)
	}
	copy(slot, f.point)
	f.add()
	if every := max(1, f.config.Window/f.config.Trees); full && f.n%uint64(every) == 0 {
		f.renew(int(f.n / uint64(every) % uint64(f.config.Trees))) //nolint:gosec // one of the trees
	}
	f.memo.forget()
}

// slot is the point in the i-th place of the window.
func (f *Forest) slot(i int) []float32 {
	d := len(f.point)
	return f.window[i*d : i*d+d]
}

// Shares splits the score among the fields: a cut is credited with the halvings that it brought.
func (f *Forest) Shares(p Point, shares []float64) {
	f.look(p)
	clear(shares)
	for tree := range f.found {
		f.cuts(tree, shares)
	}
	normalise(shares)
}

// forestLaw maps scores to decades. There is no theory for a forest's score: the points are quantiles of 38,000 scores of Gaussian noise
// in 5 fields, with the defaults; the last one, for what noise never reaches, is a guess.
var forestLaw = law{{0, 0}, {.30, .3}, {.33, 1}, {.37, 2}, {.41, 3}, {.49, 4}, {1, 12}}

// Decades interpolates in forestLaw.
func (f *Forest) Decades(score float64) float64 { return forestLaw.decades(score) }

// ScoreAt is the inverse of Decades.
func (f *Forest) ScoreAt(decades float64) float64 { return forestLaw.score(decades) }

const forestVersion = 1

// AppendBinary appends version, points learned, the generator, the window and the trees: with 8 fields some 90 KB.
func (f *Forest) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, forestVersion)
	b = appendCount(b, f.n)
	b, err := f.random.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	for _, x := range f.window[:f.size()*len(f.point)] {
		b = appendFloat32(b, x)
	}
	for tree := range f.found {
		b = f.append(b, tree)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (f *Forest) UnmarshalBinary(b []byte) error {
	f.memo.forget()
	r := newReader(b, forestVersion)
	f.n = r.count()
	r.generator(f.random)
	for i := range f.size() * len(f.point) {
		f.window[i] = r.float32(-wide, wide)
	}
	for tree := range f.found {
		if n := f.read(r, tree, 0); r.err == nil && n != f.size() {
			r.fail("tree %d has %d points, want %d", tree, n, f.size())
		}
	}
	return r.end()
}
