package checkpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// trouble is a way in which Redis fails us. In all of them alerts go on into the alerts topic, for detection does not wait for Redis, and
// what Redis does not take is offered again until it does. An assignment waits where Redis cannot be read.
type trouble struct {
	reason string // its name, and its label in gonomaly_redis_errors_total
	says   string // the words by which an operator knows it
	is     func(error) bool
	means  string
	does   string // what we do about it
	remedy string // what the operator is told to do
}

const (
	waits  = "tries again; assignments wait"
	writes = "tries again; assignments go on"
)

// troubles is all that is known of how Redis fails. An error is the first one that it is.
var troubles = []trouble{
	{
		"oom", "OOM command not allowed when used memory > 'maxmemory'", redis.IsOOMError,
		"Redis holds as much as it may", writes,
		"raise maxmemory, or lower max_series of the streams or max_length of the sink",
	},
	{
		"readonly", "READONLY You can't write against a read only replica", redis.IsReadOnlyError,
		"the address leads to a replica: there was a fail-over, or it never was the master", writes + "; connections are made anew, so that a name is looked up again",
		"give the address of the master, or let Sentinel tell it: sentinel.master",
	},
	{
		"noreplicas", "NOREPLICAS Not enough good replicas to write", redis.IsNoReplicasError,
		"fewer replicas follow than min-replicas-to-write asks for", writes,
		"bring the replicas back, or lower min-replicas-to-write",
	},
	{
		"loading", "LOADING Redis is loading the dataset in memory", redis.IsLoadingError,
		"Redis has restarted and reads its file", waits,
		"wait; if it does not end, look into the log of Redis",
	},
	{
		"masterdown", "MASTERDOWN Link with MASTER is down", redis.IsMasterDownError,
		"the address leads to a replica that has lost its master, and replica-serve-stale-data is no", waits,
		"bring the master back or promote the replica; give the address of the master, or sentinel.master",
	},
	{
		"noperm", "NOPERM, or: The user executing the script can't run this command", func(err error) bool {
			return redis.IsPermissionError(err) || strings.Contains(err.Error(), "The user executing the script can't")
		},
		"the user lacks a right to a command or a key", waits,
		"give the user the rights that docs/redis.md lists, with the key_prefix that is configured",
	},
	{
		"auth", "NOAUTH, WRONGPASS", redis.IsAuthError,
		"the password is missing or wrong, or the user is unknown or off", waits + "; password_file is read anew for each connection",
		"set username, and password or password_file",
	},
	{
		"misconf", "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk", prefixed("MISCONF"),
		"Redis cannot write its file, and so takes no writes", writes,
		"make room on the disk of Redis and look into its log; it takes writes again after its next save",
	},
	{
		"busy", "BUSY Redis is busy running a script", prefixed("BUSY"),
		"somebody's script has been running for longer than busy-reply-threshold; ours take less than a millisecond", waits,
		"end it with SCRIPT KILL; if that says UNKILLABLE, wait, or restart Redis from a replica",
	},
	{
		"max_clients", "ERR max number of clients reached", redis.IsMaxClientsError,
		"Redis has as many connections as maxclients allows", waits,
		"raise maxclients, or close connections that nobody uses: CLIENT LIST",
	},
	{
		"wrong_type", "WRONGTYPE Operation against a key holding the wrong kind of value", prefixed("WRONGTYPE"),
		"another program uses a key of ours", waits,
		"choose another key_prefix, or delete the key after a look at it",
	},
	{
		"cross_slot", "CROSSSLOT Keys in request don't hash to the same slot", func(err error) bool {
			return errors.Is(err, redis.ErrCrossSlot) || redis.HasErrorPrefix(err, "CROSSSLOT") || strings.Contains(err.Error(), "non local key in a cluster node")
		},
		"the server is of a Cluster, and is not used as one", waits,
		"set cluster: true",
	},
	{
		"moved", "MOVED 3999 127.0.0.1:6381", func(err error) bool {
			_, moved := redis.IsMovedError(err)
			_, ask := redis.IsAskError(err)
			return moved || ask
		},
		"the server is of a Cluster and is not used as one; or slots move faster than can be followed", waits,
		"set cluster: true",
	},
	{
		"cluster_down", "CLUSTERDOWN Hash slot not served, CLUSTERDOWN The cluster is down, TRYAGAIN", func(err error) bool {
			return redis.IsClusterDownError(err) || redis.IsTryAgainError(err)
		},
		"a part of the Cluster is away, or slots are on their way", waits,
		"bring the nodes back: redis-cli --cluster check",
	},
	{
		"not_cluster", "ERR This instance has cluster support disabled", said("cluster support disabled"),
		"the server is not of a Cluster, and cluster is true", waits,
		"set cluster: false",
	},
	{
		"db", "ERR DB index is out of range, ERR SELECT is not allowed in cluster mode", func(err error) bool {
			return said("DB index is out of range")(err) || said("SELECT is not allowed")(err)
		},
		"there is no database of that number", waits,
		"set db: 0, or raise databases",
	},
	{
		"sentinel", "all sentinels specified in configuration are unreachable", said("all sentinels"),
		"no Sentinel answers, or none knows the master by that name", waits,
		"check address (of the Sentinels), sentinel.master (the name in SENTINEL MASTERS) and sentinel.password",
	},
	{
		"unstored", "ERR chunk 0 of 1 is not stored", prefixed("chunk "),
		"between two commands of ours Redis lost what it had taken: a fail-over, FLUSHALL, or a maxmemory-policy that evicts what expires", writes,
		"set maxmemory-policy noeviction; after a fail-over nothing is to be done",
	},
	{
		"tls", "tls: failed to verify certificate, tls: handshake failure, first record does not look like a TLS handshake", isTLS,
		"the two do not trust each other, or one of them does not speak TLS", waits,
		"check tls.enabled, tls.ca_file, tls.server_name, and tls.cert_file where Redis asks for one",
	},
	{
		"timeout", "i/o timeout, context deadline exceeded", isTimeout,
		"Redis is frozen or overloaded, or the network swallows what is sent; a write may have been carried out all the same", waits + "; what was carried out is found and not repeated",
		"look at SLOWLOG GET of Redis, at swapping, and at the network between; and whether tls.enabled is as on the server",
	},
	{
		"unreachable", "connection refused, connection reset, EOF, no such host", isUnreachable,
		"Redis is not there; a write may have been carried out all the same", waits + "; what was carried out is found and not repeated",
		"start Redis, or correct address; where it runs, see whether maxclients is reached",
	},
	{
		"other", "anything else", func(error) bool { return true },
		"", waits,
		"look it up in the documentation of Redis",
	},
}

