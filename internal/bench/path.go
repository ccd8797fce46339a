package bench

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

var pathBenchmark = Benchmark{
	Name:  "path",
	Short: "Measure the whole path, from Kafka to alerts, beside the bare client",
	Long: `Path writes --events records of 186 bytes (of --keys machines, five fields) to a topic, and reads them to the end, run after run, by:

  raw        the bare Kafka client in a process of its own, which decodes nothing: what a consumer costs at least
  records    gonomaly run with a job that has on what a user leaves on (EWMA over five fields, calibration, incidents, alerts exactly
             once every --commit-every, checkpoints, metrics); each record is a point
  least      the same at least once, without transactions
  windows    the first job, with the records gathered in windows of ten a key: mean, max and p99 of each field
  paced      the first job while --rate records a second are written for ten seconds
  two        the first job by two processes of one group, while all events are written as fast as can be
  idle       the first job with 64 partitions to which nothing is written

CPU is of the whole process, from its start to its end; allocations are of the steady state, after a tenth of each partition; RSS is at the
end of the reading; in a GC pause the whole process stands still, which on a busy machine is the wait for its threads, the bare client's too; latency is
from when an event was due to when its alert is there for a reader of committed records. The broker is --brokers, or an embedded one in this process; checkpoints go to --redis, or to files. Topics and groups
are deleted at the end.

With --beside another gonomaly is measured by turns with this one, row by row: "records, beside" is that, and "records ÷ beside" how many times as much
this one takes, run by run. What disturbs the machine for minutes disturbs both; with --at-once both read at the same time, and it may last for seconds.`,
	flags: func(f *pflag.FlagSet, o *Options) {
		f.StringSliceVar(&o.Only, "only", nil, "measure these `ROWS` only")
		f.StringSliceVar(&o.Brokers, "brokers", nil, "`BROKERS` of Kafka, host:port, instead of an embedded one")
		f.StringVar(&o.Redis, "redis", "", "`ADDRESS` of the Redis that keeps the checkpoints, instead of files")
		f.Int64Var(&o.Events, "events", 2_000_000, "`NUMBER` of records")
		f.IntVar(&o.Keys, "keys", 10_000, "`NUMBER` of series")
		f.Int32Var(&o.Partitions, "partitions", 4, "`NUMBER` of partitions")
		f.Float64Var(&o.Rate, "rate", 50_000, "`EVENTS` a second of the paced row")
		f.DurationVar(&o.Every, "commit-every", usualEvery, "`TIME` between two commits of the jobs")
		f.DurationVar(&o.Checkpoint, "checkpoint-every", usualCheckpoint, "`TIME` between two checkpoints of the jobs")
		f.StringVar(&o.Beside, "beside", "", "measure this other `GONOMALY` by turns with this one")
		f.BoolVar(&o.AtOnce, "at-once", false, "run the other one at the same time, and not by turns")
		f.StringVar(&o.Profile, "cpuprofile", "", "`FILE` for a profile of the last job's CPU")
	},
	run: benchPath,
}

//go:embed path.yaml
var job string

// row is one of the path's subjects.
type row struct {
	name string
	run  func(*world, context.Context) error
}

// rows of the path. All runs have them in this order, so that what is compared is measured side by side.
var rows = []row{
	{"raw", (*world).raw}, {"records", (*world).records}, {"least", (*world).least}, {"windows", (*world).windows},
	{"paced", (*world).paced}, {"two", (*world).two}, {"idle", (*world).idle},
}

const (
	usualEvery      = 200 * time.Millisecond // the default of commit_every
	usualCheckpoint = 5 * time.Second        // the default of checkpoints.every

	noWindow = "# window: the second job gathers the records in windows before it judges"
	windowed = "window: {every: 10m, aggregate: [mean, max, p99], lateness: 1m}" // ten records, as a machine reports once a minute

	warmUp     = 40 // points of a machine before it may fail: the EWMA scores by then
	anomalies  = 1  // in 10,000 points
	anomalous  = 20 // the same of the paced run, for many alerts
	pacedFor   = 10 * time.Second
	idleFor    = 10 * time.Second
	idleParts  = 64
	steadyFrom = 0.1 // of each partition: until then there are new series
)

// checkPath says which option of the path is out of its range.
func checkPath(o Options) error {
	for _, name := range o.Only {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return &invalid.Value{Name: "--only", Value: name, Want: "raw, records, least, windows, paced, two or idle"}
		}
	}
	if o.AtOnce && o.Beside == "" {
		return &invalid.Value{Name: "--beside", Value: "", Want: "another gonomaly, with --at-once"}
	}
	return positive(number{"--events", float64(o.Events)}, number{"--keys", float64(o.Keys)}, number{"--partitions", float64(o.Partitions)}, number{"--rate", o.Rate})
}

