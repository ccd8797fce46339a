package checkpoint

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/trust"
	"github.com/gonomaly/gonomaly/pipeline"
)

func mini(t *testing.T) (*miniredis.Miniredis, bench) {
	m := miniredis.RunT(t)
	c := DefaultRedis()
	c.Address = m.Addr()
	client, err := c.Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return m, bench{Store: NewRedis(client, c.KeyPrefix, nil, slog.New(slog.DiscardHandler))}
}

// The layout is what operators see, and what a fleet of old and new processes shares.
func TestRedisLayout(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100, 200, 300)
	pointer := "gonomaly:{gonomaly.machines:3f2a:7}"
	if err := s.Save(t.Context(), someLog, after(310, 300)); err != nil {
		t.Fatal(err)
	}
	stored, err := s.shelf.list(t.Context(), someLog)
	if err != nil || len(stored) != 2 || len(stored[0].pieces) != 2 {
		t.Fatalf("list = %v, %v", stored, err)
	}
	old, whole, changes := stored[1].pieces[0].tag, stored[0].pieces[0].tag, stored[0].pieces[1].tag
	want := []string{pointer, pointer + ":1:200:" + old + ":0", pointer + ":1:300:" + whole + ":0", pointer + ":1:310:" + changes + ":0"}
	if got := m.Keys(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("keys are %v, want %v", got, want)
	}
	newest, previous := "1 300 1 "+whole+" 310 1 "+changes, "1 200 1 "+old
	if got, before := m.HGet(pointer, "newest"), m.HGet(pointer, "previous"); got != newest || before != previous {
		t.Errorf("pointer is %q and %q, want %q and %q", got, before, newest, previous)
	}
	for _, key := range m.Keys() {
		if ttl := m.TTL(key); ttl != 0 {
			t.Errorf("%s is referenced and expires in %v", key, ttl)
		}
	}
}

// What a crash leaves before the pointer is flipped does not stay.
func TestOrphansExpire(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100)
	failScripts(m, 1000)
	if err := s.Save(t.Context(), someLog, at(200)); err == nil {
		t.Fatal("saved without its script")
	}
	m.Server().SetPreHook(nil)
	s.want(t, forever, 100)
	if n := len(m.Keys()); n != 3 {
		t.Fatalf("%d keys, want pointer, chunk and orphan", n)
	}
	m.FastForward(orphanTTL + time.Second)
	if n := len(m.Keys()); n != 2 {
		t.Errorf("%d keys, want pointer and chunk", n)
	}
	s.want(t, forever, 100)
}

// Nothing stays of a state that breaks off after some of its chunks are stored.
func TestNoOrphansOfWhatBreaksOff(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100)
	if err := s.Store.Save(t.Context(), someLog, at(200).Checkpoint, breaksOff); !errors.Is(err, errBreaks) {
		t.Errorf("Save = %v, want the error of the state", err)
	}
	if keys := m.Keys(); len(keys) != 2 {
		t.Errorf("keys are %v, want pointer and chunk of 100", keys)
	}
}

// A lost chunk is seen by the script: the pointer stays on what is whole.
func TestPointerNeedsItsChunks(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if strings.EqualFold(cmd, "SET") {
			c.WriteOK() // says so, and stores nothing
			return true
		}
		return false
	})
	err := s.Save(t.Context(), someLog, at(200))
	if err == nil || !strings.Contains(err.Error(), "chunk 0 of 1 is not stored "+Told("unstored")) {
		t.Fatalf("Save = %v, want an error that names the chunk, and %s", err, Told("unstored"))
	}
	m.Server().SetPreHook(nil)
	s.want(t, forever, 100)
	s.save(t, 200)
	s.want(t, forever, 200)
}

// A reply may be lost after the command was carried out; to repeat it changes nothing.
func TestLostReplies(t *testing.T) {
	m, s := mini(t)
	for o := int64(1); o <= 5; o++ {
		failScripts(m, 2) // both attempts of the client
		_ = s.Save(t.Context(), someLog, at(o))
		m.Server().SetPreHook(nil)
		s.save(t, o)
		s.want(t, forever, o)
	}
	s.want(t, 4, 4)
}

