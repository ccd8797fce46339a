//go:build pictures && unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka/hostile"
)

// fleet is what machines report, and what is wrong with it.
type fleet struct {
	mu sync.Mutex
	now
}

// now is how it is at a time. Shares are of the records.
type now struct {
	broken, late, future, strange float64
	noisy                         bool // one machine that flaps
	shifted                       bool // a release that has changed what many report
	surge                         int  // so many records in place of one
}

// become changes it.
func (f *fleet) become(change func(*now)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.now)
}

const (
	machines = 160
	each     = 6 // records a second of each
)

// run writes what machines report until ctx is done.
func (f *fleet) run(ctx context.Context, to *kgo.Client) {
	if _, err := kadm.NewClient(to).CreateTopic(ctx, 4, 1, nil, "machines"); err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Now()
	for round := 0; ctx.Err() == nil; round++ {
		f.mu.Lock()
		is := f.now
		f.mu.Unlock()
		for i := range machines {
			if round/each > 60 && i >= machines-20 && round/each < 400 {
				continue // some are switched off for a while
			}
			for range max(1, is.surge) {
				to.Produce(ctx, is.record(r, i, round), nil)
			}
		}
		if r.Float64() < is.strange*each {
			to.Produce(ctx, is.record(r, machines+r.IntN(5000), round), nil)
		}
		time.Sleep(time.Until(begin.Add(time.Duration(round+1) * time.Second / each)))
	}
}

