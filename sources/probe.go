package sources

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// prober writes probes into the topics of a stream and looks for the answers in its alerts topic, with a client of its own. So it sees what a
// producer and a reader of alerts would: whatever is between, broken or slow, of this instance or another. Where it fails itself, the source
// goes on.
type prober struct {
	ProbeConfig
	source  *Kafka
	o       *KafkaOptions
	log     *slog.Logger
	alerts  string // topic
	who     string // sends these probes: the answers to those of another instance, or of our predecessor, are not ours
	flights *flights

	// Of the goroutine that sends.
	sent uint64
	next map[string]int32 // partition of each topic that is in turn
}

func newProber(k *Kafka) *prober {
	c := *k.o.Config.Probe
	return &prober{
		ProbeConfig: c, source: k, o: &k.o, log: k.log, alerts: k.o.Outputs[0], who: cmp.Or(k.o.Instance, "unnamed") + "/" + rand.Text()[:8],
		flights: newFlights(k.o.Stream, c.Timeout, k.o.Metrics, k.log), next: map[string]int32{},
	}
}

// run probes until ctx is done, from when the source is ready first: what is still on its way to begin would lose all.
func (p *prober) run(ctx context.Context) {
	defer p.o.Metrics.endProbes(p.o.Stream)
	for p.source.Ready() != nil {
		if !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
	for _, topic := range p.o.Topics {
		p.o.Metrics.returned.WithLabelValues(p.o.Stream, topic).SetToCurrentTime()
	}
	for said := false; ; {
		begin := time.Now()
		err := p.session(ctx)
		if ctx.Err() != nil {
			return
		}
		p.flights.fail(p.o.Topics)
		p.o.Clients.Denied(err)
		if !said || time.Since(begin) > p.Every+probeTimeout { // it had gone well
			p.log.Warn("probing failed: it is tried again", "error", err)
			said = true
		}
		if !pause(ctx, p.Every) {
			return
		}
	}
}

// pause waits, and says whether ctx is not done yet.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// session is the life of one client, until ctx is done or something fails. The next one begins to read where the alerts topic ends then.
func (p *prober) session(ctx context.Context) error {
	client, err := kgo.NewClient(append(kafka.Observed(p.source.opts, p.o.Clients, p.o.Stream+" probing", p.log),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(), kgo.RecordDeliveryTimeout(p.Timeout), kgo.ProducerLinger(0),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(partitionBytes),
		kgo.MetadataMinAge(metadataAge))...)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer closeClient(client)
	admin := kadm.NewClient(client)
	begin, err := p.begin(ctx, client, admin)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.listen(ctx, client) })
	g.Go(func() error { return p.send(ctx, client, admin, begin) })
	return g.Wait()
}

// probeTimeout bounds a question to the brokers.
const probeTimeout = 10 * time.Second

// begin has the client read the alerts topic from its end on, before there is an answer.
func (p *prober) begin(ctx context.Context, client *kgo.Client, admin *kadm.Client) (kafka.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	topics, err := kafka.Topics(ctx, admin, []string{p.alerts})
	if err != nil {
		return kafka.Topic{}, err
	}
	ends, err := admin.ListCommittedOffsets(ctx, p.alerts)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return kafka.Topic{}, fmt.Errorf("list the ends of %s: %w", p.alerts, err)
	}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = kgo.NewOffset().At(o.Offset) })
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.alerts: from})
	return kafka.Topic{ID: topics[p.alerts].ID, Partitions: int32(len(from))}, nil //nolint:gosec // Kafka counts partitions in int32
}

// listen takes answers.
func (p *prober) listen(ctx context.Context, client *kgo.Client) error {
	for {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", p.alerts, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !bytes.HasPrefix(r.Key, []byte(pipeline.ProbeKey)) {
				return
			}
			for _, h := range r.Headers {
				if h.Key == pipeline.ProbeHeader {
					p.flights.answered(string(h.Value), now)
				}
			}
		})
	}
}

// send has a round go out each time that one is due. What has become of the topics is asked each time: partitions are added to them.
func (p *prober) send(ctx context.Context, client *kgo.Client, admin *kadm.Client, reads kafka.Topic) error {
	tick := time.NewTicker(p.Every)
	defer tick.Stop()
	for {
		p.flights.expire(time.Now())
		asking, cancel := context.WithTimeout(ctx, probeTimeout)
		topics, err := kafka.Topics(asking, admin, append([]string{p.alerts}, p.o.Topics...))
		cancel()
		if err != nil {
			return err
		}
		alerts := topics[p.alerts]
		if alerts.ID != reads.ID {
			return fmt.Errorf("topic %s was deleted and made anew", p.alerts)
		}
		for ; reads.Partitions < alerts.Partitions; reads.Partitions++ {
			client.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.alerts: {reads.Partitions: kgo.NewOffset().AtStart()}})
		}
		for _, topic := range p.o.Topics {
			for _, id := range p.inTurn(topic, topics[topic].Partitions) {
				p.launch(ctx, client, place{topic, id})
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// inTurn are the partitions of a topic that get a probe in this round.
func (p *prober) inTurn(topic string, of int32) []int32 {
	n := of
	if p.Partitions > 0 {
		n = int32(min(int64(p.Partitions), int64(of))) //nolint:gosec // at most of
	}
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = p.next[topic] % of
		p.next[topic] = ids[i] + 1
	}
	return ids
}

// launch sends a probe to a partition.
func (p *prober) launch(ctx context.Context, client *kgo.Client, to place) {
	p.sent++
	header := fmt.Sprintf("%s/%s/%d", p.o.Stream, p.who, p.sent)
	if !p.flights.begin(header, to) {
		return
	}
	client.TryProduce(ctx, &kgo.Record{
		Topic: to.topic, Partition: to.id, Key: []byte(pipeline.ProbeKey), Value: pipeline.ProbeValue(header),
		Headers: []kgo.RecordHeader{{Key: pipeline.ProbeHeader, Value: []byte(header)}},
	}, func(_ *kgo.Record, err error) {
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
			p.o.Clients.Denied(err)
			p.flights.unwritten(header, err)
		}
	})
}
