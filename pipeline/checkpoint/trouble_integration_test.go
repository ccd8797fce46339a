//go:build integration && unix

package checkpoint_test

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sinks"
)

// do has the server of a stage obey a command.
func (s *stage) do(command string) {
	s.Helper()
	var args []any
	for _, word := range strings.Fields(command) {
		args = append(args, word)
	}
	if err := s.admin.(*redis.Client).Do(s.Context(), args...).Err(); err != nil {
		s.Fatalf("%s: %v", command, err)
	}
}

// commands is a trouble, or its end, that a few commands make.
func commands(all ...string) func(*stage) {
	return func(s *stage) {
		s.Helper()
		for _, c := range all {
			s.do(c)
		}
	}
}

// disconnect has the clients of a stage connect anew. A server refuses some of its own only.
const disconnect = "CLIENT KILL TYPE normal SKIPME yes"

var transient = map[string]struct {
	reason     string
	settings   []string // of the server
	begin, end func(*stage)
	reads      bool // Redis can be read all the while
}{
	"full": {
		reason: "oom", reads: true, begin: commands("CONFIG SET maxmemory 1"), end: commands("CONFIG SET maxmemory 0"),
	},
	"a replica": {
		reason: "readonly", reads: true, begin: commands("REPLICAOF 127.0.0.1 1"), end: commands("REPLICAOF NO ONE"),
	},
	"without replicas": {
		reason: "noreplicas", reads: true, begin: commands("CONFIG SET min-replicas-to-write 1"), end: commands("CONFIG SET min-replicas-to-write 0"),
	},
	"loading": {
		reason: "loading", settings: []string{"--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024"},
		begin: func(s *stage) {
			for i := range 500 {
				if err := s.admin.Set(s.Context(), fmt.Sprint("filler-", i), strings.Repeat("filler", 500), 0).Err(); err != nil {
					s.Fatal(err)
				}
			}
			s.do("CONFIG SET key-load-delay 50000") // µs
			go func() {
				c := redis.NewClient(&redis.Options{Addr: s.server.Address(), ReadTimeout: -1})
				_ = c.Do(s.Context(), "DEBUG", "RELOAD").Err()
				_ = c.Close()
			}()
			s.until(redis.IsLoadingError)
		},
		end: commands("CONFIG SET key-load-delay 0"),
	},
	"a replica without its master": {
		reason: "masterdown", begin: commands("CONFIG SET replica-serve-stale-data no", "REPLICAOF 127.0.0.1 1"), end: commands("REPLICAOF NO ONE"),
	},
	"without a right": {
		reason: "noperm", reads: true, begin: commands("ACL SETUSER gonomaly -set -evalsha"), end: commands("ACL SETUSER gonomaly +set +evalsha"),
	},
	"without a right in a script": {
		reason: "noperm", reads: true, begin: commands("ACL SETUSER gonomaly -hset"), end: commands("ACL SETUSER gonomaly +hset"),
	},
	"with other keys": {
		reason: "noperm", begin: commands("ACL SETUSER gonomaly resetkeys ~other:*"), end: commands("ACL SETUSER gonomaly ~test-*"),
	},
	"with another password": {
		reason: "auth", begin: commands("ACL SETUSER gonomaly resetpass >other", disconnect), end: commands("ACL SETUSER gonomaly >hunter2"),
	},
	"without the user": {
		reason: "auth", begin: commands("ACL SETUSER gonomaly off", disconnect), end: commands("ACL SETUSER gonomaly on"),
	},
	"without disk": {
		reason: "misconf", reads: true,
		begin: func(s *stage) {
			if err := os.Mkdir(s.dump(), 0o700); err != nil { // where its file would be
				s.Fatal(err)
			}
			if err := s.admin.ConfigSet(s.Context(), "save", "3600 1").Err(); err != nil {
				s.Fatal(err)
			}
			s.save("err")
		},
		end: func(s *stage) {
			if err := os.Remove(s.dump()); err != nil {
				s.Fatal(err)
			}
			s.save("ok")
		},
	},
	"busy": {
		reason: "busy",
		begin: func(s *stage) {
			s.do("CONFIG SET busy-reply-threshold 1")
			go func() {
				c := redis.NewClient(&redis.Options{Addr: s.server.Address(), ReadTimeout: -1})
				_ = c.Eval(s.Context(), "while true do end", nil).Err()
				_ = c.Close()
			}()
			s.until(func(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "BUSY") })
		},
		end: commands("SCRIPT KILL"),
	},
	"with too many clients": { // it hangs up before it can be asked, and its words are lost
		reason: "unreachable", begin: commands("CONFIG SET maxclients 1", disconnect), end: commands("CONFIG SET maxclients 100"),
	},
	"with keys of another program": {
		reason: "wrong_type",
		begin: func(s *stage) {
			for _, key := range s.keys() {
				s.do("RENAME " + key + " aside-" + key)
				s.do("SET " + key + " theirs")
			}
		},
		end: func(s *stage) {
			for _, key := range s.keys() {
				s.do("RENAME aside-" + key + " " + key)
			}
		},
	},
	"frozen": {
		reason: "timeout",
		begin: func(s *stage) {
			if err := s.server.Signal(syscall.SIGSTOP); err != nil {
				s.Fatal(err)
			}
			s.until(func(err error) bool { // it may answer for a moment after the signal is sent
				var network net.Error
				return errors.As(err, &network) && network.Timeout()
			})
		},
		end: func(s *stage) {
			if err := s.server.Signal(syscall.SIGCONT); err != nil {
				s.Fatal(err)
			}
		},
	},
	"stopped": {
		reason: "unreachable",
		begin: func(s *stage) {
			if err := s.server.Stop(); err != nil {
				s.Fatal(err)
			}
		},
		end: (*stage).start,
	},
}

