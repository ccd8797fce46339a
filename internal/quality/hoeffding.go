package quality

import (
	"math"
	"slices"
)

// hoeffdingTree is the online classifier whose errors the drift monitors watch: the very fast decision tree of Domingos & Hulten (2000), "Mining
// High-Speed Data Streams", KDD, for two classes and numeric attributes, each seen as one Gaussian a class (Pfahringer, Holmes &
// Kirkby 2008, "Handling Numeric Attributes in Hoeffding Trees", PAKDD), with leaves that vote by majority or naive Bayes, whichever was
// right more often there (Gama, Rocha & Medas 2003, "Accurate Decision Trees for Mining High-Speed Data Streams", KDD). The settings are
// those that such trees have by default elsewhere.
type hoeffdingTree struct {
	attribute   int // of a split
	at          float64
	left, right *hoeffdingTree // nil in a leaf

	n          [2]float64 // weight of each class
	seen       [][2]gaussian
	grown      float64 // weight when a split was last tried
	byMajority float64 // right answers
	byBayes    float64
}

const (
	gracePeriod     = 200  // rows between two tries to split a leaf
	splitConfidence = 1e-7 // probability that the attribute which looks best is not
	tieThreshold    = 0.05 // bits: where chance is no more than that, any of the best will do
	splitPoints     = 10   // of an attribute that are tried
)

// gaussian sums up the values of an attribute in a class (Welford 1962).
type gaussian struct{ n, mean, square, least, most float64 }

func (g *gaussian) add(x float64) {
	if g.n == 0 {
		g.least, g.most = x, x
	}
	g.least, g.most = min(g.least, x), max(g.most, x)
	g.n++
	d := x - g.mean
	g.mean += d / g.n
	g.square += d * (x - g.mean)
}

func (g *gaussian) deviation() float64 {
	if g.n < 2 {
		return 0
	}
	return math.Sqrt(g.square / (g.n - 1))
}

// logDensity is that of x.
func (g *gaussian) logDensity(x float64) float64 {
	d := g.deviation()
	if g.n == 0 || d == 0 {
		if g.n > 0 && x == g.mean {
			return 0
		}
		return -700 // a density that is hardly one
	}
	z := (x - g.mean) / d
	return -z*z/2 - math.Log(d*math.Sqrt(2*math.Pi))
}

// share is that of the weight at or below x.
func (g *gaussian) share(x float64) float64 {
	d := g.deviation()
	switch {
	case g.n == 0 || x < g.least:
		return 0
	case x >= g.most:
		return 1
	case d == 0:
		return 0.5
	}
	return below((x - g.mean) / d)
}

func newHoeffdingTree(attributes int) *hoeffdingTree {
	return &hoeffdingTree{seen: make([][2]gaussian, attributes)}
}

func (t *hoeffdingTree) leaf(x []float64) *hoeffdingTree {
	for t.left != nil {
		if x[t.attribute] <= t.at {
			t = t.left
		} else {
			t = t.right
		}
	}
	return t
}

// predict returns the class of x, 0 or 1.
func (t *hoeffdingTree) predict(x []float64) int {
	l := t.leaf(x)
	if l.byBayes > l.byMajority {
		return l.bayes(x)
	}
	return l.majority()
}

func (t *hoeffdingTree) majority() int {
	if t.n[1] > t.n[0] {
		return 1
	}
	return 0
}

func (t *hoeffdingTree) bayes(x []float64) int {
	odds := math.Log((t.n[1] + 1e-9) / (t.n[0] + 1e-9))
	for i := range t.seen {
		odds += t.seen[i][1].logDensity(x[i]) - t.seen[i][0].logDensity(x[i])
	}
	if odds > 0 {
		return 1
	}
	return 0
}

// learn takes x of class y in.
func (t *hoeffdingTree) learn(x []float64, y int) {
	l := t.leaf(x)
	if l.majority() == y {
		l.byMajority++
	}
	if l.bayes(x) == y {
		l.byBayes++
	}
	l.n[y]++
	for i := range l.seen {
		l.seen[i][y].add(x[i])
	}
	if n := l.n[0] + l.n[1]; n-l.grown >= gracePeriod {
		l.grown = n
		if l.n[0] > 0 && l.n[1] > 0 {
			l.split(n)
		}
	}
}

// candidate is a way to split a leaf: at a value of an attribute, with the weight of each class on either side.
type candidate struct {
	gain      float64 // of information, in bits
	attribute int
	at        float64
	sides     [2][2]float64
}

// split splits a leaf where the best attribute is better than the next, and than no split, by more than chance.
func (t *hoeffdingTree) split(n float64) {
	var best, second candidate
	for i := range t.seen {
		switch own := t.best(i); {
		case own.gain > best.gain:
			best, second = own, best
		case own.gain > second.gain:
			second = own
		}
	}
	bound := math.Sqrt(-math.Log(splitConfidence) / (2 * n)) // Hoeffding's, of a gain in [0, 1]
	if best.gain == 0 || best.gain-second.gain <= bound && bound >= tieThreshold {
		return
	}
	child := func(n [2]float64) *hoeffdingTree {
		c := newHoeffdingTree(len(t.seen))
		c.n, c.grown = n, weight(n)
		return c
	}
	*t = hoeffdingTree{attribute: best.attribute, at: best.at, left: child(best.sides[0]), right: child(best.sides[1])}
}

// best is the split of an attribute that gains most, of some that are as far from one another; its gain is 0 where none gains.
func (t *hoeffdingTree) best(attribute int) (best candidate) {
	s := &t.seen[attribute]
	least, most := min(s[0].least, s[1].least), max(s[0].most, s[1].most)
	for k := 1; k <= splitPoints; k++ {
		c := candidate{attribute: attribute, at: least + (most-least)*float64(k)/(splitPoints+1)}
		for class := range s {
			c.sides[0][class] = t.n[class] * s[class].share(c.at)
			c.sides[1][class] = t.n[class] - c.sides[0][class]
		}
		c.gain = entropy(t.n) - (weight(c.sides[0])*entropy(c.sides[0])+weight(c.sides[1])*entropy(c.sides[1]))/weight(t.n)
		if c.gain > best.gain {
			best = c
		}
	}
	return best
}

func weight(n [2]float64) float64 { return n[0] + n[1] }

// entropy is in bits.
func entropy(n [2]float64) float64 {
	sum := 0.0
	for _, v := range n {
		if v > 0 {
			p := v / weight(n)
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// clone is a tree that goes its own way.
func (t *hoeffdingTree) clone() *hoeffdingTree {
	c := *t
	c.seen = slices.Clone(t.seen)
	if t.left != nil {
		c.left, c.right = t.left.clone(), t.right.clone()
	}
	return &c
}
