package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/internal/trust"
)

// What is refused at the door is counted, by which of the two doors; what works, and a broker that is not there, is not.
func TestAuthenticationFailures(t *testing.T) {
	ours, ca := newCertificate(t)
	_, others := newCertificate(t)
	start := func(opts ...kfake.Opt) []string {
		cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		return cluster.ListenAddrs()
	}
	passwords := start(kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "right"), kfake.Superuser("PLAIN", "v", "right"))
	refuses, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(refuses.Close)
	// The embedded broker hangs up on a wrong password; Kafka answers.
	refuses.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		refuses.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	encrypted := start(kfake.TLS(&tls.Config{Certificates: []tls.Certificate{ours}}))
	mutual := start(kfake.TLS(&tls.Config{Certificates: []tls.Certificate{ours}, ClientAuth: tls.RequireAnyClientCert}))
	for name, c := range map[string]struct {
		config    Config
		tls, sasl bool
	}{
		"the right password":      {Config{Brokers: passwords, SASL: SASLConfig{mechanismSHA256, "u", "right"}}, false, false},
		"a wrong password, SCRAM": {Config{Brokers: refuses.ListenAddrs(), SASL: SASLConfig{mechanismSHA256, "u", "wrong"}}, false, true},
		"a wrong password, PLAIN": {Config{Brokers: refuses.ListenAddrs(), SASL: SASLConfig{mechanismPlain, "v", "wrong"}}, false, true},
		"a broker that hangs up":  {Config{Brokers: passwords, SASL: SASLConfig{mechanismPlain, "v", "wrong"}}, false, false},
		"nobody there":            {Config{Brokers: []string{"127.0.0.1:1"}, SASL: SASLConfig{mechanismPlain, "v", "right"}}, false, false},
		"the right authority":     {Config{Brokers: encrypted, TLS: trust.TLS{Enabled: true, CAFile: ca}}, false, false},
		"another authority":       {Config{Brokers: encrypted, TLS: trust.TLS{Enabled: true, CAFile: others}}, true, false},
		"another name":            {Config{Brokers: encrypted, TLS: trust.TLS{Enabled: true, CAFile: ca, ServerName: "elsewhere"}}, true, false},
		"no client certificate":   {Config{Brokers: mutual, TLS: trust.TLS{Enabled: true, CAFile: ca}}, true, false},
		"TLS with who has none":   {Config{Brokers: passwords, TLS: trust.TLS{Enabled: true, CAFile: ca}}, false, false},
	} {
		for kind, wrap := range map[string]func(Options, *Metrics) Options{
			"observed": func(o Options, m *Metrics) Options { return Observed(o, m, "test", slog.New(slog.DiscardHandler)) }, "guarded": Guarded,
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				m := NewMetrics(prometheus.NewRegistry())
				opts, err := c.config.Options()
				if err != nil {
					t.Fatal(err)
				}
				client, err := kgo.NewClient(wrap(opts, m)...)
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				err = client.Ping(ctx)
				if fails := name != "the right password" && name != "the right authority"; (err != nil) != fails {
					t.Errorf("Ping: %v, want an error %v", err, fails)
				}
				for reason, want := range map[string]bool{failedTLS: c.tls, failedSASL: c.sasl} {
					if n := testutil.ToFloat64(m.security.authentication.WithLabelValues(reason)); (n > 0) != want {
						t.Errorf("%v failures by %s after %v, want some %v", n, reason, err, want)
					}
				}
			})
		}
	}
}

// newCertificate is a certificate of 127.0.0.1 that is its own authority, and a file with it.
func newCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestAuthorizationFailures(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	for resource, err := range denials {
		m.Denied(nil)
		m.Denied(kerr.UnknownTopicOrPartition)
		m.Denied(fmt.Errorf("commit: %w", err))
		if n := testutil.ToFloat64(m.security.authorization.WithLabelValues(resource)); n != 1 {
			t.Errorf("%s: %v failures, want 1", resource, n)
		}
	}
}
