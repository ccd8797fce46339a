package checkpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// RedisConfig says where Redis is. Checkpoints and the Redis sink share it.
type RedisConfig struct {
	Address   string    `yaml:"address" jsonschema:"default=localhost:6379" jsonschema_description:"Host and port of Redis."`
	Username  string    `yaml:"username" jsonschema_description:"User of Redis' access control lists; empty for the default user."`
	Password  Secret    `yaml:"password" jsonschema_description:"Password; best taken from the environment, as ${REDIS_PASSWORD}."`
	DB        int       `yaml:"db" jsonschema:"minimum=0,default=0" jsonschema_description:"Number of the database."`
	KeyPrefix string    `yaml:"key_prefix" jsonschema:"default=gonomaly" jsonschema_description:"What all keys begin with, before a colon."`
	TLS       TLSConfig `yaml:"tls" jsonschema_description:"TLS to Redis."`
}

// TLSConfig configures TLS.
type TLSConfig struct {
	Enabled    bool   `yaml:"enabled" jsonschema:"default=false" jsonschema_description:"Use TLS."`
	CAFile     string `yaml:"ca_file" jsonschema_description:"PEM file with the authorities to trust; by default the system's."`
	CertFile   string `yaml:"cert_file" jsonschema_description:"PEM file with the client's certificate, for mutual TLS."`
	KeyFile    string `yaml:"key_file" jsonschema_description:"PEM file with the key of cert_file."`
	ServerName string `yaml:"server_name" jsonschema_description:"Name to expect in the server's certificate; by default the host of the address."`
}

// Secret is a text that is never printed, logged or written as YAML or JSON.
type Secret string

const hidden = "(hidden)"

func (s Secret) String() string               { return hidden }
func (s Secret) GoString() string             { return hidden }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// DefaultRedis returns the defaults.
func DefaultRedis() RedisConfig { return RedisConfig{Address: "localhost:6379", KeyPrefix: "gonomaly"} }

// Check returns what is out of range, as *invalid.Value, or several joined.
func (c *RedisConfig) Check() error {
	var errs []error
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		errs = append(errs, &invalid.Value{Name: "address", Value: strconv.Quote(c.Address), Want: "host:port, such as localhost:6379"})
	}
	if c.DB < 0 {
		errs = append(errs, &invalid.Value{Name: "db", Value: c.DB, Want: "≥ 0"})
	}
	// A brace would change which part of a key Redis Cluster hashes.
	if c.KeyPrefix == "" || strings.ContainsAny(c.KeyPrefix, "{}") {
		errs = append(errs, &invalid.Value{Name: "key_prefix", Value: c.KeyPrefix, Want: "a text without braces"})
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, &invalid.Value{Name: "tls.cert_file", Value: c.TLS.CertFile, Want: "cert_file and key_file together"})
	}
	return errors.Join(errs...)
}

// Redis answers in milliseconds, so that what takes seconds has failed. The one retry spares a broken idle connection; the layers
// above repeat everything else, with a back-off that is theirs.
const (
	dialTimeout = 3 * time.Second
	ioTimeout   = 5 * time.Second
	retries     = 1
)

// Client returns a client, which connects when it is used. Because it repeats a command whose reply was lost, every write must be
// idempotent.
func (c *RedisConfig) Client() (*redis.Client, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	quiet()
	o := &redis.Options{
		Addr: c.Address, Username: c.Username, Password: string(c.Password), DB: c.DB,
		DialTimeout: dialTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout, ContextTimeoutEnabled: true,
		MaxRetries: retries, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, // of Redis Enterprise only
	}
	if c.TLS.Enabled {
		t, err := c.TLS.client()
		if err != nil {
			return nil, err
		}
		o.TLSConfig = t
	}
	return redis.NewClient(o), nil
}

// quiet stops the library from printing on standard error what it also returns: an error is logged once, where it stops.
var quiet = sync.OnceFunc(logging.Disable)

func (c *TLSConfig) client() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(filepath.Clean(c.CAFile))
		if err != nil {
			return nil, fmt.Errorf("read tls.ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &invalid.Value{Name: "tls.ca_file", Value: c.CAFile, Want: "a PEM file with certificates"}
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert_file and tls.key_file: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
