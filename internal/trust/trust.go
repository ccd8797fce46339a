// Package trust is what connections to Kafka and to Redis have in common: TLS, and secrets that nobody is shown.
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// TLS configures TLS, under the key tls.
type TLS struct {
	Enabled    bool   `yaml:"enabled" jsonschema:"default=false" jsonschema_description:"Use TLS."`
	CAFile     string `yaml:"ca_file" jsonschema_description:"PEM file with the authorities to trust; by default the system's."`
	CertFile   string `yaml:"cert_file" jsonschema_description:"PEM file with the client's certificate, for mutual TLS."`
	KeyFile    string `yaml:"key_file" jsonschema_description:"PEM file with the key of cert_file."`
	ServerName string `yaml:"server_name" jsonschema_description:"Name to expect in the certificates of servers; by default the host of their address."`
}

// Check returns what is out of range, as *invalid.Value, or several joined. It opens nothing.
func (t TLS) Check() error {
	var errs []error
	if (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, &invalid.Value{Name: "tls.cert_file", Value: t.CertFile, Want: "cert_file and key_file together"})
	}
	if !t.Enabled && t != (TLS{}) {
		errs = append(errs, &invalid.Value{Name: "tls.enabled", Value: false, Want: "true, or no other key under tls: without it nothing is encrypted"})
	}
	return errors.Join(errs...)
}

// Client reads the files, and returns what a client is made with.
func (t TLS) Client() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(filepath.Clean(t.CAFile))
		if err != nil {
			return nil, fmt.Errorf("read tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &invalid.Value{Name: "tls.ca_file", Value: t.CAFile, Want: "a PEM file with certificates"}
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert_file and tls.key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Secret is a text that is never printed, logged or written as YAML or JSON.
type Secret string

const hidden = "(hidden)"

func (s Secret) String() string               { return hidden }
func (s Secret) GoString() string             { return hidden }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
