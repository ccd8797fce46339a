package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/sources/generate"
)

var backtestBenchmark = Benchmark{
	Name:  "backtest",
	Short: "Measure how many rows of a CSV file a second gonomaly backtest plays",
	Long: `Backtest writes a CSV file of --rows rows (of --keys machines: name, time, five values) to a temporary folder, and has gonomaly backtest play it, with
the job of bench path, in a process of its own:

  json       as decode.format json has it: each row becomes an object, as it would stand in the topic
  csv        as decode.format csv has it: each row stays a line

rows/s and CPU are of the whole process, from its start to its end, with scores, alerts and report written; RSS is the highest, where the
system tells it. File and results take some 170 bytes a row. --beside has another gonomaly play by turns with this one, as in bench path.`,
	flags: func(f *pflag.FlagSet, o *Options) {
		f.StringSliceVar(&o.Only, "only", nil, "measure these `ROWS` only")
		f.Int64Var(&o.Events, "rows", 10_000_000, "`NUMBER` of rows")
		f.IntVar(&o.Keys, "keys", 10_000, "`NUMBER` of series")
		f.StringVar(&o.Beside, "beside", "", "measure this other `GONOMALY` by turns with this one")
		f.StringVar(&o.Profile, "cpuprofile", "", "`FILE` for a profile of the last job's CPU")
	},
	run: benchBacktest,
}

type format struct{ name, decode string }

// played are the formats that the rows of a file are played in, and what each makes of the job.
var played = []format{
	{"json", "format: json"},
	{"csv", "format: csv, columns: [machine, ts, temp, pressure, rpm, vibration, load]"},
}

const (
	rowRate = "rows/s"
	rowCPU  = "CPU µs/row"
)

func benchBacktest(ctx context.Context, o Options, r *Result) (err error) {
	if err := positive(number{"--rows", float64(o.Events)}, number{"--keys", float64(o.Keys)}); err != nil {
		return err
	}
	for _, name := range o.Only {
		if !slices.ContainsFunc(played, func(p format) bool { return p.name == name }) {
			return &invalid.Value{Name: "--only", Value: name, Want: "json or csv"}
		}
	}
	dir, err := os.MkdirTemp("", "gonomaly-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &world{Options: o, Result: r, dir: dir}
	w.say("writing %d rows", o.Events)
	if err := w.writeRows(); err != nil {
		return err
	}
	return o.each("backtest", func() error {
		for _, p := range played {
			if !w.wants(p.name) {
				continue
			}
			one := row{p.name, func(w *world, ctx context.Context) error {
				return w.play(ctx, p.name, strings.Replace(job, "format: json", p.decode, 1))
			}}
			if err := one.run(w, ctx); err != nil {
				return err
			}
			if o.Beside == "" {
				continue
			}
			if err := w.runBeside(ctx, one); err != nil {
				return fmt.Errorf("%s: %w", p.name+beside, err)
			}
		}
		return nil
	})
}

func (w *world) rowsFile() string { return filepath.Join(w.dir, "rows.csv") }

// writeRows writes the fleet's events as a table: of each object the first seven members.
func (w *world) writeRows() (err error) {
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: 1, Machines: w.Keys, Anomalies: anomalies, WarmUp: warmUp})
	if err != nil {
		return err
	}
	f, err := os.Create(w.rowsFile())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := bufio.NewWriterSize(f, 1<<20)
	_, _ = b.WriteString("machine,ts,temp,pressure,rpm,vibration,load\n") // Flush returns the first error
	n := int64(0)
	for e := range fleet.Events() {
		if n == w.Events {
			break
		}
		n++
		rest := e.Value
		for i := range 7 {
			var value []byte
			_, rest, _ = bytes.Cut(rest, []byte{':'})
			value, rest, _ = bytes.Cut(rest, []byte{','})
			_, _ = b.Write(bytes.Trim(value, `"`))
			_ = b.WriteByte(",\n"[i/6])
		}
	}
	return b.Flush()
}

// play has the rows played, and notes what that took.
func (w *world) play(ctx context.Context, name, job string) error {
	config, out := filepath.Join(w.dir, name+".yaml"), filepath.Join(w.dir, "out")
	if err := os.WriteFile(config, []byte(job), 0o600); err != nil {
		return err
	}
	args := append(slices.Clone(w.Program), "backtest", "-c", config, "--input", w.rowsFile(), "--out", out)
	if w.Profile != "" {
		args = append(args, "--cpuprofile", w.Profile)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // this program itself, or what the user names
	cmd.Env = append(os.Environ(), "BENCH_BROKERS=localhost:9092", "BENCH_TOPIC=rows", "BENCH_GROUP=bench", "BENCH_STORE=file", "BENCH_DIRECTORY="+w.dir,
		"BENCH_COMMIT_EVERY="+usualEvery.String(), "BENCH_KEYS="+strconv.Itoa(w.Keys))
	begin := time.Now()
	said, err := cmd.CombinedOutput()
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("the backtest ended badly: %w\n%s", err, said)
	}
	if !bytes.Contains(said, fmt.Appendf(nil, ": %d rows, %[1]d points", w.Events)) {
		return fmt.Errorf("the backtest has not played all rows: %s", said)
	}
	rows := float64(w.Events)
	w.Add(name+w.suffix, rowRate, rows/took.Seconds())
	w.Add(name+w.suffix, rowCPU, float64(spent(cmd.ProcessState).Nanoseconds())/1e3/rows)
	if peak := mostResident(cmd.ProcessState); peak > 0 {
		w.Add(name+w.suffix, resident, peak/(1<<20))
	}
	return os.RemoveAll(out)
}
