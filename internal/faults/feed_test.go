//go:build faults && unix

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// spoiler makes another record of one that a machine sends, or none: "".
type spoiler func(machine int, now time.Time) (value string, spoilt bool)

// createTopic has the last broker alone have partition 0, and the others the rest: of three, one can be taken away with a single partition.
func (g *group) createTopic(brokers int) {
	g.Helper()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = g.name, -1, -1
	for i := range int32(partitions) {
		p := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		p.Partition, p.Replicas = i, []int32{1}
		if i == 0 && brokers > 0 {
			p.Replicas = []int32{int32(brokers)}
		}
		t.ReplicaAssignment = append(t.ReplicaAssignment, p)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics = 20_000, append(req.Topics, t)
	g.eventually("the topic is made", time.Minute, func() error {
		resp, err := req.RequestWith(g.Context(), g.client)
		if err == nil && resp.Topics[0].ErrorCode != 0 {
			err = fmt.Errorf("create %s: error %d", g.name, resp.Topics[0].ErrorCode)
		}
		return err
	})
}

// feed has the machines report in turn, each about a level of its own; one report in 200 is far off. What cannot be written is lost.
func (g *group) feed(ctx context.Context) {
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		machine, now := n%machines, time.Now()
		temp := 20 + float64(n*7919%1000)/500
		if n%199 == 0 {
			temp = 60
		}
		value := report(machine, now, temp)
		if spoil := g.spoil.Load(); spoil != nil {
			if other, spoilt := (*spoil)(machine, now); spoilt {
				value = other
			}
		}
		if value == "" {
			continue
		}
		g.client.TryProduce(ctx, &kgo.Record{Topic: g.name, Partition: int32(machine % partitions), Value: []byte(value)}, nil)
	}
}

func report(machine int, at time.Time, temp float64) string {
	return fmt.Sprintf(`{"machine":"m-%02d","ts":%d,"temp":%.3f}`, machine, at.UnixMilli(), temp)
}

// send writes a record and waits until it stands in the log.
func (g *group) send(topic, value string) {
	g.Helper()
	g.must(g.client.ProduceSync(g.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
}

// deleteAll deletes all records that there are.
func (g *group) deleteAll() {
	g.Helper()
	admin := kadm.NewClient(g.client)
	ends, err := admin.ListEndOffsets(g.Context(), g.name)
	g.must(errors.Join(err, ends.Error()))
	deleted, err := admin.DeleteRecords(g.Context(), ends.Offsets())
	g.must(errors.Join(err, deleted.Error()))
}

// quota bounds the bytes a second that the broker lets Gonomaly read; 0 lifts the bound.
func (g *group) quota(bytes float64) {
	g.Helper()
	client := "gonomaly"
	set, err := kadm.NewClient(g.client).AlterClientQuotas(g.Context(), []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &client}}, Ops: []kadm.AlterClientQuotaOp{{Key: "consumer_byte_rate", Value: bytes, Remove: bytes == 0}},
	}})
	g.must(err)
	g.must(set[0].Err)
}

// lacksReplica has a topic ask for all of its three replicas, and kills the second broker, which alone has nothing of the group's own topic: what
// is to be written to that topic is refused.
func (g *group) lacksReplica(topic string) {
	g.Helper()
	three := "3"
	set, err := kadm.NewClient(g.client).AlterTopicConfigs(g.Context(), []kadm.AlterConfig{{Name: "min.insync.replicas", Value: &three}}, topic)
	g.must(err)
	g.must(set[0].Err)
	g.must(g.cluster.Brokers[1].Kill())
}

// endLost ends transactions of which a single broker of Kafka 4.3.1 may lose the markers while it starts (KAFKA-20734), as
// kafka-transactions.sh abort does: those that stand open among the groups' offsets although their coordinator knows of none.
func (g *group) endLost() {
	g.Helper()
	const offsets = "__consumer_offsets"
	admin := kadm.NewClient(g.client)
	g.eventually("the stream goes on", 3*time.Minute, func() error {
		ctx, cancel := context.WithTimeout(g.Context(), 10*time.Second)
		defer cancel()
		if says, err := g.members[0].get("/metrics"); err == nil && strings.Contains(says, "gonomaly_kafka_lag_records{") {
			return nil
		}
		running, err := admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
		if err != nil {
			return err
		}
		open, err := admin.DescribeProducers(ctx, kadm.TopicsSet{offsets: nil})
		if err != nil {
			return err
		}
		open.EachProducer(func(p kadm.DescribedProducer) {
			if p.CurrentTxnStartOffset < 0 || len(running) > 0 || time.Since(time.UnixMilli(p.LastTimestamp)) < time.Minute {
				return
			}
			g.say("producer %d has lost the markers of its transaction in %s-%d, from offset %d on: it is aborted", p.ProducerID, offsets, p.Partition, p.CurrentTxnStartOffset)
			_, refused := admin.WriteTxnMarkers(ctx, kadm.TxnMarkers{
				ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, CoordinatorEpoch: max(0, p.CoordinatorEpoch), Topics: kadm.TopicsSet{offsets: {p.Partition: {}}},
			})
			err = errors.Join(err, refused)
		})
		return errors.Join(err, errors.New("it does not yet"))
	})
}