func (is now) record(r *rand.Rand, i, round int) *kgo.Record {
	at := time.Now()
	t := float64(round) / each
	temp := 60 + float64(i%7) + 0.5*math.Sin(2*math.Pi*t/600+float64(i)) + r.NormFloat64()
	pressure, load := 4.5+0.05*r.NormFloat64(), 55+5*r.NormFloat64()
	if r.Float64() < 1.0/20_000 {
		temp += 30
	}
	if is.noisy && i == 17 && round%(each*30) < 2 {
		pressure -= 3
	}
	if is.shifted && i%4 == 0 {
		load += 12
	}
	switch x := r.Float64(); {
	case x < is.broken/2:
		return &kgo.Record{Topic: "machines", Key: fmt.Append(nil, i), Value: []byte("temp=61.2 pressure=4.4")}
	case x < is.broken:
		return &kgo.Record{Topic: "machines", Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"machine":"machine-%03d","ts":%d,"temp":"hot"}`, i, at.UnixMilli())}
	case x < is.broken+is.late:
		at = at.Add(-30 * time.Second)
	case x < is.broken+is.late+is.future:
		at = at.Add(75 * time.Second)
	}
	return &kgo.Record{Topic: "machines", Key: fmt.Append(nil, i), Value: fmt.Appendf(nil,
		`{"machine":"machine-%03d","ts":%d,"temp":%.2f,"pressure":%.3f,"load":%.2f}`, i, at.UnixMilli(), temp, pressure, load)}
}

// step is something that happens in the run.
type step struct {
	at   time.Duration
	what string
	do   func()
}

// script is what happens, one thing after the other, so that every panel has something to show.
func (s *stage) script() []step {
	admin := kadm.NewClient(s.client)
	denied := kadm.NewACLs().Topics("machines").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead).Deny("User:ANONYMOUS").DenyHosts("*")
	good, _ := os.ReadFile(filepath.Join(s.dir, "gonomaly.yaml"))
	reload := func(text string) {
		s.configure(text)
		if resp, err := http.Post("http://"+s.addresses[0]+"/-/reload", "", nil); err == nil {
			_ = resp.Body.Close()
		}
	}
	pause := func() { time.Sleep(4 * time.Second) }
	var all []step
	at := 40
	then := func(seconds int, what string, do func()) {
		all = append(all, step{time.Duration(at) * time.Second, what, do})
		at += seconds
	}
	signal := func(sig syscall.Signal) func() {
		return func() { s.must(errors.Join(s.processes[0].Process.Signal(sig), s.processes[1].Process.Signal(sig))) }
	}
	become := func(change func(*now)) func() { return func() { s.fleet.become(change) } }

	then(20, "a machine flaps", become(func(n *now) { n.noisy = true }))
	then(25, "a producer has changed its format", become(func(n *now) { n.broken = 0.04 }))
	then(15, "that is mended; a surge", become(func(n *now) { n.broken, n.surge = 0.0005, 80 }))
	then(20, "the surge is over", become(func(n *now) { n.surge = 0 }))
	then(20, "the collector of traces refuses them", func() { s.collector.Answer(http.StatusForbidden) })
	then(10, "and takes them again", func() { s.collector.Answer(http.StatusOK) })
	then(20, "another one's clock is off", become(func(n *now) { n.late, n.future = 0.02, 0.001 }))
	then(5, "a batch that decompresses to 128 MiB", func() {
		bomb, err := hostile.Bomb(kgo.CodecZstd, 128)
		s.must(err)
		s.must(hostile.Write(s.Context(), s.client, "machines", 2, bomb))
	})
	then(20, "clocks are right again; many keys that come once", become(func(n *now) { n.late, n.future, n.strange = 0, 0, 0.25 }))
	then(20, "a release shifts what a quarter of the machines report", become(func(n *now) { n.shifted, n.strange = true, 0 }))
	then(25, "both instances freeze", signal(syscall.SIGSTOP))
	then(25, "and go on", signal(syscall.SIGCONT))
	then(15, "Redis is away", func() { s.must(s.redis.Stop()) })
	then(10, "gonomaly top", func() { s.top("top.svg") })
	then(20, "Redis is back", func() { s.must(s.redis.Start(s.Context())) })
	then(25, "Redis forgets everything", func() { s.cli("flushall") })
	then(12, "Redis takes the right to write away", func() { s.cli("acl", "setuser", "default", "-@write") })
	then(20, "and gives it back", func() { s.cli("acl", "setuser", "default", "+@all") })
	then(12, "Kafka takes the right to read away", func() {
		_, err := admin.CreateACLs(s.Context(), denied)
		s.must(err)
	})
	then(25, "and gives it back", func() {
		_, err := admin.DeleteACLs(s.Context(), denied)
		s.must(err)
	})
	then(12, "Kafka is away", func() { s.must(s.kafka.Stop()) })
	then(30, "Kafka is back", func() { s.must(s.kafka.Start(s.Context())) })
	then(25, "gonomaly-0 crashes", func() { s.again(0, pause) })
	then(25, "both crash, and meanwhile retention deletes what they have not read", func() {
		_ = s.processes[1].Process.Kill()
		s.again(0, func() {
			time.Sleep(8 * time.Second)
			ends, err := admin.ListEndOffsets(s.Context(), "machines")
			s.must(err)
			_, err = admin.DeleteRecords(s.Context(), ends.Offsets())
			s.must(err)
		})
		s.again(1, func() {})
	})
	then(20, "a namesake of gonomaly-0", func() {
		namesake := s.run(-1, "gonomaly-0", "gonomaly.yaml")
		time.AfterFunc(8*time.Second, func() { _ = namesake.Process.Kill() })
	})
	then(15, "an alert that nobody can read, and a reload that is refused", func() {
		s.must(s.client.ProduceSync(s.Context(), &kgo.Record{Topic: "machines.alerts", Value: []byte("no alert")}).FirstErr())
		reload(strings.Replace(string(good), "half_life: 100", "half_life: -1", 1))
	})
	then(5, "a good one", func() { reload(string(good)) })
	then(30, "an instance with an old password", func() {
		old := strings.Replace(string(good), "["+s.kafka.Address()+"]", "["+s.strangers+"], sasl: {mechanism: plain, username: gonomaly, password: the old one}", 1)
		s.must(os.WriteFile(filepath.Join(s.dir, "old.yaml"), []byte(old), 0o600))
		s.run(2, "gonomaly-2", "old.yaml")
	})
	then(0, "the end", func() {})
	return all
}
