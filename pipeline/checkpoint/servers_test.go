package checkpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/internal/trust"
)

// Installation is a Redis in one of the ways in which it is run. A client of Config has the rights that docs/redis.md lists; Admin is asked
// for what only tests do.
type Installation struct {
	Config  RedisConfig
	Admin   redis.UniversalClient
	Servers []*local.Redis

	Sentinel *redis.SentinelClient
}

// Installations start when they are first asked for, serve all tests of the package, and end with it.
var Installations = map[string]func() (*Installation, error){
	"acl":      sync.OnceValues(startACL),
	"tls":      sync.OnceValues(startTLS),
	"cluster":  sync.OnceValues(startCluster),
	"sentinel": sync.OnceValues(startSentinel),
}

// InstallationFor starts one, or returns the one that runs.
func InstallationFor(t *testing.T, kind string) *Installation {
	t.Helper()
	local.NeedsServers(t)
	i, err := Installations[kind]()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// running are the servers of installations, and the directory that has their data.
var running struct {
	sync.Mutex
	dir     string
	servers []*local.Redis
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range running.servers {
		_ = s.Kill()
	}
	if running.dir != "" {
		_ = os.RemoveAll(running.dir)
	}
	os.Exit(code)
}

// directory makes a directory for a server.
func directory() (string, error) {
	running.Lock()
	defer running.Unlock()
	if running.dir == "" {
		var err error
		if running.dir, err = os.MkdirTemp("", "gonomaly-redis-"); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(running.dir, "server-")
}

func startServer(settings ...string) (*local.Redis, error) {
	dir, err := directory()
	if err != nil {
		return nil, err
	}
	r, err := local.StartRedis(context.Background(), dir, settings...)
	if err == nil {
		running.Lock()
		running.servers = append(running.servers, r)
		running.Unlock()
	}
	return r, err
}

const (
	TestUser     = "gonomaly"
	TestPassword = "hunter2"
)

// The rights that a user of Redis needs, for what: docs/redis.md has them from here, and TestRights shows that each is needed.
var (
	checkpointRights = []string{"+hmget", "+get", "+set", "+evalsha", "+eval", "+hget", "+hset", "+exists", "+persist", "+unlink"}
	sinkRights       = []string{"+evalsha", "+eval", "+hget", "+hset", "+hdel", "+xlen", "+xadd"}
	ClusterRights    = []string{"+cluster|slots", "+command"}
	sentinelRights   = []string{"&+switch-master", "&+replica-reconf-done", "+sentinel|get-master-addr-by-name", "+sentinel|sentinels", "+subscribe", "+ping"}
)

// Grant gives the user of tests these rights on keys of a prefix, and no others.
func Grant(ctx context.Context, admin *redis.Client, user string, rights ...string) error {
	command := []any{"ACL", "SETUSER", user, "reset", "on", ">" + TestPassword, "~test-*", "~{test-*"}
	for _, r := range rights {
		command = append(command, r)
	}
	return admin.Do(ctx, command...).Err()
}

func AllRights() []string { return slices.Concat(checkpointRights, sinkRights) }

func startACL() (*Installation, error) {
	r, err := startServer()
	if err != nil {
		return nil, err
	}
	admin := redis.NewClient(&redis.Options{Addr: r.Address()})
	c := DefaultRedis()
	c.Address, c.Username, c.Password = r.Address(), TestUser, TestPassword
	return &Installation{Config: c, Admin: admin, Servers: []*local.Redis{r}}, Grant(context.Background(), admin, TestUser, AllRights()...)
}

// startTLS starts a Redis that wants a certificate of its clients.
func startTLS() (*Installation, error) {
	dir, err := directory()
	if err != nil {
		return nil, err
	}
	if err := certificates(dir); err != nil {
		return nil, err
	}
	ports, err := local.FreePorts(1)
	if err != nil {
		return nil, err
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	r, err := startServer("--tls-port", strconv.Itoa(ports[0]), "--tls-cert-file", file("server.pem"), "--tls-key-file", file("server.key"),
		"--tls-ca-cert-file", file("ca.pem"), "--tls-auth-clients", "yes")
	if err != nil {
		return nil, err
	}
	admin := redis.NewClient(&redis.Options{Addr: r.Address()})
	c := DefaultRedis()
	c.Address, c.Username = fmt.Sprintf("127.0.0.1:%d", ports[0]), TestUser
	c.PasswordFile = file("password")
	c.TLS = trust.TLS{Enabled: true, CAFile: file("ca.pem"), CertFile: file("client.pem"), KeyFile: file("client.key"), ServerName: "redis.test"}
	return &Installation{Config: c, Admin: admin, Servers: []*local.Redis{r}}, errors.Join(
		os.WriteFile(c.PasswordFile, []byte(TestPassword+"\n"), 0o600), Grant(context.Background(), admin, TestUser, AllRights()...))
}

// certificates writes an authority, and a server and a client that it knows.
func certificates(dir string) error {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	errs := []error{write("ca.pem", "CERTIFICATE", der)}
	for i, name := range []string{"server", "client"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(int64(2 + i)), Subject: pkix.Name{CommonName: name}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
			DNSNames: []string{"redis.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, authorityKey)
		if err != nil {
			return err
		}
		private, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return err
		}
		errs = append(errs, write(name+".pem", "CERTIFICATE", der), write(name+".key", "EC PRIVATE KEY", private))
	}
	return errors.Join(errs...)
}

const clusterSlots = 16384

// startCluster starts a Cluster of three masters.
func startCluster() (*Installation, error) {
	ctx := context.Background()
	const n = 3
	i := &Installation{Config: DefaultRedis()}
	var addresses []string
	for range n {
		bus, err := local.FreePorts(1)
		if err != nil {
			return nil, err
		}
		r, err := startServer("--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus[0]), "--cluster-node-timeout", "3000")
		if err != nil {
			return nil, err
		}
		i.Servers, addresses = append(i.Servers, r), append(addresses, r.Address())
	}
	for k, r := range i.Servers {
		c := redis.NewClient(&redis.Options{Addr: r.Address()})
		errs := []error{
			c.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", k*clusterSlots/n, (k+1)*clusterSlots/n-1).Err(),
			Grant(ctx, c, TestUser, append(AllRights(), ClusterRights...)...),
		}
		if k > 0 {
			errs = append(errs, meet(ctx, c, i.Servers[0].Address()))
		}
		errs = append(errs, c.Close())
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
	}
	i.Admin = redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses})
	i.Config.Address, i.Config.Cluster = strings.Join(addresses, ", "), true
	i.Config.Username, i.Config.Password = TestUser, TestPassword
	for _, r := range i.Servers {
		c := redis.NewClient(&redis.Options{Addr: r.Address()})
		if err := Until(func() (string, error) { return c.ClusterInfo(ctx).Result() }, "cluster_state:ok", "cluster_known_nodes:3"); err != nil {
			return nil, err
		}
		_ = c.Close()
	}
	return i, nil
}

// meet introduces a node to the one at an address.
func meet(ctx context.Context, node *redis.Client, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	other := redis.NewClient(&redis.Options{Addr: address})
	defer other.Close() //nolint:errcheck // nothing is lost
	bus, err := other.ConfigGet(ctx, "cluster-port").Result()
	if err != nil {
		return err
	}
	return node.Do(ctx, "CLUSTER", "MEET", host, port, bus["cluster-port"]).Err()
}

// Until waits until an answer holds all these words.
func Until(ask func() (string, error), words ...string) error {
	var answer string
	for range 600 {
		var err error
		answer, err = ask()
		missing := err != nil
		for _, w := range words {
			missing = missing || !strings.Contains(answer, w)
		}
		if !missing {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no %q for half a minute: %s", words, answer)
}

const testMaster = "mymaster"

// startSentinel starts a master, a replica and a Sentinel that watches them.
func startSentinel() (*Installation, error) {
	ctx := context.Background()
	i := &Installation{Config: DefaultRedis()}
	for range 2 {
		r, err := startServer("--repl-diskless-sync-delay", "0")
		if err != nil {
			return nil, err
		}
		c := redis.NewClient(&redis.Options{Addr: r.Address()})
		if err := Grant(ctx, c, TestUser, AllRights()...); err != nil {
			return nil, err
		}
		if len(i.Servers) > 0 {
			if err := Follow(ctx, c, i.Servers[0]); err != nil {
				return nil, err
			}
		}
		i.Servers = append(i.Servers, r)
		_ = c.Close()
	}
	dir, err := directory()
	if err != nil {
		return nil, err
	}
	s, err := local.StartSentinel(ctx, dir, testMaster, i.Servers[0], "requirepass "+TestPassword,
		"user "+TestUser+" on >"+TestPassword+" resetchannels -@all "+strings.Join(sentinelRights, " "))
	if err != nil {
		return nil, err
	}
	running.Lock()
	running.servers = append(running.servers, s)
	running.Unlock()
	i.Config.Address, i.Config.Username, i.Config.Password = s.Address(), TestUser, TestPassword
	i.Config.Sentinel = SentinelConfig{Master: testMaster, Username: TestUser, Password: TestPassword}
	i.Sentinel = redis.NewSentinelClient(&redis.Options{Addr: s.Address(), Password: TestPassword})
	i.Admin = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: testMaster, SentinelAddrs: []string{s.Address()}, SentinelPassword: TestPassword})
	return i, Until(func() (string, error) {
		replicas, err := i.Sentinel.Replicas(ctx, testMaster).Result()
		return fmt.Sprint(replicas), err
	}, "role-reported:slave", "master-link-status:ok")
}

// Follow has a replica follow a master, and returns when it has what that has.
func Follow(ctx context.Context, replica *redis.Client, master *local.Redis) error {
	host, port, err := net.SplitHostPort(master.Address())
	if err != nil {
		return err
	}
	if err := replica.Do(ctx, "REPLICAOF", host, port).Err(); err != nil {
		return err
	}
	return Until(func() (string, error) { return replica.Info(ctx, "replication").Result() }, "master_link_status:up", "master_sync_in_progress:0")
}

// FailOver has the Sentinel make the replica the master, and returns when it is.
func (i *Installation) FailOver(ctx context.Context) error {
	before, err := i.Sentinel.GetMasterAddrByName(ctx, testMaster).Result()
	if err != nil {
		return err
	}
	if err := i.Sentinel.Failover(ctx, testMaster).Err(); err != nil {
		return err
	}
	return Until(func() (string, error) {
		now, err := i.Sentinel.GetMasterAddrByName(ctx, testMaster).Result()
		if err != nil || fmt.Sprint(now) == fmt.Sprint(before) {
			return "", err
		}
		promoted := redis.NewClient(&redis.Options{Addr: net.JoinHostPort(now[0], now[1])})
		defer promoted.Close() //nolint:errcheck // nothing is lost
		return promoted.Info(ctx, "replication").Result()
	}, "role:master")
}
