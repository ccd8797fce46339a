package sources

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Whatever becomes of the processes that read a topic, the alerts are those of one that nothing disturbs, each once.
func TestAlertsEqualAReplay(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(*world, *process) *process{
		"nothing": func(w *world, p *process) *process {
			p.later()
			return p
		},
		"restarts": func(w *world, p *process) *process {
			for range 3 {
				p.later()
				p.quit(w.TB)
				p = w.start("a")
			}
			return p
		},
		"a restart without checkpoints": func(w *world, p *process) *process {
			p.later()
			p.quit(w.TB)
			w.store.forget(0)
			return w.start("a")
		},
		"kills": func(w *world, p *process) *process {
			for range 3 {
				p.later()
				p.kill()
				p = w.start("a")
			}
			return p
		},
		"a kill and old checkpoints": func(w *world, p *process) *process {
			p.later()
			p.later()
			p.kill()
			w.store.forget(1)
			return w.start("a")
		},
		"a kill and no checkpoints": func(w *world, p *process) *process {
			p.later()
			p.kill()
			w.store.forget(0)
			return w.start("a")
		},
		"lost answers to commits": func(w *world, p *process) *process {
			for range 3 {
				p.loseAnswer(w)
				p.later()
			}
			return p
		},
		"a kill after a lost answer": func(w *world, p *process) *process {
			p.later()
			p.loseAnswer(w)
			p.kill()
			return w.start("a")
		},
		"commits said to have failed": func(w *world, p *process) *process {
			w.contradict(2)()
			p.later()
			return p
		},
		"a frozen process": func(w *world, p *process) *process {
			p.later()
			frozen, thaw := p.freeze()
			w.Cleanup(thaw)
			<-frozen
			next := w.start("a")
			next.later()
			p.stop()
			thaw() // it goes on where it was, and tries to commit
			<-p.done
			return next
		},
		"refused offsets":          afterRefusals(kmsg.TxnOffsetCommit, 3, refusedOffsets, kerr.RebalanceInProgress, "aborted"),
		"offsets refused for good": afterRefusals(kmsg.TxnOffsetCommit, 2, refusedOffsets, kerr.GroupAuthorizationFailed, "failed"),
		"refused commits":          afterRefusals(kmsg.EndTxn, 3, refusedCommit, kerr.UnknownServerError, "aborted"),
		"commits refused for good": afterRefusals(kmsg.EndTxn, 2, refusedCommit, kerr.InvalidProducerEpoch, "failed"),
		"refused alerts":           afterRefusals(kmsg.Produce, 6, refusedRecords, kerr.TopicAuthorizationFailed, "aborted"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(2000)
			p := w.start("a")
			stop := w.feed()
			p = disturb(w, p)
			stop()
			w.produceTransactions()
			w.caughtUp()
			w.compare()
			w.eventually("ready", p.Ready)
			if err := p.healthy(); err != nil {
				t.Error(err)
			}
		})
	}
}

// later waits until the process has committed a few transactions more.
func (p *process) later() {
	p.h.t.Helper()
	committed := func() float64 {
		return testutil.ToFloat64(p.o.Metrics.transactions.WithLabelValues("s", "committed"))
	}
	before := committed()
	eventually(p.h.t, "transactions are committed", func() error {
		if n := committed() - before; n < 2 {
			return fmt.Errorf("%v of 2", n)
		}
		return nil
	})
}

// loseAnswer returns when the broker has ended a transaction and the process has not heard of it.
func (p *process) loseAnswer(w *world) {
	w.Helper()
	p.network.loseAnswer.Store(true)
	w.eventually("an answer is lost", func() error {
		if p.network.loseAnswer.Load() {
			return errors.New("not yet")
		}
		return nil
	})
}

// outcomes waits until a transaction has ended so.
func (p *process) outcomes(outcome string) {
	p.h.t.Helper()
	eventually(p.h.t, "a transaction has "+outcome, func() error {
		if testutil.ToFloat64(p.o.Metrics.transactions.WithLabelValues("s", outcome)) == 0 {
			return errors.New("none has")
		}
		return nil
	})
}

// freeze stops a process in the midst of a partition's records, with others of the same transaction done.
func (p *process) freeze() (frozen <-chan struct{}, thaw func()) {
	reached, held := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	f := func() {
		if calls.Add(1) == partitions {
			close(reached)
			<-held
		}
	}
	p.h.before.Store(&f)
	return reached, sync.OnceFunc(func() {
		p.h.before.Store(nil)
		close(held)
	})
}

