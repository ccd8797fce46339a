package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// slowAnswer is what a broker or Redis in the same data centre does not take; the first answer opens a connection.
const slowAnswer = 500 * time.Millisecond

func brokers(f *facts) []Finding {
	out := findings{area: "brokers"}
	if f.kafkaErr != nil {
		out.bad("correct the section kafka of the configuration", "%v", f.kafkaErr)
		return out.all
	}
	k := f.kafka
	answers := slices.ContainsFunc(k.Seeds, func(b kafka.Broker) bool { return b.Err == nil })
	for _, b := range k.Seeds {
		switch {
		case b.Err != nil && answers:
			out.warn(unreachable(b.Err), "%s of kafka.brokers does not answer: %v", b.Address, b.Err)
		case b.Err != nil:
			out.bad(unreachable(b.Err), "%s of kafka.brokers does not answer: %v", b.Address, b.Err)
		}
	}
	if k.Err != nil {
		if answers {
			out.bad("look into the brokers' logs: they answer, and name no brokers", "%v", k.Err)
		}
		out.warn("cure this first", "topics, groups and offsets were not looked at")
		return out.all
	}
	versions := map[string]bool{}
	for _, b := range k.Brokers {
		switch {
		case b.Err != nil:
			out.bad("start it; where clients cannot reach that address, correct the broker's advertised.listeners", "broker %d at %s does not answer: %v", b.ID, b.Address, b.Err)
			continue
		case b.Took > slowAnswer:
			out.warn("look at the broker's load and at the network between", "broker %d at %s takes %s to answer", b.ID, b.Address, brief(b.Took))
		default:
			out.good("broker %d at %s answers in %s, Kafka %s", b.ID, b.Address, brief(b.Took), b.Version)
		}
		versions[b.Version] = true
	}
	if len(versions) > 1 {
		out.warn("end the upgrade that is under way", "brokers are of %d versions", len(versions))
	}
	return out.all
}

// unreachable is what to do about an address that does not answer.
func unreachable(err error) string {
	var dns *net.DNSError
	text := err.Error()
	switch {
	case errors.As(err, &dns):
		return "correct the name in kafka.brokers, or the resolver of this machine"
	case strings.Contains(strings.ToLower(text), "sasl"):
		return "correct kafka.sasl: mechanism, username and password as the brokers know them"
	case strings.Contains(text, "tls:") || strings.Contains(text, "x509:"):
		return "correct kafka.tls: enabled, ca_file, server_name, and cert_file where brokers ask for one"
	case strings.Contains(text, "refused"):
		return "start the broker, or correct the port in kafka.brokers"
	case errors.Is(err, io.EOF) || strings.Contains(text, "EOF"):
		return "see whether the listener wants TLS or SASL, and whether kafka.tls and kafka.sasl, its password too, are as it wants them"
	case errors.Is(err, context.DeadlineExceeded) || strings.Contains(text, "timeout"):
		return "look for a firewall between, or a broker that is frozen; and whether kafka.tls.enabled is as on the listener"
	}
	return "start the broker, or correct kafka.brokers"
}

func topics(f *facts) []Finding {
	out := findings{area: "topics"}
	if !f.cluster() {
		return nil
	}
	told := map[string]bool{}
	for i := range f.config.Streams {
		s := &f.config.Streams[i]
		for _, name := range s.Topics {
			if !told[name] {
				told[name] = true
				f.topic(&out, name, fmt.Sprintf("kafka-topics.sh --create --topic %s, or correct topics of stream %s; run waits for it", name, s.Name), Bad)
			}
		}
		level, remedy := Warning, "nothing, run makes it; it needs the right Create, or somebody to make it"
		if f.runs(s.Name) {
			level, remedy = Bad, "run made it when it began, and it is gone: restart the instance, which makes it anew"
		}
		for _, name := range s.Outputs(s.Topics) {
			if !told[name] {
				told[name] = true
				f.topic(&out, name, remedy, level)
			}
		}
	}
	return out.all
}

// cluster says whether the cluster could be asked.
func (f *facts) cluster() bool { return f.kafkaErr == nil && f.kafka.Err == nil }

// runs says whether an instance that answers has a stream.
func (f *facts) runs(stream string) (runs bool) {
	for i := range f.instances {
		f.instances[i].Each("gonomaly_config_info", func(l map[string]string, _ float64) { runs = runs || l["stream"] == stream })
	}
	return runs
}

// abandoned is how long a producer may write nothing in the middle of a transaction: by default it is then ended for it.
const abandoned = time.Minute

// topic tells of one, and how to make it where it is missing.
func (f *facts) topic(out *findings, name, remedy string, missing Level) {
	t, asked := f.kafka.Topics[name]
	switch {
	case errors.Is(t.Err, kafka.ErrNoTopic):
		out.add(missing, remedy, "%s does not exist", name)
		return
	case t.Err != nil || !asked:
		out.bad(refused(t.Err, "topic", name), "%s cannot be asked about: %v", name, t.Err)
		return
	}
	var dead, thin, held []string
	records := int64(0)
	for _, id := range ids(t.Partitions) {
		p := t.Partitions[id]
		if p.Err != nil {
			dead = append(dead, fmt.Sprintf("%d (%v)", id, p.Err))
		}
		if p.InSync < p.Replicas {
			thin = append(thin, fmt.Sprintf("%d (%d of %d)", id, p.InSync, p.Replicas))
		}
		if o := p.Open; o != nil && !o.Last.IsZero() && t.At.Sub(o.Last) > abandoned {
			held = append(held, fmt.Sprintf("%d (from offset %d on: producer %d has written nothing for %s)", id, o.Start, o.Producer, brief(t.At.Sub(o.Last))))
		}
		records += max(0, p.End-p.Start)
	}
	if len(held) > 0 {
		out.bad("end or restart that producer, or see kafka-transactions.sh list, which has its transactional id, and kafka-transactions.sh abort",
			"%s: a transaction that is not ended keeps records from readers: partitions %s", name, list(held))
	}
	if len(dead) > 0 {
		out.bad("bring the brokers back that hold them: kafka-topics.sh --describe --topic "+name, "%s: partitions cannot be read: %s", name, list(dead))
	}
	if len(thin) > 0 {
		out.warn("bring the brokers back that hold the other replicas; with fewer than min.insync.replicas nothing can be written",
			"%s: replicas are behind in partitions %s", name, list(thin))
	}
	if len(dead)+len(thin) == 0 {
		out.good("%s has %s, all in sync, %s", name, many(len(t.Partitions), "partition"), many64(records, "offset"))
	}
}

// refused is what to do about a question that was not answered.
func refused(err error, kind, name string) string {
	if kafka.Denied(err) {
		return allow(kind, name, "Describe")
	}
	return "ask again; where that does not help, look into the brokers' logs"
}

// allow is the command that gives rights.
func allow(kind, name string, operations ...string) string {
	return fmt.Sprintf("kafka-acls.sh --add --allow-principal User:NAME --operation %s --%s %s", strings.Join(operations, " --operation "), kind, name)
}

func ids(partitions map[int32]kafka.PartitionState) []int32 {
	return slices.Sorted(maps.Keys(partitions))
}
