package service

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gonomaly/gonomaly/config"
)

// What a certificate is for, in the metrics.
const (
	kafkaCA     = "kafka_ca"
	kafkaClient = "kafka_client"
	redisCA     = "redis_ca"
	redisClient = "redis_client"
)

// certify notes when the configured certificates end. A change of them takes a new process, so once is enough.
func (m *metrics) certify(c *config.Config) error {
	files := map[string]string{kafkaCA: c.Kafka.TLS.CAFile, kafkaClient: c.Kafka.TLS.CertFile}
	if c.Redis != nil {
		files[redisCA], files[redisClient] = c.Redis.TLS.CAFile, c.Redis.TLS.CertFile
	}
	for use, file := range files {
		if file == "" {
			continue
		}
		end, err := endOf(file, use == kafkaCA || use == redisCA)
		if err != nil {
			return err
		}
		m.certificates.WithLabelValues(use).Set(float64(end.Unix()))
	}
	return nil
}

// endOf is when the certificates of a file end: the first, or of authorities the last, for bundles keep old ones beside the new.
func endOf(file string, last bool) (end time.Time, err error) {
	rest, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return time.Time{}, fmt.Errorf("read certificates: %w", err)
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("read certificates of %s: %w", file, err)
		}
		if end.IsZero() || one.NotAfter.Before(end) != last {
			end = one.NotAfter
		}
	}
	if end.IsZero() {
		return time.Time{}, fmt.Errorf("read certificates: %s has none", file)
	}
	return end, nil
}