// start starts a server that was stopped. It does not know its users any more.
func (s *stage) start() {
	s.Helper()
	if err := errors.Join(s.server.Start(s.Context()),
		checkpoint.Grant(s.Context(), s.admin.(*redis.Client), checkpoint.TestUser, checkpoint.AllRights()...)); err != nil {
		s.Fatal(err)
	}
}

// Where Redis refuses or does not answer, detection goes on, what is to be done is said, and nobody takes it for an empty one; when it is
// well again the state and all alerts are in it, each once.
func TestTransientTroubles(t *testing.T) {
	for name, c := range transient {
		t.Run(c.reason+", "+name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.settings...)
			s.live(c.begin, c.reason, c.reads, c.end)
		})
	}
}

// live lives through a trouble.
func (s *stage) live(begin func(*stage), reason string, reads bool, end func(*stage)) {
	s.Helper()
	s.takeOver(pipeline.FromStart)
	s.fold(1000)
	s.delivered()
	s.stored()
	begin(s)
	told := checkpoint.Told(reason)
	s.fold(2000)
	if err := s.deliver(); err == nil || !strings.Contains(err.Error(), told) {
		s.Errorf("an alert is sent: %v, want %s", err, told)
	}
	s.eventually("a checkpoint fails", func() error {
		s.commit()
		if err := s.stream.Ready(); err == nil || !strings.Contains(err.Error(), told) {
			return fmt.Errorf("ready is %w, want %s", err, told)
		}
		return nil
	})
	if n := s.errorsOf(reason); n < 2 {
		s.Errorf("%v errors counted, want 2", n)
	}
	from, err := s.begin().stream.Assign(s.Context(), goldenLog.Partition, s.committed)
	switch {
	case reads && (err != nil || from != 1000):
		s.Errorf("another process takes over: from %d, %v, want 1000", from, err)
	case !reads && (err == nil || errors.Is(err, pipeline.ErrNoCheckpoint) || !strings.Contains(err.Error(), told)):
		s.Errorf("another process takes over: %v, want that it waits: %s", err, told)
	}
	end(s)
	s.delivered()
	s.stored()
	if n := len(s.said.lines("level=ERROR")); n > 1 {
		s.Errorf("%d errors logged, want 1 of a trouble that lasts: %q", n, s.said.lines("level=ERROR"))
	}
	s.takeOver(2000)
	s.fold(3000)
	s.delivered()
	s.wantOnce()
}

