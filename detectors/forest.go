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
	f := &Forest{
		config: *c,
		random: rand.NewPCG(c.Seed, 0),
		window: make([]float32, c.Window*fields),
		trees:  make([]tree, c.Trees),
		point:  make([]float32, fields),
		inside: make([]uint16, c.Window),
		low:    make([]float32, fields),
		high:   make([]float32, fields),
	}
	nodes := 1<<(int(math.Ceil(f.levels(c.Window)))+1) - 1
	for i := range f.trees {
		f.trees[i] = newTree(nodes, fields)
	}
	return f, nil
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
	config ForestConfig
	random *rand.PCG
	n      uint64    // points learned
	window []float32 // the last ones, by n modulo the window
	trees  []tree

	// Scratch, which no result outlives.
	point     []float32 // the point in float32
	inside    []uint16  // slots of the window, those of a node side by side
	low, high []float32 // bounds of a cut
}

// Score returns 2^(-E/c), in (0, 1]: E is the number of cuts, on average over the trees, that set the point apart, and c that for the
// average point.
func (f *Forest) Score(p Point) (score float64, ok bool) {
	if f.n < uint64(f.config.WarmUp) { //nolint:gosec // positive
		return 0, false
	}
	f.take(p)
	sum := 0.0
	for i := range f.trees {
		sum += f.depth(&f.trees[i], nil)
	}
	return math.Exp2(-sum / float64(len(f.trees)) / f.levels(f.size())), true
}

// Bytes implements Detector.
func (f *Forest) Bytes() int {
	bytes := sizeOf[Forest]() + 4*(len(f.window)+len(f.point)+len(f.low)+len(f.high)) + 2*len(f.inside)
	for i := range f.trees {
		t := &f.trees[i]
		bytes += sizeOf[tree]() + 2*len(t.cut) + 4*(len(t.at)+len(t.count)+len(t.bounds)) + len(t.loose)
	}
	return bytes
}

// take fills f.point. Beyond float32 values count as its largest; a hundredth of that leaves room for differences.
func (f *Forest) take(p Point) {
	for i := range f.point {
		f.point[i] = float32(clip(p.X[i], wide))
	}
}

// size is the number of points in the window.
func (f *Forest) size() int { return int(min(f.n, uint64(f.config.Window))) } //nolint:gosec // at most the window

// levels is the depth of a tree over n points, and of the subtree that a leaf with n points stands for: its average path by the paper,
// section 4.1.
func (f *Forest) levels(n int) float64 {
	if n <= f.config.LeafPoints {
		return 0
	}
	return math.Log2(float64(n)/float64(f.config.LeafPoints)) / 2
}

// depth returns the expected number of cuts that set f.point apart in t. With credit it adds to each field what its cuts did for that.
func (f *Forest) depth(t *tree, credit []float64) float64 {
	expected, reached := 0.0, 1.0 // reached: the probability that no cut between point and bounds has come before
	node, levels := 0, 0.0
	for {
		field, outside := t.outside(node, f.point)
		if outside > 0 {
			expected += reached * outside * levels
			if credit != nil {
				credit[field] += reached * outside * float64(1+f.levels(int(t.count[node])))
			}
			reached *= 1 - outside
		}
		if t.cut[node] < 0 {
			return expected + reached*(levels+f.levels(int(t.count[node])))
		}
		next := t.child(node, f.point)
		if credit != nil {
			credit[t.cut[node]] += reached * math.Log2(float64(1+t.count[node])/float64(1+t.count[next])) / 2
		}
		node = next
		levels++
	}
}

// Left implements Detector.
func (f *Forest) Left() int { return left(uint64(f.config.WarmUp), f.n) } //nolint:gosec // positive

// Learn takes p into the window and the trees, and the point that it replaces out of them.
func (f *Forest) Learn(p Point) {
	f.take(p)
	window := uint64(f.config.Window) //nolint:gosec // positive
	slot := f.slot(int(f.n % window)) //nolint:gosec // less than the window
	full := f.n >= window
	f.n++
	if full {
		for i := range f.trees {
			f.trees[i].remove(f, slot)
		}
	}
	copy(slot, f.point)
	for i := range f.trees {
		f.trees[i].add(f)
	}
	if every := max(1, f.config.Window/len(f.trees)); full && f.n%uint64(every) == 0 {
		t := &f.trees[f.n/uint64(every)%uint64(len(f.trees))]
		t.renew(f)
	}
}

// slot is the point in the i-th place of the window.
func (f *Forest) slot(i int) []float32 {
	d := len(f.point)
	return f.window[i*d : i*d+d]
}

// Shares splits the score among the fields: a cut is credited with the halvings that it brought.
func (f *Forest) Shares(p Point, shares []float64) {
	f.take(p)
	clear(shares)
	for i := range f.trees {
		f.depth(&f.trees[i], shares)
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
	for i := range f.trees {
		b = f.trees[i].append(b, 0)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (f *Forest) UnmarshalBinary(b []byte) error {
	r := newReader(b, forestVersion)
	f.n = r.count()
	r.generator(f.random)
	for i := range f.size() * len(f.point) {
		f.window[i] = r.float32(-wide, wide)
	}
	for i := range f.trees {
		if n := f.trees[i].read(r, 0); r.err == nil && n != f.size() {
			r.fail("tree %d has %d points, want %d", i, n, f.size())
		}
	}
	return r.end()
}