// The ways in which a store answers, and has less than it confirmed, or something else. They are no errors of Redis: they have counters of
// their own, and hold for every store.
var (
	lostStates = trouble{
		"lost", "WARN the store has lost checkpoints: whole ones are written", nil,
		"FLUSHALL, a restart without a file, an eviction; or a fail-over to a replica that lacked the newest writes",
		"each partition writes a whole checkpoint at once, and the alerts that are missing are written again from the alerts topic; " +
			"a process that starts before that folds its log again; counted in `gonomaly_checkpoints_lost_total` and `gonomaly_sink_rewinds_total`",
		"see to why writes were lost: Redis wants maxmemory-policy noeviction and appendonly yes",
	}
	damagedState = trouble{
		"damaged", "ERROR checkpoint is damaged", nil,
		"bytes have changed, are those of another partition or offset, or a part of them is gone",
		"the newest sound state before it is used and the rest is folded again; it is replaced by the next one; counted in `gonomaly_checkpoints_damaged_total`",
		"check the disk and the memory of the store; Redis wants maxmemory-policy noeviction",
	}
	otherVersion = trouble{
		"version", "WARN checkpoint is of another version", nil,
		"a newer Gonomaly has written it, and this is a rollback; or it is older than the version before",
		"the newest state that can be read is used, or the log is folded again; the one that cannot be stays until two later ones are stored",
		"nothing, it costs the time to fold records again; do not skip versions in an upgrade",
	}
)

func prefixed(prefix string) func(error) bool {
	return func(err error) bool { return redis.HasErrorPrefix(err, prefix) }
}

func said(words string) func(error) bool {
	return func(err error) bool { return strings.Contains(err.Error(), words) }
}

func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	var header tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &certificate) || errors.As(err, &alert) || errors.As(err, &header) || errors.As(err, &unknown) || strings.Contains(err.Error(), "tls: ")
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) || errors.As(err, &n) && n.Timeout()
}

func isUnreachable(err error) bool {
	var n net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &n)
}

// failure is an error of Redis together with what is known about it.
type failure struct {
	*trouble
	err error
}

func (f *failure) Error() string { return fmt.Sprintf("%v [%s: %s]", f.err, f.reason, f.remedy) }

// Unwrap hides a redis.Nil: it is the answer of a Sentinel that knows no such master, and would be taken for that of an empty Redis.
func (f *failure) Unwrap() error {
	if errors.Is(f.err, redis.Nil) {
		return nil
	}
	return f.err
}

// explain is the hook by which every error of the client names its remedy and is counted, whoever uses it.
type explain struct{ errors *prometheus.CounterVec }

func newExplain(reg prometheus.Registerer) explain {
	e := explain{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gonomaly_redis_errors_total",
		Help: "Commands that Redis did not carry out, or whose reply was lost, by reason; docs/redis.md tells of each.",
	}, []string{"reason"})}
	for _, t := range troubles {
		e.errors.WithLabelValues(t.reason)
	}
	if reg != nil {
		reg.MustRegister(e.errors)
	}
	return e
}

// ProcessHook implements redis.Hook.
func (e explain) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		switch name := cmd.Name(); {
		case name == "hello" || name == "auth": // of a connection that is made for another command, which will tell
			return err
		case ctx.Err() != nil && errors.Is(err, context.Canceled): // we no longer want it
			return err
		}
		return e.of(err)
	}
}

// of returns err with its trouble. An answer, and a script that is not known yet, is none.
func (e explain) of(err error) error {
	var known *failure
	switch {
	case err == nil || err == redis.Nil || errors.As(err, &known): //nolint:errorlint // see failure.Unwrap
		return err
	case redis.HasErrorPrefix(err, "NOSCRIPT") || redis.HasErrorPrefix(err, broken) || errors.Is(err, redis.ErrClosed):
		return err
	}
	for i := range troubles {
		if t := &troubles[i]; t.is(err) {
			e.errors.WithLabelValues(t.reason).Inc()
			return &failure{t, err}
		}
	}
	panic("unreachable: the last trouble is any error")
}

// DialHook implements redis.Hook.
func (explain) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook. Of commands that fail together the first is counted. Where none was sent, only what is returned
// says why.
func (e explain) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil || cmds[0].Name() != "evalsha" || ctx.Err() != nil && errors.Is(err, context.Canceled) { // others make a connection
			return err
		}
		for _, cmd := range cmds {
			if was := cmd.Err(); was != nil {
				if known := e.of(was); known != was { //nolint:errorlint // it is another, not one inside
					cmd.SetErr(known)
					return known
				}
			}
		}
		return e.of(err)
	}
}
