package quality

import (
	"cmp"
	"math"
	"slices"
)

// nabProfile are the weights of one of the benchmark's profiles (its config/profiles.json): of a detection, of a false alarm and of a
// missed window.
type nabProfile struct {
	name             string
	hit, alarm, miss float64
}

var nabProfiles = []nabProfile{
	{"standard", 1, .11, 1},
	{"reward low FP", 1, .22, 1},
	{"reward low FN", 1, .11, 2},
}

// nabSigmoid is the benchmark's weight at a position relative to a window's end, in widths of the window: near 1 a width before, 0 at
// the end, -1 far behind.
//
// Lavin and Ahmad (2015), "Evaluating Real-time Anomaly Detection Algorithms – the Numenta Anomaly Benchmark", eq. 2.
func nabSigmoid(position float64) float64 {
	if position > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*position)) - 1
}

// nabProbation is the number of rows at the start that are not scored: 15 %, of at most 5,000.
func nabProbation(rows int) int { return int(min(math.Floor(.15*float64(rows)), .15*5000)) }

// nabPoint is what the benchmark makes of one row.
type nabPoint struct {
	score  float64 // the detector's
	weight float64 // what an alert there counts: in (0, 1] in a window, else in [-1, 0)
	window int     // that it lies in, counted through all files; -1 for none
	file   int
}

// nabBoard are all rows of a corpus that count, by falling score.
type nabBoard struct {
	points  []nabPoint
	windows [][]int // of each file: its windows that have rows which count
	named   []int   // of each file: its windows, whether they have or not
	total   int
}

// newNABBoard takes each file's scores, one a row.
func newNABBoard(files []*nabFile, scores [][]float64) *nabBoard {
	b := &nabBoard{}
	for i, f := range files {
		seen, own := map[int]bool{}, scores[i]
		for row, w := range f.weights() {
			if row < nabProbation(len(f.x)) || f.muted[row] {
				continue
			}
			p := nabPoint{score: own[row], weight: w.weight, window: -1, file: i}
			if w.window >= 0 {
				p.window = b.total + w.window
				seen[p.window] = true
			}
			b.points = append(b.points, p)
		}
		var windows []int
		for w := range len(f.windows) {
			if seen[b.total+w] {
				windows = append(windows, b.total+w)
			}
		}
		b.windows = append(b.windows, windows)
		b.named = append(b.named, len(f.windows))
		b.total += len(f.windows)
	}
	slices.SortStableFunc(b.points, func(x, y nabPoint) int { return cmp.Compare(y.score, x.score) })
	return b
}

type nabWeight struct {
	weight float64
	window int
}

// weights are what an alert at each row counts. In a window it is the more, the earlier; after one the sigmoid falls towards -1.
func (f *nabFile) weights() []nabWeight {
	ws := make([]nabWeight, len(f.x))
	next, current, end, width := 0, -1, -1, 0 // of the last window
	for i := range ws {
		if current < 0 && next < len(f.windows) && i >= f.windows[next][0] {
			current = next
			end, width = f.windows[next][1], f.windows[next][1]-f.windows[next][0]+1
			next++
		}
		switch {
		case current >= 0:
			ws[i] = nabWeight{nabSigmoid(-float64(end-i+1)/float64(width)) / nabSigmoid(-1), current}
		case end < 0:
			ws[i] = nabWeight{-1, -1}
		default:
			ws[i] = nabWeight{nabSigmoid(float64(i-end) / float64(width-1)), -1}
		}
		if i == end {
			current = -1
		}
	}
	return ws
}

// nabNever is a threshold above all scores, which are at most 1.
const nabNever = 1.1

// best returns the threshold with the highest sum over the files wanted, as the benchmark's optimizer finds it.
func (b *nabBoard) best(p nabProfile, wanted func(file int) bool) float64 {
	sum, best, last := 0.0, 0.0, nabNever // relative to that of no alert
	threshold := nabNever
	parts := b.parts(p)
	for _, q := range b.points {
		if !wanted(q.file) {
			continue
		}
		if q.score != last {
			if sum > best {
				best, threshold = sum, last
			}
			last = q.score
		}
		sum += q.gain(p, parts)
	}
	if sum > best {
		threshold = last
	}
	return threshold
}

// sum is the raw score of the files wanted at a threshold, and the number of their windows.
func (b *nabBoard) sum(p nabProfile, threshold float64, wanted func(file int) bool) (raw float64, windows int) {
	for i := range b.windows {
		if wanted(i) {
			raw -= p.miss * float64(len(b.windows[i]))
			windows += b.named[i]
		}
	}
	parts := b.parts(p)
	for _, q := range b.points {
		if q.score < threshold {
			break
		}
		if wanted(q.file) {
			raw += q.gain(p, parts)
		}
	}
	return raw, windows
}

// parts are what each window counts before there are alerts.
func (b *nabBoard) parts(p nabProfile) []float64 {
	parts := make([]float64, b.total)
	for i := range parts {
		parts[i] = -p.miss
	}
	return parts
}

// gain is what an alert adds: of those in a window only the best counts.
func (q nabPoint) gain(p nabProfile, parts []float64) float64 {
	if q.window < 0 {
		return q.weight * p.alarm
	}
	gain := max(0, q.weight*p.hit-parts[q.window])
	parts[q.window] += gain
	return gain
}

// percent puts a raw score on the benchmark's scale: 0 is a detector that says nothing, 100 a perfect one.
func (p nabProfile) percent(raw float64, windows int) float64 {
	return 100 * (raw + p.miss*float64(windows)) / (float64(windows) * (p.hit + p.miss))
}

// at is the score of the files wanted at a threshold.
func (b *nabBoard) at(p nabProfile, threshold float64, wanted func(file int) bool) float64 {
	raw, windows := b.sum(p, threshold, wanted)
	return p.percent(raw, windows)
}

func every(int) bool { return true }

// inSample is the score with the threshold chosen on the files themselves, as the published leaderboard has it.
func (b *nabBoard) inSample(p nabProfile) float64 { return b.at(p, b.best(p, every), every) }

// leaveOneOut is the score where each category has the threshold that is best on the others.
func (b *nabBoard) leaveOneOut(p nabProfile, files []*nabFile) float64 {
	raw, windows := 0.0, 0
	done := map[string]bool{}
	for _, f := range files {
		c := f.category()
		if done[c] {
			continue
		}
		done[c] = true
		of := func(i int) bool { return files[i].category() == c }
		r, w := b.sum(p, b.best(p, func(i int) bool { return !of(i) }), of)
		raw, windows = raw+r, windows+w
	}
	return p.percent(raw, windows)
}
