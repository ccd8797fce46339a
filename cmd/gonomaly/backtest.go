package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service/backtest"
)

func newBacktest() *cobra.Command {
	var file, stream, out, profile string
	var inputs []string
	var nab bool
	c := &cobra.Command{
		Use:   "backtest -c FILE --input FILE|DIR… --out DIR",
		Short: "Play files through the detectors, and plot what they say",
		Long: `Backtest plays CSV files (with a header) or JSON lines, gzipped or not, through the production path: each file from a fresh state, as
one partition. Rows without a time field are one second apart.

In DIR it writes for each NAME.csv a NAME.scores.csv with timestamp,key,score,p_value,limit,alert,untold (a row for each row of the
input, or for each closed window; untold is why there was no alert, where there might have been one), alerts.jsonl with the alerts as
they would stand in the alerts topic, and report.html, a page with values, expected bands, scores and alerts.`,
		Example: `  gonomaly create metrics --from data.csv > g.yaml
  gonomaly backtest -c g.yaml --input data.csv --out report
  gonomaly backtest -c g.yaml --input folder --out results --nab`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			inputs = append(inputs, args...) // --input a b c
			if file == "" || len(inputs) == 0 || out == "" {
				return usageError{errors.New("-c, --input and --out are all needed")}
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			s, err := streamOf(cfg, stream)
			if err != nil {
				return usageError{err}
			}
			if profile != "" {
				stop, err := profileCPU(profile)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, stop()) }()
			}
			bar := newBar(c.ErrOrStderr())
			results, err := backtest.Run(c.Context(), backtest.Options{
				Stream: s, Inputs: inputs, Out: out, NAB: nab, Progress: bar.show, Log: slog.New(slog.DiscardHandler),
			})
			bar.end()
			if err != nil {
				return err
			}
			return summarize(c.OutOrStdout(), results, out)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration `FILE`")
	f.StringVar(&stream, "stream", "", "`NAME` of the stream to play, where the configuration has several")
	f.StringArrayVar(&inputs, "input", nil, "`FILE|DIR` to play; may be repeated")
	f.StringVar(&out, "out", "", "`DIR` for the results")
	f.StringVar(&profile, "cpuprofile", "", "`FILE` for a profile of the CPU until the end, for go tool pprof")
	f.BoolVar(&nab, "nab", false, "also write the layout of the Numenta Anomaly Benchmark, under DIR/gonomaly")
	return c
}

// streamOf is the stream of that name, or the only one.
func streamOf(c *config.Config, name string) (config.Stream, error) {
	var names []string
	for _, s := range c.Streams {
		if s.Name == name || name == "" && len(c.Streams) == 1 {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if name == "" {
		return config.Stream{}, fmt.Errorf("the configuration has several streams: name one of %s with --stream", strings.Join(names, ", "))
	}
	return config.Stream{}, fmt.Errorf("--stream is %q, want one of %s", name, strings.Join(names, ", "))
}

func summarize(w io.Writer, files []backtest.File, out string) error {
	rows, taken, alerts := int64(0), int64(0), 0
	for _, f := range files {
		refused := ""
		if f.Refused > 0 {
			refused = fmt.Sprintf("; %d rows refused, the first: %s", f.Refused, f.Why)
		}
		learning := ""
		if f.Learning > 0 {
			learning = fmt.Sprintf("; %d of %d series were learning to the end", f.Learning, f.Series)
		}
		misread := ""
		if f.Misread != "" {
			misread = "; times seem to be read in a wrong unit: " + f.Misread
		}
		besides := ""
		if f.Drifts > 0 {
			besides += fmt.Sprintf(", %d drifts", f.Drifts)
		}
		if f.Silent > 0 {
			besides += fmt.Sprintf(", %d silences", f.Silent)
		}
		if _, err := fmt.Fprintf(w, "%s: %d rows, %d points, %d alerts%s%s%s%s\n", f.Path, f.Rows, f.Points, f.Alerts, besides, learning, refused, misread); err != nil {
			return err
		}
		rows += f.Rows
		taken += f.Rows - int64(f.Refused)
		alerts += f.Alerts
	}
	_, err := fmt.Fprintf(w, "%d files, %d rows, %d alerts: see %s\n", len(files), rows, alerts, filepath.Join(out, "report.html"))
	switch {
	case err != nil:
	case rows == 0:
		err = errors.New("there is no row to play: the files are empty, or have nothing but a header")
	case taken == 0:
		err = errors.New("no row could be decoded: does the configuration's decode section fit the files?")
	}
	return err
}

// bar shows how far a backtest is, file by file.
type bar struct {
	w     io.Writer
	b     *progressbar.ProgressBar
	file  int
	begin time.Time // of the file
	shown time.Time
	off   bool // nobody is looking
}

// barEvery is how often it is drawn.
const barEvery = 100 * time.Millisecond

func newBar(w io.Writer) *bar {
	return &bar{w: w, file: -1, off: !isTerminal(w)}
}

func (b *bar) show(p backtest.Progress) {
	now := time.Now()
	if b.off || p.N == b.file && now.Sub(b.shown) < barEvery {
		return
	}
	size := max(p.Size, 1)
	name := fmt.Sprintf("%d/%d %s", p.N+1, p.Files, filepath.Base(p.File))
	if p.N != b.file {
		b.end()
		b.file, b.begin = p.N, now
		b.b = progressbar.NewOptions64(size, progressbar.OptionSetWriter(b.w), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetDescription(name), progressbar.OptionSetPredictTime(true))
	} else if took := now.Sub(b.begin); took > 0 {
		b.b.Describe(fmt.Sprintf("%s, %d rows, %.0f thousand a second", name, p.Rows, float64(p.Rows)/1000/took.Seconds()))
	}
	b.shown = now
	_ = b.b.Set64(min(p.Done, size)) // a bar that cannot be drawn is no reason to stop
}

func (b *bar) end() {
	if b.b != nil {
		_ = b.b.Finish()
	}
}
