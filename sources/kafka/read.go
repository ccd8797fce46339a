package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is a record as ReadAll finds it.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	Value     []byte
	Headers   map[string]string
}

// ReadAll returns the committed records of topics up to where they end now, of each partition in order. It waits for the transactions
// that are open now: a broker says that a transaction is committed, and shows one partition's part of it, before another's.
func ReadAll(ctx context.Context, opts Options, topics ...string) ([]Record, error) {
	var records []Record
	err := each(ctx, opts, topics, func(r *kgo.Record) {
		found := Record{r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value, map[string]string{}}
		for _, h := range r.Headers {
			found.Headers[h.Key] = string(h.Value)
		}
		records = append(records, found)
	})
	return records, err
}

// each takes the records one by one, as ReadAll finds them.
func each(ctx context.Context, opts Options, topics []string, take func(*kgo.Record)) error {
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return fmt.Errorf("read %v: %w", topics, err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("read %v: %w", topics, err)
	}
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("read %v: %w", topics, err)
	}
	left := map[string]map[int32]int64{}
	missing := 0
	ends.Each(func(o kadm.ListedOffset) {
		start, _ := starts.Lookup(o.Topic, o.Partition)
		err = errors.Join(err, o.Err, start.Err)
		if o.Offset > start.Offset { // else retention has left nothing to wait for
			if left[o.Topic] == nil {
				left[o.Topic] = map[int32]int64{}
			}
			left[o.Topic][o.Partition] = o.Offset
			missing++
		}
	})
	if err != nil {
		return fmt.Errorf("read %v: %w", topics, err)
	}
	for missing > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %v: %w", topics, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := left[r.Topic][r.Partition]
			if r.Offset < end && !r.Attrs.IsControl() {
				take(r)
			}
			if end > 0 && r.Offset >= end-1 {
				delete(left[r.Topic], r.Partition)
				missing--
			}
		})
	}
	return nil
}

// Behind is the number of records that a group has yet to commit of topics that are not written in transactions.
func Behind(ctx context.Context, opts Options, group string, topics ...string) (int64, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return 0, fmt.Errorf("list ends of %v: %w", topics, err)
	}
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // without members and offsets yet
		return 0, fmt.Errorf("fetch offsets of %s: %w", group, err)
	}
	err = nil
	behind := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		c, ok := committed.Lookup(o.Topic, o.Partition)
		switch {
		case o.Err != nil:
			err = errors.Join(err, o.Err)
		case ok:
			behind += max(0, o.Offset-c.At)
		default:
			behind += o.Offset
		}
	})
	return behind, err
}
