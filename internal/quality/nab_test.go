package quality

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// A file of 40 rows, of which the first 6 are on probation, with windows of ten rows and of five.
func nabExample(name string) *nabFile {
	f := &nabFile{name: name, x: make([]float64, 40), muted: make([]bool, 40), windows: [][2]int{{10, 19}, {30, 34}}}
	for i := range f.x {
		f.at = append(f.at, int64(i))
	}
	return f
}

// alerts scores 1 at the rows given, 0 elsewhere.
func alerts(rows ...int) []float64 {
	s := make([]float64, 40)
	for _, row := range rows {
		s[row] = 1
	}
	return s
}

func TestNABWeights(t *testing.T) {
	sigmoid := func(x float64) float64 { return 2/(1+math.Exp(5*x)) - 1 }
	ws := nabExample("a/b.csv").weights()
	for row, want := range map[int]nabWeight{
		9:  {-1, -1},                        // before all windows
		10: {1, 0},                          // as early as can be: sigmoid(-10/10) / sigmoid(-1)
		15: {sigmoid(-.5) / sigmoid(-1), 0}, // five rows of ten are left, its own among them
		19: {sigmoid(-.1) / sigmoid(-1), 0}, // the last: 0.2449/0.9866
		20: {sigmoid(1. / 9), -1},           // one behind, of a width less one
		29: {sigmoid(10. / 9), -1},          //
		30: {1, 1},                          //
		34: {sigmoid(-.2) / sigmoid(-1), 1}, //
		36: {sigmoid(2. / 4), -1},           // the second window is five wide
		39: {2/(1+math.Exp(6.25)) - 1, -1},  // 5/4 of a width behind
	} {
		if got := ws[row]; got.window != want.window || math.Abs(got.weight-want.weight) > 1e-12 {
			t.Errorf("row %d: %+v, want %+v", row, got, want)
		}
	}
	if got := nabSigmoid(3.1); got != -1 {
		t.Errorf("far behind a window: %v, want -1", got)
	}
}

// Both windows caught at their first rows are 100, no alert is 0, and of several alerts in one window the best counts. At row 15 an alert is
// worth 0.8483/0.9866 = 0.8598; a false one before all windows costs 0.11, 0.22 for few false alarms.
// A missed window costs 1, 2 for few misses.
func TestNABScores(t *testing.T) {
	at15 := (2/(1+math.Exp(-2.5)) - 1) / (2/(1+math.Exp(-5)) - 1)
	for _, c := range []struct {
		rows []int
		want [3]float64
	}{
		{nil, [3]float64{0, 0, 0}},
		{[]int{5, 10, 30}, [3]float64{100, 100, 100}}, // row 5 is on probation
		{[]int{10, 11, 19, 30, 34}, [3]float64{100, 100, 100}},
		{[]int{15}, [3]float64{100 * (at15 + 1) / 4, 100 * (at15 + 1) / 4, 100 * (at15 + 2) / 6}}, // raw at15 - 1, of -2 to 2; at15 - 2, of -4 to 2
		{[]int{8, 15}, [3]float64{100 * (at15 + .89) / 4, 100 * (at15 + .78) / 4, 100 * (at15 + 1.89) / 6}},
		{[]int{8, 9}, [3]float64{-5.5, -11, -22. / 6}}, // -0.22 of 4, -0.44 of 4, -0.22 of 6
	} {
		b := newNABBoard([]*nabFile{nabExample("a/b.csv")}, [][]float64{alerts(c.rows...)})
		for i, p := range nabProfiles {
			if got := b.at(p, nabLimit, every); math.Abs(got-c.want[i]) > 1e-9 {
				t.Errorf("alerts at %v, %s: %v, want %v", c.rows, p.name, got, c.want[i])
			}
		}
	}
}

// The threshold is the one with the highest sum: 0.8 catches both windows, 0.6 adds a false alarm, 0.9 leaves a window out.
func TestNABThreshold(t *testing.T) {
	scores := make([]float64, 40)
	scores[10], scores[30], scores[8] = .9, .8, .6
	f := nabExample("a/b.csv")
	b := newNABBoard([]*nabFile{f}, [][]float64{scores})
	if got := b.best(nabProfiles[0], every); got != .8 {
		t.Errorf("the best threshold is %v, want 0.8", got)
	}
	dear := nabProfile{hit: 1, alarm: 1, miss: 1} // so dear that alerts everywhere are no way out
	if got := newNABBoard([]*nabFile{f}, [][]float64{alerts(7, 8, 9)}).best(dear, every); got != nabNever {
		t.Errorf("the best threshold of false alarms only is %v, want none", got)
	}
}

