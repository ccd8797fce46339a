package quality

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// nabFile is a labelled series of the Numenta Anomaly Benchmark, or a changed copy of one.
type nabFile struct {
	name    string // category/file.csv
	at      []int64
	x       []float64
	windows [][2]int // first and last row of each, in order
	muted   []bool   // rows of copies that do not count
}

func (f *nabFile) category() string { return filepath.Dir(f.name) }

// readNAB reads the files below dir/data with their windows.
func readNAB(dir string) ([]*nabFile, error) {
	b, err := os.ReadFile(filepath.Join(dir, "labels", "combined_windows.json")) //nolint:gosec // a folder that the user names
	if err != nil {
		return nil, err
	}
	var windows map[string][][2]string
	if err := json.Unmarshal(b, &windows); err != nil {
		return nil, fmt.Errorf("combined_windows.json: %w", err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.csv"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no files data/*/*.csv in %s", dir)
	}
	files := make([]*nabFile, len(paths))
	for i, path := range paths {
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		if files[i], err = readNABFile(path, name, windows[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return files, nil
}

// readNABFile finds a window's ends at the first rows with their times.
func readNABFile(path, name string, windows [][2]string) (*nabFile, error) {
	rows, err := readTable(path)
	if err != nil {
		return nil, err
	}
	f := &nabFile{name: name, muted: make([]bool, len(rows))}
	for i, row := range rows {
		at, err := parseNABTime(row[0])
		if err != nil {
			return nil, err
		}
		x, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		f.at, f.x = append(f.at, at), append(f.x, x)
	}
	for _, w := range windows {
		var rows [2]int
		for i, text := range w {
			at, err := parseNABTime(text)
			if err != nil {
				return nil, err
			}
			if rows[i] = slices.Index(f.at, at); rows[i] < 0 {
				return nil, fmt.Errorf("no row at %s, where a window ends", text)
			}
		}
		f.windows = append(f.windows, rows)
	}
	return f, nil
}

// labelled is the file as a table: the rows of its windows are its anomalies.
func (f *nabFile) labelled() *labelled {
	s := &labelled{name: f.name, x: make([][]float64, len(f.x)), y: make([]bool, len(f.x)), at: f.at}
	for i := range f.x {
		s.x[i] = f.x[i : i+1]
	}
	for _, w := range f.windows {
		for i := w[0]; i <= w[1]; i++ {
			s.y[i] = true
		}
	}
	return s
}

// parseNABTime reads a time to whole seconds, as Unix seconds.
func parseNABTime(text string) (int64, error) {
	text, _, _ = strings.Cut(text, ".")
	t, err := time.Parse(time.DateTime, text)
	return t.Unix(), err
}

// nabLimit is the score in [0, 1] of a point at the product's own limit.
const nabLimit = 0.5

// play takes a file through a worker of its own, and returns a score in [0, 1] a row, 0 where an open incident does not tell it
// again.
func (f *nabFile) play(c *pipeline.Config) ([]float64, error) {
	scores := make([]float64, len(f.x))
	err := f.labelled().play(c, func(t pipeline.Trace) {
		if t.Scored && (told(t) || !t.Incident && t.Surprise < t.Wanted) {
			scores[t.Offset] = t.Surprise / (t.Surprise + t.Wanted)
		}
	})
	return scores, err
}

// playNAB plays all the files.
func playNAB(ctx context.Context, files []*nabFile, c *pipeline.Config) ([][]float64, error) {
	scores := make([][]float64, len(files))
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var err error
		if scores[i], err = f.play(c); err != nil {
			return nil, err
		}
	}
	return scores, nil
}

// nabPeers are published results (the benchmark's results folder; ARTime from its authors') for the 31 files of the folder, scored anew by
// the rules above: in-sample, then leave one category out, in the order of the profiles.
var nabPeers = []struct {
	name             string
	inSample, others [3]float64
}{
	{"ARTime, told each file's minimum and maximum", [3]float64{78.2, 70.4, 83.1}, [3]float64{74.7, 67.0, 79.6}},
	{"CAD OSE, told them too", [3]float64{74.1, 71.7, 76.9}, [3]float64{72.3, 69.9, 75.1}},
	{"Numenta HTM, told them too", [3]float64{71.2, 65.0, 75.9}, [3]float64{69.1, 63.9, 72.9}},
	{"KNN-CAD", [3]float64{64.4, 50.4, 71.0}, [3]float64{64.4, 50.4, 71.0}},
	{"Skyline (earthgecko)", [3]float64{56.1, 45.1, 61.4}, [3]float64{56.1, 45.1, 61.4}},
	{"random cut forest", [3]float64{52.0, 38.3, 61.0}, [3]float64{41.7, 21.5, 45.7}},
	{"windowed Gaussian", [3]float64{36.7, 21.4, 45.2}, [3]float64{7.0, 21.4, 24.9}},
}

const (
	nabHalves    = 400 // random halves of the files
	nabRotations = 50
)

// askNAB measures the metric on the benchmark.
func askNAB(ctx context.Context, r *Report) error {
	files, err := readNAB(filepath.Join(r.Data, "nab"))
	if err != nil {
		return err
	}
	stream, err := metricStream()
	if err != nil {
		return err
	}
	scores, err := playNAB(ctx, files, stream)
	if err != nil {
		return err
	}
	own := newNABBoard(files, scores)
	_, windows := own.sum(nabProfiles[0], nabNever, every)
	r.text("%d files, %d windows, as `gonomaly create metrics` sets the stream up; scores are standard / reward low FP / reward low FN.\n", len(files), windows)

	rows := [][]string{{"**Gonomaly, `metric`**", nabTriple(own.inSample), nabTriple(func(p nabProfile) float64 { return own.leaveOneOut(p, files) })}}
	for _, p := range nabPeers {
		rows = append(rows, []string{p.name, nabNumbers(p.inSample), nabNumbers(p.others)})
	}
	rows = append(rows, nabChance(files, scores)...)
	r.table([]string{"detector", "threshold chosen on the files scored", "on the other categories"}, rows)
	atLimit := func(p nabProfile) float64 { return own.at(p, nabLimit, every) }
	mean, low := nabHalf(own, len(files))
	r.text("At the product's own limit, nothing chosen: %s. Threshold from a random half of the files, the other half scored, %d times: mean %.1f, 10 %% quantile %.1f.\n",
		nabTriple(atLimit), nabHalves, mean, low)

	standard := nabProfiles[0]
	r.figure("nab.in_sample", own.inSample(standard))
	r.figure("nab.leave_one_out", own.leaveOneOut(standard, files))
	r.figure("nab.own_limit", atLimit(standard))
	r.figure("nab.half", mean)
	r.figure("nab.half_low", low)
	return askNABCopies(ctx, r, files, stream)
}

// askNABCopies measures it on the changed copies.
func askNABCopies(ctx context.Context, r *Report, files []*nabFile, stream *pipeline.Config) error {
	copies, standard := nabCopies(), nabProfiles[0]
	var rows [][]string
	var inSample, others, limit float64
	for i, c := range copies {
		r.progress("nab: copy %d of %d, %s", i+1, len(copies), c.name)
		changed := c.of(files, uint64(i))
		scores, err := playNAB(ctx, changed, stream)
		if err != nil {
			return err
		}
		b := newNABBoard(changed, scores)
		in, out, at := b.inSample(standard), b.leaveOneOut(standard, changed), b.at(standard, nabLimit, every)
		inSample, others, limit = inSample+in/float64(len(copies)), others+out/float64(len(copies)), limit+at/float64(len(copies))
		rows = append(rows, []string{c.name, fmt.Sprintf("%.1f", in), fmt.Sprintf("%.1f", out), fmt.Sprintf("%.1f", at)})
	}
	rows = append(rows, []string{"**mean**", fmt.Sprintf("%.1f", inSample), fmt.Sprintf("%.1f", others), fmt.Sprintf("%.1f", limit)})
	r.text("Changed copies of the files, standard profile:\n")
	r.table([]string{"copy", "threshold chosen on the files scored", "on the other categories", "at the product's own limit"}, rows)
	r.figure("nab.copies_in_sample", inSample)
	r.figure("nab.copies_leave_one_out", others)
	r.figure("nab.copies_own_limit", limit)
	return nil
}

// nabHalf chooses the threshold on a random half of the files and scores the other: mean and 10 % quantile.
func nabHalf(b *nabBoard, files int) (mean, low float64) {
	r := rand.New(rand.NewPCG(1, 0)) //nolint:gosec // no secret
	scores := make([]float64, nabHalves)
	for i := range scores {
		chosen := make([]bool, files)
		for _, f := range r.Perm(files)[:files/2+i%2*(files%2)] { // of an odd number one more and one less in turn
			chosen[f] = true
		}
		threshold := b.best(nabProfiles[0], func(f int) bool { return chosen[f] })
		scores[i] = b.at(nabProfiles[0], threshold, func(f int) bool { return !chosen[f] })
		mean += scores[i] / nabHalves
	}
	slices.Sort(scores)
	return mean, scores[nabHalves/10]
}

// nabChance are detectors that know nothing, and the alerts of scores at other rows than their own.
func nabChance(files []*nabFile, scores [][]float64) [][]string {
	made := func(score func(row int) float64) *nabBoard {
		all := make([][]float64, len(files))
		for i, f := range files {
			all[i] = make([]float64, len(f.x))
			for row := range all[i] {
				all[i][row] = score(row)
			}
		}
		return newNABBoard(files, all)
	}
	var rows [][]string
	fixed := func(name string, b *nabBoard) {
		at := nabTriple(func(p nabProfile) float64 { return b.at(p, nabLimit, every) })
		rows = append(rows, []string{name, at, at})
	}
	fixed("never an alert", made(func(int) float64 { return 0 }))
	fixed("always an alert", made(func(int) float64 { return 1 }))
	for _, n := range []int{400, 600} {
		fixed(fmt.Sprintf("an alert every %d rows", n), made(func(row int) float64 {
			if row%n == 0 {
				return 1
			}
			return 0
		}))
	}
	r := rand.New(rand.NewPCG(2, 0)) //nolint:gosec // no secret
	var inSample, others [3]float64
	for range nabRotations {
		turned := make([][]float64, len(scores))
		for i, s := range scores {
			by := r.IntN(len(s))
			turned[i] = slices.Concat(s[by:], s[:by])
		}
		b := newNABBoard(files, turned)
		for i, p := range nabProfiles {
			inSample[i] += b.inSample(p) / nabRotations
			others[i] += b.leaveOneOut(p, files) / nabRotations
		}
	}
	return append(rows, []string{"Gonomaly's scores, each file's turned by a random number of rows", nabNumbers(inSample), nabNumbers(others)})
}

func nabTriple(score func(nabProfile) float64) string {
	var s [3]float64
	for i, p := range nabProfiles {
		s[i] = score(p)
	}
	return nabNumbers(s)
}

func nabNumbers(s [3]float64) string { return fmt.Sprintf("%.1f / %.1f / %.1f", s[0], s[1], s[2]) }