func benchPath(ctx context.Context, o Options, r *Result) error {
	if err := checkPath(o); err != nil {
		return err
	}
	return onBrokers(ctx, o, r, func(w *world) error {
		if slices.ContainsFunc([]string{"raw", "records", "least", "windows"}, w.wants) {
			if err := w.fill(ctx); err != nil {
				return err
			}
		}
		return o.each(r.Benchmark, func() error {
			for _, row := range rows {
				if !w.wants(row.name) {
					continue
				}
				w.say("%s", row.name)
				run := row.run
				alone := o.Beside == "" || row.name == "raw"
				if o.AtOnce && !alone {
					run, alone = func(w *world, ctx context.Context) error { return w.runAtOnce(ctx, row) }, true
				}
				if err := run(w, ctx); err != nil {
					return fmt.Errorf("%s: %w", row.name, err)
				}
				if alone {
					continue
				}
				if err := w.runBeside(ctx, row); err != nil {
					return fmt.Errorf("%s: %w", row.name+beside, err)
				}
			}
			return nil
		})
	})
}

func (w *world) wants(row string) bool { return len(w.Only) == 0 || slices.Contains(w.Only, row) }

func (w *world) raw(ctx context.Context) error {
	read, spent, err := raw(ctx, w.Options, strings.Join(w.Brokers, ","), w.topic)
	if err != nil {
		return err
	}
	w.Add("raw", eventRate, float64(w.Events)/read.Took.Seconds())
	w.cost("raw", spent)
	w.Add("raw", pause, read.Pause.Seconds()*1e3)
	return nil
}

// Names of the path's figures.
const (
	eventRate   = "events/s"
	cpu         = "CPU µs/event"
	allocations = "allocations/event"
	resident    = "RSS MiB"
	pause       = "longest GC pause ms"
)

// cost notes what a process that has read all events took, and how many times that of the bare client before it.
func (w *world) cost(row string, spent time.Duration) {
	w.Add(row, cpu, float64(spent.Nanoseconds())/1e3/float64(w.Events))
	if row == "raw" {
		return
	}
	for _, f := range []string{cpu, eventRate} {
		if floor := w.figure("raw", f); floor != nil {
			own := w.figure(row, f)
			w.Add(row, f+" ÷ raw", own.Runs[len(own.Runs)-1]/floor.Runs[len(floor.Runs)-1])
		}
	}
}

func (w *world) records(ctx context.Context) error { return w.read(ctx, "records", job) }

func (w *world) least(ctx context.Context) error {
	return w.read(ctx, "least", strings.Replace(job, "    topics:", "    delivery: at-least-once\n    topics:", 1))
}

func (w *world) windows(ctx context.Context) error {
	return w.read(ctx, "windows", strings.Replace(job, noWindow, windowed, 1))
}

// read has the job read all events, and measures it from where it is in its stride.
func (w *world) read(ctx context.Context, row, job string) error {
	p, group, err := w.serve(ctx, job, w.topic)
	if err != nil {
		return err
	}
	var first, last counters
	var done time.Time
	spent, err := p.during(func() error {
		err := w.steady(ctx, group)
		if err != nil {
			return err
		}
		if first, err = p.count(ctx); err != nil {
			return err
		}
		if err := w.committed(ctx, group, w.Events); err != nil {
			return err
		}
		done = time.Now()
		last, err = p.count(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if last.events <= first.events {
		return fmt.Errorf("all of the --events %d were read before it was in its stride: want several times as many", w.Events)
	}
	row += w.suffix
	w.Add(row, eventRate, (last.events-first.events)/done.Sub(first.at).Seconds())
	w.cost(row, spent)
	w.Add(row, allocations, (last.allocations-first.allocations)/(last.events-first.events))
	w.Add(row, resident, last.resident/(1<<20))
	w.Add(row, pause, last.pause*1e3)
	return nil
}

// idle has the job wait for records that do not come.
func (w *world) idle(ctx context.Context) error {
	topic := fmt.Sprintf("%s-idle-%d", w.topic, w.groups)
	if err := kafka.Create(ctx, w.opts, idleParts, topic); err != nil {
		return err
	}
	p, _, err := w.serve(ctx, job, topic)
	if err != nil {
		return err
	}
	var first, last counters
	if _, err := p.during(func() error {
		err := p.ready(ctx)
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // what starting has left to do
		if first, err = p.count(ctx); err != nil {
			return err
		}
		time.Sleep(idleFor)
		last, err = p.count(ctx)
		return err
	}); err != nil {
		return err
	}
	w.Add("idle"+w.suffix, "% of a core", 100*(last.cpu-first.cpu)/last.at.Sub(first.at).Seconds())
	w.Add("idle"+w.suffix, resident, last.resident/(1<<20))
	return nil
}