// errorsOf is how many errors of Redis were counted for a reason.
func (s *stage) errorsOf(reason string) float64 {
	s.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "gonomaly_redis_errors_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// until waits until Redis answers with such an error.
func (s *stage) until(is func(error) bool) {
	s.Helper()
	s.eventually("Redis is in trouble", func() error {
		if err := s.admin.Get(s.Context(), "filler").Err(); !is(err) {
			return fmt.Errorf("it answers %w", err)
		}
		return nil
	})
}

// dump is where Redis saves.
func (s *stage) dump() string {
	dir, err := s.admin.ConfigGet(s.Context(), "dir").Result()
	if err != nil {
		s.Fatal(err)
	}
	return filepath.Join(dir["dir"], "dump.rdb")
}

// save has Redis save, which ends in a way.
func (s *stage) save(want string) {
	s.Helper()
	s.do("BGSAVE")
	s.eventually("Redis has saved", func() error {
		info, err := s.admin.Info(s.Context(), "persistence").Result()
		if err == nil && (!strings.Contains(info, "rdb_last_bgsave_status:"+want) || !strings.Contains(info, "rdb_bgsave_in_progress:0")) {
			err = errors.New(info)
		}
		return err
	})
}

// keys are those that point to all others.
func (s *stage) keys() []string {
	pointer := fmt.Sprintf("%s:{%s:%s:%d}", s.config.KeyPrefix, goldenLog.Group, goldenLog.TopicID, goldenLog.ID)
	return []string{pointer, s.config.KeyPrefix + ":positions"}
}

// A proxy that swallows what is sent is a trouble of the network, in either direction: what is lost may have been obeyed.
func TestHalfOpen(t *testing.T) {
	for _, direction := range []string{"upstream", "downstream"} {
		t.Run(direction, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			p := proxyTo(t, s.server)
			s.config.Address = p.Listen
			s.live(func(*stage) {
				toxic := fmt.Sprintf(`{"name": "cut", "type": "timeout", "stream": %q, "attributes": {"timeout": 0}}`, direction)
				if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
					t.Fatal(err)
				}
			}, "timeout", false, func(*stage) {
				if err := p.Toxics.RemoveToxic(t.Context(), "cut"); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A Cluster without some of its slots refuses them all.
func TestClusterDown(t *testing.T) {
	s := newStage(t, "--cluster-enabled", "yes")
	s.do("CLUSTER ADDSLOTSRANGE 0 16383")
	s.config.Cluster = true
	rights := slices.Concat(checkpoint.AllRights(), checkpoint.ClusterRights)
	if err := checkpoint.Grant(t.Context(), s.admin.(*redis.Client), checkpoint.TestUser, rights...); err != nil {
		t.Fatal(err)
	}
	s.until(func(err error) bool { return errors.Is(err, redis.Nil) }) // it is up
	s.live(commands("CLUSTER DELSLOTSRANGE 0 8191"), "cluster_down", false, commands("CLUSTER ADDSLOTSRANGE 0 8191"))
}

func proxyTo(t *testing.T, server *local.Redis) *toxiproxy.Proxy {
	t.Helper()
	ports, err := local.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()), "redis",
		fmt.Sprintf("127.0.0.1:%d", ports[0]), server.Address())
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Where Redis answers and has less than it confirmed, that is said once, and all is in it again.
func TestLosses(t *testing.T) {
	for name, c := range map[string]struct {
		settings []string
		lose     func(*stage)
	}{
		"flushed":         {nil, commands("FLUSHALL")},
		"without a file":  {[]string{"--appendonly", "no"}, restart},
		"the newest gone": {nil, func(s *stage) { s.do("DEL " + s.keys()[0]) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, c.settings...)
			s.takeOver(pipeline.FromStart)
			s.fold(1000)
			s.stored()
			for len(strings.Fields(s.admin.HGet(t.Context(), s.keys()[0], "newest").Val())) != 4 { // so that what comes next is a change
				s.fold(s.committed + 2)
				s.stored()
			}
			s.delivered()
			c.lose(s)
			s.fold(s.committed + 2)
			s.stored()
			s.fold(2000)
			s.delivered()
			s.stored()
			if warned := s.said.lines("the store has lost checkpoints: whole ones are written"); len(warned) != 1 {
				t.Errorf("%d warnings, want 1: %q", len(warned), warned)
			}
			if failed := s.said.lines("level=ERROR"); len(failed) > 0 {
				t.Errorf("it is no error: %q", failed)
			}
			s.takeOver(2000)
			s.fold(3000)
			s.delivered()
			s.wantOnce()
		})
	}
}

func restart(s *stage) {
	s.Helper()
	if err := s.server.Stop(); err != nil {
		s.Fatal(err)
	}
	s.start()
}

// A fail-over to a replica that lacks the newest writes: what it lacks is written again, and nothing twice.
func TestFailOverToAnOlderReplica(t *testing.T) {
	s := newStage(t, "--repl-diskless-sync-delay", "0")
	replica := local.OwnRedis(t)
	p := proxyTo(t, s.server)
	s.config.Address = p.Listen
	other := redis.NewClient(&redis.Options{Addr: replica.Address()})
	if err := errors.Join(checkpoint.Grant(t.Context(), other, checkpoint.TestUser, checkpoint.AllRights()...), checkpoint.Follow(t.Context(), other, s.server)); err != nil {
		t.Fatal(err)
	}
	s.takeOver(pipeline.FromStart)
	s.fold(1000)
	s.delivered()
	s.stored()
	if err := errors.Join(s.admin.(*redis.Client).Wait(t.Context(), 1, 0).Err(), other.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err()); err != nil {
		t.Fatal(err)
	}
	s.fold(1500) // only the old master hears of it
	s.delivered()
	s.stored()
	p.Stop()
	if err := s.server.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Upstream = replica.Address()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	s.admin = other

	// A process that starts now has an older state, and the same alerts.
	s.takeOver(1000)
	s.fold(2000)
	s.delivered()
	s.stored()
	s.takeOver(2000)
	s.fold(3000)
	s.delivered()
	s.wantOnce()
}

// A master is killed in the middle, and the Sentinel makes the replica the next one.
func TestFailOverBySentinel(t *testing.T) {
	i := checkpoint.InstallationFor(t, "sentinel")
	s := newStageOn(t, i.Config, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: i.Config.Sentinel.Master, SentinelAddrs: []string{i.Config.Address}, SentinelPassword: string(i.Config.Sentinel.Password),
	}))
	s.takeOver(pipeline.FromStart)
	s.fold(1000)
	s.delivered()
	s.stored()
	now, err := i.Sentinel.GetMasterAddrByName(t.Context(), i.Config.Sentinel.Master).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range i.Servers {
		if server.Address() == net.JoinHostPort(now[0], now[1]) {
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			defer func() { // the other tests want both
				if err := server.Start(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
	}
	s.fold(2000)
	s.delivered()
	s.stored()
	s.takeOver(2000)
	s.fold(3000)
	s.delivered()
	s.wantOnce()
}

// What is wrong with the configuration is said as such, and waited for like any other trouble.
func TestMisconfigured(t *testing.T) {
	plain := func(t *testing.T) checkpoint.RedisConfig {
		c := checkpoint.DefaultRedis()
		c.Address = local.OwnRedis(t).Address()
		return c
	}
	node := func(t *testing.T) checkpoint.RedisConfig { // of a Cluster, for each key
		c := checkpoint.InstallationFor(t, "cluster").Config
		c.Address, _, _ = strings.Cut(c.Address, ",")
		return c
	}
	for name, c := range map[string]struct {
		config        func(t *testing.T) checkpoint.RedisConfig
		change        func(c *checkpoint.RedisConfig)
		reason, alert string // of checkpoints, and of alerts where they differ
	}{
		"a Cluster that is not used as one": {node, func(c *checkpoint.RedisConfig) { c.Cluster = false }, "moved", "cross_slot"},
		"no Cluster":                        {plain, func(c *checkpoint.RedisConfig) { c.Cluster = true }, "not_cluster", ""},
		"no such database":                  {plain, func(c *checkpoint.RedisConfig) { c.DB = 99 }, "db", ""},
		"no Sentinel":                       {plain, func(c *checkpoint.RedisConfig) { c.Sentinel.Master = "mymaster" }, "sentinel", ""},
		"no TLS":                            {plain, func(c *checkpoint.RedisConfig) { c.TLS.Enabled = true }, "timeout", ""},
		"no user":                           {plain, func(c *checkpoint.RedisConfig) { c.Username, c.Password = "nobody", "hunter2" }, "auth", ""},
		"no such host":                      {plain, func(c *checkpoint.RedisConfig) { c.Address = "redis.invalid:6379" }, "unreachable", ""},
		"a master that the Sentinels do not know": {
			func(t *testing.T) checkpoint.RedisConfig { return checkpoint.InstallationFor(t, "sentinel").Config },
			func(c *checkpoint.RedisConfig) { c.Sentinel.Master = "another" }, "sentinel", "",
		},
		"an authority that the server is not of": {
			func(t *testing.T) checkpoint.RedisConfig { return checkpoint.InstallationFor(t, "tls").Config },
			func(c *checkpoint.RedisConfig) { c.TLS.CAFile = "" }, "tls", "",
		},
		"no certificate": {
			func(t *testing.T) checkpoint.RedisConfig { return checkpoint.InstallationFor(t, "tls").Config },
			func(c *checkpoint.RedisConfig) { c.TLS.CertFile, c.TLS.KeyFile = "", "" }, "tls", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := c.config(t)
			c.change(&config)
			s := newStageOn(t, config, redis.NewClient(&redis.Options{Addr: config.Address}))
			s.process = s.begin()
			var err error
			for p := goldenLog.Partition; err == nil && p.ID < 20; p.ID++ { // some slots are this node's
				_, err = s.stream.Assign(t.Context(), p, 100)
			}
			if want := checkpoint.Told(c.reason); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Assign = %v, want %s", err, want)
			}
			if n, err := s.sink.Position(t.Context(), alertsOf); err == nil && c.alert == "" {
				t.Errorf("Position = %d, want an error: nobody was asked", n)
			}
			s.topic = []sinks.Delivery{{Alert: pipeline.Alert{ID: "a", Incident: "a", Status: pipeline.Open}, Data: []byte("{}"), Partition: alertsOf}}
			if want, err := checkpoint.Told(cmp.Or(c.alert, c.reason)), s.deliver(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Send = %v, want %s", err, want)
			}
		})
	}
}
