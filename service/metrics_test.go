package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/trust"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// The end that is told is the one that somebody has to act before.
func TestCertificates(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	soon, late := now.Add(time.Hour), now.Add(1000*time.Hour)
	m := newMetrics(prometheus.NewRegistry(), Build{})
	c := &config.Config{
		Kafka: kafka.Config{TLS: trust.TLS{CAFile: certificates(t, soon, late), CertFile: certificates(t, late, soon)}},
		Redis: &checkpoint.RedisConfig{TLS: trust.TLS{CAFile: certificates(t, soon)}},
	}
	if err := m.certify(c); err != nil {
		t.Fatal(err)
	}
	for use, want := range map[string]time.Time{kafkaCA: late, kafkaClient: soon, redisCA: soon} {
		if got := testutil.ToFloat64(m.certificates.WithLabelValues(use)); got != float64(want.Unix()) {
			t.Errorf("%s ends at %v, want %v", use, got, want.Unix())
		}
	}
	if n := testutil.CollectAndCount(m.certificates); n != 3 {
		t.Errorf("%d certificates are told, want 3: there is none for a client of Redis", n)
	}
	c.Kafka.TLS.CAFile = filepath.Join(t.TempDir(), "none")
	if err := m.certify(c); err == nil {
		t.Error("a file that is not there is no error")
	}
}

// certificates is a file with a certificate for each end.
func certificates(t *testing.T, ends ...time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, end := range ends {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	file := filepath.Join(t.TempDir(), "certificates.pem")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
