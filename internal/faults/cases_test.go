//go:build faults && unix

package faults

import (
	"context"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// faults are all that is tried: first what goes wrong, then what must wake nobody.
var faults = []fault{
	{
		name: "broker-gone", what: "the only broker gone (kill -9)", setup: setup{brokers: 1},
		strike: func(g *group) { g.must(g.kafka.Kill()) },
		cure: func(g *group) {
			g.must(g.kafka.Start(g.Context()))
			g.endLost()
		},
		alerts: []string{"GonomalyFreshnessBudgetBurn, critical"},
	},
	{
		name: "broker-frozen", what: "the only broker frozen (SIGSTOP)", setup: setup{brokers: 1},
		strike: func(g *group) { g.must(g.kafka.Signal(syscall.SIGSTOP)) },
		cure:   func(g *group) { g.must(g.kafka.Signal(syscall.SIGCONT)) },
		alerts: []string{"GonomalyFreshnessBudgetBurn, critical"},
	},
	{
		name: "leader-away", what: "the broker of one partition of four stopped, of three brokers", setup: setup{brokers: 3},
		strike: func(g *group) {
			g.must(g.kafka.Stop())
			g.struck = time.Now() // it serves until it ends, and takes minutes over what it cannot hand over
		},
		cure:   func(g *group) { g.must(g.kafka.Start(g.Context())) },
		alerts: []string{"GonomalyPartitionsStalled, critical"},
	},
	withheld(),
	answersWithheld(),
	{
		name: "reading-slowly", what: "a process that reads more slowly than is written (500 B/s by a quota of the broker)", setup: setup{brokers: 1},
		strike: func(g *group) { g.quota(500) },
		cure:   func(g *group) { g.quota(0) },
		alerts: []string{"GonomalyFreshnessBudgetBurn, critical"},
	},
	{
		name: "no-transactions", what: "the transaction coordinator refuses: one broker of three gone, and all three asked for (`min.insync.replicas`)", setup: setup{brokers: 3},
		strike: func(g *group) { g.lacksReplica("__transaction_state") },
		cure:   func(g *group) { g.must(g.cluster.Brokers[1].Start(g.Context())) },
		alerts: []string{"GonomalyFreshnessBudgetBurn, critical"},
	},
	{
		name: "no-offsets", what: "the group coordinator refuses offsets, likewise", setup: setup{brokers: 3},
		strike: func(g *group) { g.lacksReplica("__consumer_offsets") },
		cure:   func(g *group) { g.must(g.cluster.Brokers[1].Start(g.Context())) },
		alerts: []string{"GonomalyFreshnessBudgetBurn, critical"},
	},
	{
		name: silentPartition, what: "no records of one partition of four, which always had some for a day",
		strike: func(g *group) {
			g.spoils(func(machine int, _ time.Time) (string, bool) { return "", machine%partitions == 0 })
		},
		cure:   func(g *group) { g.spoil.Store(nil) },
		alerts: []string{"GonomalyPartitionSilent, warning"},
	},
	{
		name: silentStream, what: "no records at all, where there always were some for a day",
		strike: func(g *group) { g.spoils(func(int, time.Time) (string, bool) { return "", true }) },
		cure:   func(g *group) { g.spoil.Store(nil) },
		alerts: []string{"GonomalyNoRecords, warning"},
	},
	{
		name: "redis-stopped", what: "Redis stopped", setup: setup{redis: true},
		strike: func(g *group) { g.must(g.redis.Stop()) },
		cure:   func(g *group) { g.must(g.redis.Start(g.Context())) },
		alerts: []string{"GonomalySinkFailing, critical", "GonomalyRedisFailing, warning, reason unreachable"},
		may:    []string{"GonomalyDeliveryBudgetBurn, critical"},
	},
	{
		name: "redis-frozen", what: "Redis frozen (SIGSTOP)", setup: setup{redis: true},
		strike: func(g *group) { g.must(g.redis.Signal(syscall.SIGSTOP)) },
		cure:   func(g *group) { g.must(g.redis.Signal(syscall.SIGCONT)) },
		alerts: []string{"GonomalySinkFailing, critical", "GonomalyRedisFailing, warning, reason timeout"},
		may:    []string{"GonomalyDeliveryBudgetBurn, critical"},
	},
	{
		name: "redis-full", what: "Redis full (`maxmemory`, noeviction)", setup: setup{redis: true},
		strike: func(g *group) { g.ask("config", "set", "maxmemory", "1") },
		cure:   func(g *group) { g.ask("config", "set", "maxmemory", "0") },
		alerts: []string{"GonomalySinkFailing, critical", "GonomalyRedisFailing, warning, reason oom"},
		may:    []string{"GonomalyDeliveryBudgetBurn, critical"},
	},
	{
		name: "sink-refuses", what: "the sink refuses (Redis takes the right to XADD away)", setup: setup{redis: true},
		strike: func(g *group) { g.ask("acl", "setuser", "default", "-xadd") },
		cure:   func(g *group) { g.ask("acl", "setuser", "default", "+xadd") },
		alerts: []string{"GonomalySinkFailing, critical", "GonomalyRedisFailing, warning, reason noperm"},
		may:    []string{"GonomalyDeliveryBudgetBurn, critical"},
	},
	{
		name: "no-alert", what: "somebody writes what is no alert into the alerts topic",
		strike: func(g *group) { g.send(g.name+".alerts", "no alert") },
		alerts: []string{"GonomalyAlertsRefused, warning"},
	},
	{
		name: "slow-sink", what: "a sink that takes 20 s for an alert, behind a pipe that holds 50", setup: setup{sinks: "{kind: stdout}"},
		strike: func(g *group) { g.takes.Store(int64(20 * time.Second)) },
		cure:   func(g *group) { g.takes.Store(0) },
		alerts: []string{"GonomalyDeliveryBudgetBurn, critical"},
	},
	{
		name: "poison", what: "one record in 20 cannot be read",
		strike: func(g *group) {
			g.spoils(func(machine int, _ time.Time) (string, bool) { return "not JSON", machine == 0 })
		},
		cure:   func(g *group) { g.spoil.Store(nil) },
		alerts: []string{"GonomalyDeadLettersHigh, warning"},
	},
	{
		name: "clock-ahead", what: "the clock of one producer in ten an hour ahead",
		strike: func(g *group) { g.dates(time.Hour) },
		cure:   func(g *group) { g.spoil.Store(nil) },
		alerts: []string{"GonomalyDeadLettersHigh, warning"},
	},
	{
		name: "clock-believed", what: "the same believed (`max_ahead: 2h`), with windows", setup: setup{decode: ", max_ahead: 2h", stream: minutes},
		strike: func(g *group) { g.dates(time.Hour) },
		cure:   func(g *group) { g.spoil.Store(nil) },
		alerts: []string{"GonomalyFutureRecords, warning", "GonomalyLateRecords, warning"},
		stays:  map[string]string{"GonomalyLateRecords, warning": "stays until event time has come up to the watermark, an hour"},
	},
	{
		name: "clock-behind", what: "the clock of one producer in ten an hour behind, with windows", setup: setup{stream: minutes},
		strike: func(g *group) { g.dates(-time.Hour) },
		cure:   func(g *group) { g.spoil.Store(nil) },
		alerts: []string{"GonomalyLateRecords, warning"},
	},
	{
		name: "retention", what: "retention overtakes a process that is down",
		strike: func(g *group) {
			m := g.members[0]
			m.end(syscall.SIGTERM)
			time.Sleep(5 * time.Second)
			g.deleteAll()
			m.address = g.address(g.T) // as a pod that is made anew: its counters begin where nobody knows of others
			g.scrape(m)
			m.start()
		},
		alerts: []string{"GonomalyRecordsLost, critical"},
	},
	{
		name: "retention-reading", what: "retention overtakes a process that reads too slowly (20 B/s by a quota of the broker)", setup: setup{brokers: 1},
		strike: func(g *group) {
			g.quota(20)
			time.Sleep(30 * time.Second)
			g.deleteAll()
			g.quota(0)
		},
		alerts: []string{"GonomalyRecordsLost, critical"},
	},
	{
		name: "retention-withheld", what: "retention overtakes a process that runs behind a transaction that nobody ends",
		strike: func(g *group) {
			producer := g.open("upstream", g.name, 0, 1, 2, 3)
			time.Sleep(20 * time.Second)
			g.deleteAll()
			g.abort(producer)
		},
		alerts: []string{"GonomalyRecordsLost, critical"},
	},
	{
		name: "member-frozen", what: "one of two processes frozen (SIGSTOP)", setup: setup{members: 2},
		strike: func(g *group) { g.members[1].signal(syscall.SIGSTOP) },
		cure:   func(g *group) { g.members[1].signal(syscall.SIGCONT) },
		alerts: []string{"GonomalyInstanceDown, warning"},
	},
	{
		name: "reload", what: "a reload with `half_life: -1`",
		strike: func(g *group) {
			g.configure("-1")
			g.members[0].reload()
		},
		cure: func(g *group) {
			g.configure("30")
			g.members[0].reload()
		},
		alerts: []string{"GonomalyReloadRefused, warning"},
	},
	{
		name: "broker-slow", what: "the only broker slow (stopped for 2.4 s of each 3), and the stream keeps up", setup: setup{brokers: 1},
		strike: func(g *group) {
			ctx, cancel := context.WithCancel(g.Context())
			var slowing sync.WaitGroup
			slowing.Go(func() {
				for ctx.Err() == nil {
					_ = g.kafka.Signal(syscall.SIGSTOP)
					time.Sleep(2400 * time.Millisecond)
					_ = g.kafka.Signal(syscall.SIGCONT)
					time.Sleep(600 * time.Millisecond)
				}
			})
			g.Cleanup(func() {
				cancel()
				slowing.Wait()
			})
		},
	},
	{
		name: "restart", what: "a restart (SIGTERM), and three minutes later another",
		strike: func(g *group) {
			g.restart(syscall.SIGTERM)
			time.Sleep(3 * time.Minute)
			g.restart(syscall.SIGTERM)
		},
	},
	{
		name: "crash", what: "a crash (kill -9) and a start, and three minutes later again",
		strike: func(g *group) {
			g.restart(syscall.SIGKILL)
			time.Sleep(3 * time.Minute)
			g.restart(syscall.SIGKILL)
		},
	},
	{
		name: "scale-out", what: "a second process comes, and leaves after three minutes",
		strike: func(g *group) {
			m := g.newMember("b")
			g.members = append(g.members, m)
			m.start()
			g.scrape(g.members...)
			g.ready()
			time.Sleep(3 * time.Minute)
			m.end(syscall.SIGTERM)
			g.members = g.members[:1]
			g.scrape(g.members...)
		},
	},
	{
		name: "upgrade", what: "two processes restarted one after the other, twice", setup: setup{members: 2},
		strike: func(g *group) {
			for range 2 {
				g.restart(syscall.SIGTERM)
				time.Sleep(time.Minute)
			}
		},
	},
}

const minutes = "\n    window: {every: 10s, aggregate: [mean], lateness: 10s}"

// ask is redis-cli.
func (g *group) ask(args ...string) {
	g.Helper()
	out, err := exec.CommandContext(g.Context(), "redis-cli", append([]string{"-u", "redis://" + g.redis.Address()}, args...)...).CombinedOutput()
	if err != nil || string(out) != "OK\n" {
		g.Fatalf("redis-cli %v: %v: %s", args, err, out)
	}
}

func (g *group) spoils(s spoiler) { g.spoil.Store(&s) }

// dates has two machines of 20 date their records otherwise.
func (g *group) dates(by time.Duration) {
	g.spoils(func(machine int, now time.Time) (string, bool) {
		return report(machine, now.Add(by), 21), machine < machines/10
	})
}

// restart ends the processes one after the other, and starts each again before the next.
func (g *group) restart(with syscall.Signal) {
	g.Helper()
	for _, m := range g.members {
		m.end(with)
		time.Sleep(2 * time.Second)
		m.start()
		g.ready()
	}
}

// open is a producer that has begun a transaction, with a record in each of these partitions of a topic: readers of committed records get
// nothing of what is written there after it, until it is ended.
func (g *group) open(name, topic string, partitions ...int32) *kgo.Client {
	g.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(g.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(g.name+"-"+name), kgo.TransactionTimeout(15*time.Minute)) // a default broker allows no more
	g.must(err)
	g.Cleanup(producer.Close)
	g.must(producer.BeginTransaction())
	for _, i := range partitions {
		g.must(producer.ProduceSync(g.Context(), &kgo.Record{Topic: topic, Partition: i, Value: []byte(report(0, time.Now(), 21))}).FirstErr())
	}
	return producer
}

func (g *group) abort(producer *kgo.Client) {
	g.Helper()
	g.must(producer.EndTransaction(g.Context(), kgo.TryAbort))
}

func withheld() fault {
	var producer *kgo.Client
	return fault{
		name: "withheld", what: "one partition of four behind a transaction that nobody ends",
		strike: func(g *group) { producer = g.open("upstream", g.name, 0) },
		cure:   func(g *group) { g.abort(producer) },
		alerts: []string{"GonomalyRecordsWithheld, critical"},
	}
}

// answersWithheld hides alerts from their readers, and nothing that Gonomaly does itself tells: it commits, and its sinks have no lag, for the log
// ends there for them.
func answersWithheld() fault {
	var producer *kgo.Client
	return fault{
		name: "answers-withheld", what: "the alerts topic behind a transaction that nobody ends, with `probe: {every: 10s, timeout: 10s}`",
		setup: setup{stream: "\n    probe: {every: 10s, timeout: 10s}"},
		strike: func(g *group) {
			first := g.open("first", g.name+".alerts", 0, 1, 2, 3)
			time.Sleep(10 * time.Minute) // the ticket comes after more time than a broker leaves a transaction
			producer = g.open("second", g.name+".alerts", 0, 1, 2, 3)
			g.abort(first)
		},
		cure:   func(g *group) { g.abort(producer) },
		alerts: []string{"GonomalyProbeLost, warning"},
	}
}
