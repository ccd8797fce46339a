package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Why brokers, or we, refuse a connection.
const (
	failedTLS  = "tls"
	failedSASL = "sasl"
)

// denials are the brokers' answers to who lacks a right, by what it is a right to.
var denials = map[string]error{
	"topic": kerr.TopicAuthorizationFailed, "group": kerr.GroupAuthorizationFailed, "transactional_id": kerr.TransactionalIDAuthorizationFailed,
	"cluster": kerr.ClusterAuthorizationFailed,
}

// security counts what is refused.
type security struct {
	authentication *prometheus.CounterVec
	authorization  *prometheus.CounterVec
}

func newSecurity(reg prometheus.Registerer) *security {
	f := promauto.With(reg)
	s := &security{
		authentication: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gonomaly_kafka_authentication_failures_total",
			Help: "Connections to brokers that failed for who is at one of its ends: in the TLS handshake, or by SASL. Each attempt counts.",
		}, []string{"reason"}),
		authorization: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gonomaly_kafka_authorization_failures_total",
			Help: "Times that reading, writing or committing failed because brokers deny a right, by what it is a right to.",
		}, []string{"resource"}),
	}
	for _, reason := range []string{failedTLS, failedSASL} {
		s.authentication.WithLabelValues(reason)
	}
	for resource := range denials {
		s.authorization.WithLabelValues(resource)
	}
	return s
}

// Denied counts an error if it says that brokers deny a right; nil for none.
func (m *Metrics) Denied(err error) {
	for resource, denial := range denials {
		if errors.Is(err, denial) {
			m.security.authorization.WithLabelValues(resource).Inc()
		}
	}
}

// Guarded adds to a client's options what counts connections that are refused; Observed has it.
func Guarded(opts Options, m *Metrics) Options {
	return append(opts[:len(opts):len(opts)], kgo.WithHooks(guard{m.security}), kgo.WithLogger(guardLogger{m.security}))
}

// guard is a client's hooks.
type guard struct{ *security }

// OnBrokerConnect is part of kgo.HookBrokerConnect.
func (g guard) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	g.handshake(err)
}

// OnBrokerRead is part of kgo.HookBrokerRead: with TLS 1.3 a broker refuses our certificate only after the handshake.
func (g guard) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err != nil {
		g.handshake(err)
	}
}

func (g guard) handshake(err error) {
	if err == nil {
		return
	}
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	if unverified || unknown || plain || strings.Contains(err.Error(), "tls: ") {
		g.authentication.WithLabelValues(failedTLS).Inc()
	}
}

// saslFailed is what the client's library logs, and tells nobody else, when a broker refuses our name or password, or we its answer. A test
// holds it to that.
const saslFailed = "unable to initialize sasl"

// logged counts what a client logs, if it is that; a connection that fails in the midst of it is none.
func (s *security) logged(msg string, keyvals []any) {
	if msg != saslFailed {
		return
	}
	for _, v := range keyvals {
		err, is := v.(error)
		if !is {
			continue
		}
		if _, network := errors.AsType[net.Error](err); !network && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			s.authentication.WithLabelValues(failedSASL).Inc()
		}
	}
}

// guardLogger is the logger of a client that has none: it counts only.
type guardLogger struct{ *security }

func (guardLogger) Level() kgo.LogLevel { return kgo.LogLevelError }

func (g guardLogger) Log(_ kgo.LogLevel, msg string, keyvals ...any) { g.logged(msg, keyvals) }