// Two categories whose own best thresholds are .9 and .5: with the other's one misses its second window, the other has false alarms.
func TestNABLeavesOneCategoryOut(t *testing.T) {
	strict, lenient := make([]float64, 40), make([]float64, 40)
	strict[10], strict[30] = .9, .9
	for row := 6; row < 10; row++ {
		strict[row] = .6
	}
	lenient[10], lenient[30] = .9, .5
	files := []*nabFile{nabExample("a/strict.csv"), nabExample("b/lenient.csv")}
	b := newNABBoard(files, [][]float64{strict, lenient})
	// strict at .5: 2 - 4·0.11 = 1.56; lenient at .9: 1 - 1 = 0. Of 4 windows: 100·(1.56 + 4)/8.
	if got, want := b.leaveOneOut(nabProfiles[0], files), 69.5; math.Abs(got-want) > 1e-9 {
		t.Errorf("leave one out: %v, want %v", got, want)
	}
	// At .5 both: 1.56 + 2, at .9 both: 2 + 0.
	if got, want := b.inSample(nabProfiles[0]), 94.5; math.Abs(got-want) > 1e-9 {
		t.Errorf("in sample: %v, want %v", got, want)
	}
}

// Every copy keeps its rows, windows and muted rows together, in order and in bounds.
func TestNABCopies(t *testing.T) {
	f := &nabFile{name: "a/b.csv"}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 1000 {
		f.at, f.x = append(f.at, int64(300*i)), append(f.x, r.NormFloat64())
	}
	f.windows, f.muted = [][2]int{{200, 299}, {600, 699}}, make([]bool, 1000)
	for i := 600; i < 700; i++ {
		f.x[i] = 1000 // so that its rows are known again
	}
	for i, c := range nabCopies() {
		copied := c.of([]*nabFile{f}, uint64(i))[0]
		if n := len(copied.x); n < 400 || len(copied.at) != n || len(copied.muted) != n || !slices.IsSorted(copied.at) {
			t.Fatalf("%s: %d values, %d times in order: %v, %d muted", c.name, n, len(copied.at), slices.IsSorted(copied.at), len(copied.muted))
		}
		high, inside := 0, 0 // the farthest from the median, and those of them that lie in a window
		sorted := slices.Sorted(slices.Values(copied.x))
		median := sorted[len(sorted)/2]
		last := -1
		for _, w := range copied.windows {
			if w[0] <= last || w[1] < w[0] || w[1] >= len(copied.x) {
				t.Fatalf("%s: windows %v of %d rows", c.name, copied.windows, len(copied.x))
			}
			last = w[1]
		}
		farthest := max(sorted[len(sorted)-1]-median, median-sorted[0])
		for row, x := range copied.x {
			if math.Abs(x-median) < farthest/2 {
				continue
			}
			high++
			if copied.muted[row] || slices.ContainsFunc(copied.windows, func(w [2]int) bool { return row >= w[0] && row <= w[1] }) {
				inside++
			}
		}
		if high < 25 || inside < high-1 { // of doubled rows one lies between the last inside and the first outside
			t.Errorf("%s: of %d odd rows %d lie in a window", c.name, high, inside)
		}
	}
}

func TestReadNAB(t *testing.T) {
	files, err := readNAB(filepath.Join("testdata", "nab"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].name != "made/quiet.csv" || files[1].name != "made/spike.csv" {
		t.Fatalf("files %+v", files)
	}
	if f := files[1]; !slices.Equal(f.windows, [][2]int{{1, 2}}) || f.at[1]-f.at[0] != 300 || f.x[2] != 7.5 {
		t.Errorf("%+v", f)
	}
	if _, err := readNAB("testdata"); err == nil {
		t.Error("a folder without data is read")
	}
}

// Of two days with a spike each point is scored by the product: the spike is told, above its limit, and what the incident does not tell
// again is 0.
func TestNABPlays(t *testing.T) {
	f := &nabFile{name: "a/b.csv", muted: make([]bool, 600)}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 600 {
		f.at, f.x = append(f.at, int64(300*i)), append(f.x, r.NormFloat64())
	}
	for i := 500; i < 504; i++ {
		f.x[i] += 20
	}
	stream, err := metricStream()
	if err != nil {
		t.Fatal(err)
	}
	scores, err := f.play(stream)
	if err != nil {
		t.Fatal(err)
	}
	if len(scores) != 600 || scores[500] < nabLimit || scores[501] != 0 && scores[501] <= scores[500] || slices.Max(scores[:500]) >= nabLimit {
		t.Errorf("the spike's rows score %v, the highest before is %v", scores[500:504], slices.Max(scores[:500]))
	}
	f.x[3] = math.Inf(1)
	if _, err := f.play(stream); err == nil {
		t.Error("a row that is refused is played")
	}
}