// refuse answers every second request of a kind that a source sends, so many in all, by what answer makes of it; nil lets it pass. It returns a function that
// waits for the last of them.
func (w *world) refuse(key kmsg.Key, times int64, answer func(kmsg.Request) kmsg.Response) (wait func()) {
	w.Helper()
	var told [16]byte // the topic of alerts
	w.eventually("the topic of alerts is there", func() error {
		info := w.cluster.TopicInfo(alerts)
		if info == nil {
			return errors.New("not yet")
		}
		told = info.TopicID
		return nil
	})
	seen, refused := 0, atomic.Int64{}
	w.cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		id := ""
		switch req := req.(type) {
		case *kmsg.ProduceRequest:
			if req.TransactionID != nil {
				id = *req.TransactionID
			} else if len(req.Topics) > 0 && req.Topics[0].TopicID == told {
				id = "gonomaly."
			}
		case *kmsg.EndTxnRequest:
			id = req.TransactionalID
		case *kmsg.TxnOffsetCommitRequest:
			id = req.TransactionalID
		case *kmsg.OffsetCommitRequest:
			id = "gonomaly."
		}
		if !strings.HasPrefix(id, "gonomaly.") {
			return nil, nil, false // of the test
		}
		if seen++; seen%2 != 0 || refused.Load() == times {
			return nil, nil, false
		}
		resp := answer(req)
		if resp == nil {
			return nil, nil, false
		}
		refused.Add(1)
		return resp, nil, true
	})
	return func() {
		w.Helper()
		w.eventually("requests are refused", func() error {
			if n := refused.Load(); n < times {
				return fmt.Errorf("%d of %d", n, times)
			}
			return nil
		})
	}
}

// contradict has the broker commit and then say that it has not, so many times.
func (w *world) contradict(times int64) (wait func()) {
	var forwarding atomic.Bool
	return w.refuse(kmsg.EndTxn, times, func(req kmsg.Request) kmsg.Response {
		if !forwarding.CompareAndSwap(false, true) {
			return nil
		}
		w.cluster.SleepControl(func() {
			if _, err := req.(*kmsg.EndTxnRequest).RequestWith(w.Context(), w.client); err != nil {
				w.Errorf("end the transaction of a source: %v", err)
			}
			forwarding.Store(false)
		})
		return refusedCommit(req, kerr.UnknownServerError)
	})
}

func refusedCommit(req kmsg.Request, err *kerr.Error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	resp.ErrorCode = err.Code
	return resp
}

// afterRefusals has brokers refuse some requests with an error, after which the process goes on.
func afterRefusals(key kmsg.Key, n int64, answer func(kmsg.Request, *kerr.Error) kmsg.Response, with *kerr.Error, outcome string) func(*world, *process) *process {
	return func(w *world, p *process) *process {
		w.refuse(key, n, func(req kmsg.Request) kmsg.Response { return answer(req, with) })()
		p.outcomes(outcome)
		p.later()
		return p
	}
}

func refusedOffsets(req kmsg.Request, err *kerr.Error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, t := range req.(*kmsg.TxnOffsetCommitRequest).Topics {
		topic := kmsg.NewTxnOffsetCommitResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, err.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func refusedRecords(req kmsg.Request, err *kerr.Error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.(*kmsg.ProduceRequest).Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, err.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// The transaction after an aborted one carries its alerts, and the offsets that go with them, even if nothing was polled in between.
func TestAlertsGoWithTheirOffsets(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	var aborted atomic.Bool
	w.cluster.ControlKey(kmsg.TxnOffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		aborted.Store(true)
		return refusedOffsets(req, kerr.RebalanceInProgress), nil, true
	})
	w.cluster.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if !aborted.Load() {
			return nil, nil, false
		}
		w.cluster.SleepControl(func() { time.Sleep(20 * time.Millisecond) })
		return req.ResponseKind(), nil, aborted.Load()
	})
	p := w.start("a")
	p.outcomes("committed")
	if testutil.ToFloat64(p.o.Metrics.transactions.WithLabelValues("s", "aborted")) == 0 {
		t.Error("no transaction was aborted before")
	}
	p.kill()
	aborted.Store(false)
	w.start("a")
	w.caughtUp()
	w.compare()
}
