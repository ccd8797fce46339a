package main

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
)

func newRun() *cobra.Command {
	var file, listen, input, stream, profile string
	c := &cobra.Command{
		Use:   "run -c FILE",
		Short: "Run the service: read topics, write alerts",
		Long: `Run reads the topics of the configuration's streams and writes alerts, until it is told to end.

It waits for topics that are missing, creates the topics that it writes to, and logs JSON to standard error. SIGTERM or SIGINT end it
within ten seconds: what is under way is committed and checkpointed. SIGHUP, or POST to /-/reload, takes the configuration anew; a bad
one is refused, and the last good one stays in force. The HTTP port has /metrics, /-/healthy, /-/ready, /-/alerts and /-/keys. In a
container with a memory limit GOMEMLIMIT is nine tenths of that, unless it is set: near it fetching rests.

With --input it reads a file, or standard input, instead of Kafka, and ends when that does: alerts go to the configuration's sinks, or to
standard output where there is none.`,
		Example: `  gonomaly run -c gonomaly.yaml
  KAFKA_BROKERS=kafka-1:9092,kafka-2:9092 gonomaly run -c gonomaly.yaml --listen 0.0.0.0:9464
  gonomaly run -c gonomaly.yaml --listen 127.0.0.1:0      a free port, logged as listen
  tail -f app.jsonl | gonomaly run -c gonomaly.yaml --input -      without Kafka`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			switch {
			case file == "":
				return usageError{errors.New("which configuration? Name it with -c FILE")}
			case input == "" && stream != "":
				return usageError{errors.New("--stream is for --input: from Kafka all streams of the configuration are run")}
			case input != "" && listen != "":
				return usageError{errors.New("--listen is not for --input: there is no HTTP port then")}
			}
			level := new(slog.LevelVar)
			log := slog.New(slog.NewJSONHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			if profile != "" {
				stop, err := profileCPU(profile)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, stop()) }()
			}
			if input != "" {
				return play(c.Context(), file, stream, input, level, log)
			}
			hangups := make(chan os.Signal, 1) // one that comes at once waits until there is what to reload
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			limitMemory(log)
			keepProgram(log)
			b := readBuild()
			s, err := service.New(service.Options{
				Load: func() (*config.Config, error) { return config.Load(file) }, Listen: listen, Log: log, Level: level, Env: os.LookupEnv,
				Build: service.Build{Version: b.Version, Revision: b.Commit},
			})
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(c.Context())
			defer stop()
			go reloadOn(ctx, hangups, s)
			return s.Run(c.Context())
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	c.Flags().StringVar(&listen, "listen", "", "`ADDRESS` of the HTTP port, instead of where the configuration says")
	c.Flags().StringVar(&input, "input", "", "`FILE` to read instead of Kafka, - for standard input")
	c.Flags().StringVar(&profile, "cpuprofile", "", "`FILE` for a profile of the CPU until the end, for go tool pprof")
	c.Flags().StringVar(&stream, "stream", "", "with --input, `NAME` of the stream to run, where the configuration has several")
	return c
}

// profileCPU writes a profile of the CPU to a file until it is stopped.
func profileCPU(path string) (stop func() error, err error) {
	f, err := os.Create(path) //nolint:gosec // a file that the user names
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// limitMemory sets GOMEMLIMIT, unless it is set, to what the process's container leaves it: fetching rests before that is reached.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set()
	if err != nil && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		log.Warn("find the memory limit of the container: set GOMEMLIMIT", "error", err)
	} else if limit < math.MaxInt64 {
		log.Info("memory is limited", "bytes", limit)
	}
}

// keepProgram locks the program in memory where that is allowed: it may run without, but on a machine that is short of memory it stands still at times.
func keepProgram(log *slog.Logger) {
	bytes, err := lockProgram()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		log.Info("the program is not locked in memory, and where that is short it may wait for its own pages: allow the process to lock as many bytes (ulimit -l, LimitMEMLOCK=, --ulimit memlock)",
			"bytes", bytes, "error", err)
	default:
		log.Info("the program is locked in memory", "bytes", bytes)
	}
}

func play(ctx context.Context, file, stream, input string, level *slog.LevelVar, log *slog.Logger) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	s, err := streamOf(c, stream)
	if err != nil {
		return usageError{err}
	}
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return err
	}
	return service.Play(ctx, c, s, input, log)
}

// reloadOn reloads at each signal. The service logs how that went.
func reloadOn(ctx context.Context, hangups <-chan os.Signal, s *service.Service) {
	for {
		select {
		case <-hangups:
			_ = s.Reload()
		case <-ctx.Done():
			return
		}
	}
}
