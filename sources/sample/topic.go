package sample

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Topic looks at up to n records of a topic, evenly from the start of each of its partitions, and at none of its tombstones, without a
// consumer group and hence without a trace. After the time-out it makes do with what it has, if that is anything.
func Topic(ctx context.Context, opts []kgo.Opt, topic string, n int, timeout time.Duration) (Guess, error) {
	rows, err := fetch(ctx, opts, topic, n, timeout)
	if err != nil {
		return Guess{}, fmt.Errorf("sample topic %s: %w", topic, err)
	}
	g, err := guess(rows)
	if err != nil {
		return Guess{}, fmt.Errorf("sample topic %s: %w", topic, err)
	}
	if g.Time.Field == "" {
		g.note("no field holds a time: the record's timestamp counts")
	}
	return g, nil
}

func fetch(ctx context.Context, opts []kgo.Opt, topic string, n int, timeout time.Duration) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// Transaction markers are kept because one of them may be the last there is before the end.
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	want := map[int32]int64{} // the end of each partition that has records
	from := map[int32]kgo.Offset{}
	starts.Each(func(o kadm.ListedOffset) {
		if end, ok := ends.Lookup(topic, o.Partition); ok && end.Offset > o.Offset {
			want[o.Partition] = end.Offset
			from[o.Partition] = kgo.NewOffset().At(o.Offset)
		}
	})
	if len(want) == 0 {
		return nil, nil
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	records, err := collect(ctx, cl, want, boundOf(n, len(want)))
	if err != nil && (ctx.Err() == nil || len(records) == 0) {
		return nil, err
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	rows := make([]row, 0, n)
	for _, r := range records[:min(n, len(records))] {
		rows = append(rows, row{key: string(r.Key), value: string(r.Value), stamp: r.Timestamp.UnixNano(), partition: r.Partition})
	}
	return rows, nil
}

// collect reads each partition until the bound is full, or up to its end, but no tombstones and none of our own probes; an error, or ctx being done, ends it early.
func collect(ctx context.Context, cl *kgo.Client, ends map[int32]int64, each bound) (records []*kgo.Record, err error) {
	have := map[int32]*bound{}
	for p := range ends {
		b := each
		have[p] = &b
	}
	for len(ends) > 0 && err == nil {
		fetches := cl.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) {
			end, open := ends[r.Partition]
			if open && r.Offset < end && !r.Attrs.IsControl() && r.Value != nil && string(r.Key) != pipeline.ProbeKey {
				records = append(records, r)
				have[r.Partition].add(r.Value)
			}
			if open && have[r.Partition].full() || r.Offset+1 >= end {
				delete(ends, r.Partition)
			}
		})
		err = fetches.Err()
	}
	return records, err
}
