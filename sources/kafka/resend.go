package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Resend says which dead letters to write again.
type Resend struct {
	Letters string    // topic that they stand in
	Since   time.Time // set aside then or later
	Reason  string    // "" for any
	DryRun  bool      // only count
}

// Resent is what came of it.
type Resent struct {
	Sent   map[string]int // letters, or what would be sent, by the topic that they came from
	Cut    int            // letters that are not what the record was, for a broker would not have taken it whole: they stay
	Others int            // set aside before, or for another reason, or no letters at all
}

// Run writes each letter back into the topic and partition that it came from, with the key, value, headers and timestamp that the record had, up
// to where the letters end now. It is done when the brokers have them all. A second run sends the same again.
func (c Resend) Run(ctx context.Context, opts Options) (Resent, error) {
	done := Resent{Sent: map[string]int{}}
	client, err := kgo.NewClient(append(slices.Clone(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return done, fmt.Errorf("resend %s: %w", c.Letters, err)
	}
	defer client.Close()
	writing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	err = each(writing, opts, []string{c.Letters}, func(letter *kgo.Record) {
		r, from := original(letter)
		switch {
		case r.Topic == "" || letter.Timestamp.Before(c.Since) || c.Reason != "" && c.Reason != from["reason"]:
			done.Others++
			return
		case from["cut"] != "":
			done.Cut++
			return
		}
		done.Sent[r.Topic]++
		if !c.DryRun {
			client.Produce(writing, r, func(r *kgo.Record, err error) {
				if err != nil {
					fail(fmt.Errorf("resend %s: write to partition %d of %s: %w", c.Letters, r.Partition, r.Topic, err))
				}
			})
		}
	})
	if err == nil {
		err = client.Flush(writing)
	}
	if cause := context.Cause(writing); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return done, err
}

// headerPrefix is that of the headers that say where a letter comes from, and why.
const headerPrefix = "gonomaly."

// original is the record that a letter was, and what its headers say of it, without their prefix.
func original(letter *kgo.Record) (r *kgo.Record, from map[string]string) {
	r, from = &kgo.Record{Key: letter.Key, Value: letter.Value}, map[string]string{}
	for _, h := range letter.Headers {
		if name, own := strings.CutPrefix(h.Key, headerPrefix); own {
			from[name] = string(h.Value)
		} else {
			r.Headers = append(r.Headers, h)
		}
	}
	partition, err := strconv.ParseInt(from["partition"], 10, 32)
	if err != nil {
		return r, from
	}
	r.Topic, r.Partition = from["topic"], int32(partition)
	if ms, err := strconv.ParseInt(from["timestamp"], 10, 64); err == nil {
		r.Timestamp = time.UnixMilli(ms)
	}
	return r, from
}