func failScripts(m *miniredis.Miniredis, n int32) {
	var left atomic.Int32
	left.Store(n)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		if strings.HasPrefix(strings.ToUpper(cmd), "EVAL") && left.Add(-1) >= 0 {
			c.Close()
			return true
		}
		return false
	})
}

// An unreachable Redis is not an empty one.
func TestUnreachableIsNotEmpty(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100)
	for what, breakIt := range map[string]func(){
		"loading": func() { m.SetError("LOADING Redis is loading the dataset in memory") },
		"gone":    func() { m.SetError(""); m.Close() },
	} {
		breakIt()
		if _, err := s.Load(t.Context(), someLog, forever, config); err == nil || errors.Is(err, pipeline.ErrNoCheckpoint) {
			t.Errorf("%s: Load = %v, want an error that is not ErrNoCheckpoint", what, err)
		}
		if err := s.Save(t.Context(), someLog, at(200)); err == nil {
			t.Errorf("%s: Save = nil", what)
		}
		m.SetError("")
		_ = m.Restart()
	}
	s.want(t, forever, 100)
}

// Where a store has lost what it confirmed, however many partitions notice, that is said once, and whole ones are stored.
func TestLostIsSaidOnce(t *testing.T) {
	m, s := mini(t)
	var said bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	logs := make([]pipeline.Log, 5)
	for i := range logs {
		logs[i] = pipeline.Log{Group: "g", Partition: pipeline.Partition{Topic: "t", ID: int32(i)}}
		for _, c := range []pipeline.Stored{at(100), after(110, 100)} {
			if err := s.Save(t.Context(), logs[i], c); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.FlushAll()
	for _, l := range logs {
		if err := s.Save(t.Context(), l, after(120, 110)); !errors.Is(err, pipeline.ErrBroken) {
			t.Fatalf("Save of what continues what is lost = %v, want ErrBroken", err)
		}
		if err := s.Save(t.Context(), l, at(120)); err != nil {
			t.Fatal(err)
		}
	}
	if text := said.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN msg=\"the store has lost checkpoints: whole ones are written\"") ||
		!strings.Contains(text, "confirmed=110 stored=-1") {
		t.Errorf("said %q, want one warning", text)
	}
	if n := testutil.ToFloat64(s.metrics.lost); n != 5 {
		t.Errorf("%v losses counted, want 5", n)
	}
	// What was stored although the reply was lost is not lost.
	if err := s.Save(t.Context(), logs[0], after(130, 120)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), logs[0], after(140, 120)); !errors.Is(err, pipeline.ErrBroken) {
		t.Errorf("Save of what continues another = %v, want ErrBroken", err)
	}
	if n := testutil.ToFloat64(s.metrics.lost); n != 5 {
		t.Errorf("%v losses counted, want 5 still", n)
	}
}

// An owner that could not load, because Redis was away, writes in the line of states that is there: it may have changed since.
func TestOwnerThatCouldNotLoad(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100)
	s.want(t, forever, 100)
	between := bench{Store: NewRedis(s.shelf.(*shelves).client, "gonomaly", nil, s.log)}
	between.want(t, 10) // begins the next epoch
	between.save(t, 20)
	m.SetError("LOADING")
	if _, err := s.Load(t.Context(), someLog, forever, config); errors.Is(err, pipeline.ErrNoCheckpoint) {
		t.Fatalf("Load = %v", err)
	}
	m.SetError("")
	s.save(t, 30)
	s.want(t, forever, 30)
}

