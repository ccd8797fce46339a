package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/internal/trust"
)

// RedisConfig says where Redis is. Checkpoints and the Redis sink share it.
type RedisConfig struct {
	Address      string         `yaml:"address" jsonschema:"default=localhost:6379" jsonschema_description:"Host and port of Redis. Of a Cluster some of its nodes, and with sentinel the Sentinels, with commas between them."`
	Cluster      bool           `yaml:"cluster" jsonschema:"default=false" jsonschema_description:"Redis is a Cluster."`
	Sentinel     SentinelConfig `yaml:"sentinel" jsonschema_description:"Sentinels that know the master."`
	Username     string         `yaml:"username" jsonschema_description:"User of Redis' access control lists; empty for the default user."`
	Password     trust.Secret   `yaml:"password" jsonschema_description:"Password; best taken from the environment, as ${REDIS_PASSWORD}."`
	PasswordFile string         `yaml:"password_file" jsonschema_description:"File with the password, instead of password. It is read for each connection, so that the password can change."`
	DB           int            `yaml:"db" jsonschema:"minimum=0,default=0" jsonschema_description:"Number of the database. A Cluster has 0 only."`
	KeyPrefix    string         `yaml:"key_prefix" jsonschema:"default=gonomaly" jsonschema_description:"What all keys begin with, before a colon."`
	TLS          trust.TLS      `yaml:"tls" jsonschema_description:"TLS to Redis, and to the Sentinels."`
}

// SentinelConfig configures Sentinels.
type SentinelConfig struct {
	Master   string       `yaml:"master" jsonschema_description:"Name by which the Sentinels know the master. With it address is theirs."`
	Username string       `yaml:"username" jsonschema_description:"User of the Sentinels' access control lists."`
	Password trust.Secret `yaml:"password" jsonschema_description:"Password of the Sentinels, where they ask for one."`
}

// DefaultRedis returns the defaults.
func DefaultRedis() RedisConfig { return RedisConfig{Address: "localhost:6379", KeyPrefix: "gonomaly"} }

// Check returns what is out of range, as *invalid.Value, or several joined.
func (c *RedisConfig) Check() error {
	var errs []error
	wrong := func(name string, value any, want string) {
		errs = append(errs, &invalid.Value{Name: name, Value: value, Want: want})
	}
	addresses := c.addresses()
	for _, one := range addresses {
		if host, port, err := net.SplitHostPort(one); err != nil || host == "" || port == "" {
			wrong("address", strconv.Quote(c.Address), "host:port, such as localhost:6379, or several with commas between them")
			break
		}
	}
	single := !c.Cluster && c.Sentinel.Master == ""
	if single && len(addresses) > 1 {
		wrong("address", strconv.Quote(c.Address), "one host:port, or cluster: true, or sentinel.master")
	}
	if c.Cluster && c.Sentinel.Master != "" {
		wrong("sentinel.master", strconv.Quote(c.Sentinel.Master), "none, for a Cluster has no Sentinels; or cluster: false")
	}
	if c.Sentinel.Master == "" && (c.Sentinel.Username != "" || c.Sentinel.Password != "") {
		wrong("sentinel.master", strconv.Quote(""), "the name in SENTINEL MASTERS, with sentinel.username or sentinel.password")
	}
	if c.Password != "" && c.PasswordFile != "" {
		wrong("password_file", strconv.Quote(c.PasswordFile), "password or password_file, not both")
	}
	if c.Username != "" && c.Password == "" && c.PasswordFile == "" {
		wrong("username", strconv.Quote(c.Username), "a password or password_file with it")
	}
	switch {
	case c.DB < 0:
		wrong("db", c.DB, "≥ 0")
	case c.DB > 0 && c.Cluster:
		wrong("db", c.DB, "0, the only one that a Cluster has")
	}
	// A brace would change which part of a key Redis Cluster hashes.
	if c.KeyPrefix == "" || strings.ContainsAny(c.KeyPrefix, "{}") {
		wrong("key_prefix", c.KeyPrefix, "a text without braces")
	}
	return errors.Join(append(errs, c.TLS.Check())...)
}

// addresses are the parts of Address.
func (c *RedisConfig) addresses() []string {
	addresses := strings.Split(c.Address, ",")
	for i := range addresses {
		addresses[i] = strings.TrimSpace(addresses[i])
	}
	return addresses
}

// SinkPrefix is what the keys of a Redis sink begin with, before a colon. A script writes several of them together, so on a Cluster they
// must lie in one slot: there the prefix stands in braces. The keys of a partition's checkpoints have braces of their own.
func (c *RedisConfig) SinkPrefix() string {
	if c.Cluster {
		return "{" + c.KeyPrefix + "}"
	}
	return c.KeyPrefix
}

// Redis answers in milliseconds, so that what takes seconds has failed. The one retry spares a broken idle connection; the layers
// above repeat everything else, with a back-off that is theirs.
const (
	dialTimeout = 3 * time.Second
	ioTimeout   = 5 * time.Second
	retries     = 1
)

// Client returns a client, which connects when it is used. Because it repeats a command whose reply was lost, every write must be
// idempotent. Its errors name what is to be done about them, and are counted in reg, which may be nil.
func (c *RedisConfig) Client(reg prometheus.Registerer) (redis.UniversalClient, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	quiet()
	o := &redis.UniversalOptions{
		Addrs: c.addresses(), IsClusterMode: c.Cluster, MasterName: c.Sentinel.Master,
		SentinelUsername: c.Sentinel.Username, SentinelPassword: string(c.Sentinel.Password),
		DB: c.DB, CredentialsProviderContext: c.credentials,
		DialTimeout: dialTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, ContextTimeoutEnabled: true,
		MaxRetries: retries, DialerRetries: 1,
		DisableIdentity:          true,                                                              // a right less to ask for
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, // of Redis Enterprise only
	}
	if c.TLS.Enabled {
		t, err := c.TLS.Client()
		if err != nil {
			return nil, err
		}
		o.TLSConfig = t
	}
	if _, _, err := c.credentials(context.Background()); err != nil {
		return nil, err
	}
	client := redis.NewUniversalClient(o)
	client.AddHook(newExplain(reg))
	return client, nil
}

// credentials are asked for with each new connection.
func (c *RedisConfig) credentials(context.Context) (username, password string, err error) {
	if c.PasswordFile == "" {
		return c.Username, string(c.Password), nil
	}
	b, err := os.ReadFile(filepath.Clean(c.PasswordFile))
	if err != nil {
		return "", "", fmt.Errorf("read password_file: %w", err)
	}
	password = strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", "", &invalid.Value{Name: "password_file", Value: c.PasswordFile, Want: "a file with a password in it"}
	}
	return c.Username, password, nil
}

// quiet stops the library from printing on standard error what it also returns: an error is logged once, where it stops.
var quiet = sync.OnceFunc(logging.Disable)