// The words of Redis are told apart, with the remedy and a counter; what is an answer is none of them.
func TestWordsOfRedis(t *testing.T) {
	m := miniredis.RunT(t)
	c := redisAt(m.Addr())
	reg := prometheus.NewRegistry()
	client, err := c.Client(reg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()                                                   //nolint:errcheck // nothing is lost
	if err := client.Get(t.Context(), "nothing").Err(); err != redis.Nil { //nolint:errorlint // unwrapped
		t.Errorf("Get of nothing = %v, want redis.Nil", err)
	}
	said := map[string]string{
		"OOM command not allowed when used memory > 'maxmemory'. script: a1, on @user_script:9.": "oom",
		"READONLY You can't write against a read only replica.":                                  "readonly",
		"NOREPLICAS Not enough good replicas to write.":                                          "noreplicas",
		"LOADING Redis is loading the dataset in memory":                                         "loading",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":       "masterdown",
		"NOPERM this user has no permissions to run the 'set' command":                           "noperm",
		"ERR The user executing the script can't run this command or subcommand":                 "noperm",
		"NOAUTH Authentication required.":                                                        "auth",
		"WRONGPASS invalid username-password pair or user is disabled.":                          "auth",
		"MISCONF Redis is configured to save RDB snapshots":                                      "misconf",
		"BUSY Redis is busy running a script.":                                                   "busy",
		"ERR max number of clients reached":                                                      "max_clients",
		"WRONGTYPE Operation against a key holding the wrong kind of value":                      "wrong_type",
		"CROSSSLOT Keys in request don't hash to the same slot":                                  "cross_slot",
		"ERR Script attempted to access a non local key in a cluster node":                       "cross_slot",
		"MOVED 3999 127.0.0.1:6381":                                                              "moved",
		"ASK 3999 127.0.0.1:6381":                                                                "moved",
		"CLUSTERDOWN Hash slot not served":                                                       "cluster_down",
		"TRYAGAIN Multiple keys request during rehashing of slot":                                "cluster_down",
		"ERR This instance has cluster support disabled":                                         "not_cluster",
		"ERR DB index is out of range":                                                           "db",
		"ERR something new":                                                                      "other",
	}
	for words, reason := range said {
		m.SetError(words)
		if err := client.Get(t.Context(), "nothing").Err(); err == nil || !strings.HasPrefix(err.Error(), words) || !strings.HasSuffix(err.Error(), Told(reason)) {
			t.Errorf("%s: Get = %v, want %s", words, err, Told(reason))
		}
	}
	m.SetError("")
	if n, err := testutil.GatherAndCount(reg, "gonomaly_redis_errors_total"); err != nil || n != len(troubles) {
		t.Errorf("%d reasons, %v, want %d", n, err, len(troubles))
	}
}

func TestDamagedPointer(t *testing.T) {
	m, s := mini(t)
	s.save(t, 100)
	m.HSet("gonomaly:{gonomaly.machines:3f2a:7}", "newest", "1 200 99999999999 aa")
	s.want(t, forever)
}

func TestRedisConfig(t *testing.T) {
	c := RedisConfig{Address: "", DB: -1, KeyPrefix: "{a}", Password: "hunter2", TLS: trust.TLS{Enabled: true, CertFile: "x"}, Sentinel: SentinelConfig{Password: "hunter2"}}
	_, err := c.Client(nil)
	for _, want := range []string{"address is", "db is -1, want ≥ 0", "key_prefix is {a}", "tls.cert_file is"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Client() = %v, want %q", err, want)
		}
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s", c.Password)} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the password is printed: %s", text)
		}
	}
}

// The client speaks TLS and authenticates, and refuses a server whose certificate it does not know.
func TestRedisOverTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	m := miniredis.NewMiniRedis()
	if err := m.StartTLS(&tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.RequireUserAuth("gonomaly", "hunter2")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		password trust.Secret
		tls      trust.TLS
		want     string
	}{
		{"hunter2", trust.TLS{Enabled: true, CAFile: ca}, ""},
		{"wrong", trust.TLS{Enabled: true, CAFile: ca}, "WRONGPASS"},
		{"hunter2", trust.TLS{Enabled: true}, "certificate"},
		{"hunter2", trust.TLS{Enabled: true, CAFile: ca, ServerName: "other.test"}, "certificate"},
	} {
		config := RedisConfig{Address: m.Addr(), Username: "gonomaly", Password: c.password, KeyPrefix: "gonomaly", TLS: c.tls}
		client, err := config.Client(nil)
		if err != nil {
			t.Fatal(err)
		}
		err = client.Ping(t.Context()).Err()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Ping of %+v = %v, want %q", c, err, c.want)
		}
		_ = client.Close()
	}
}
