//go:build chaos && unix

package chaos

import (
	"errors"
	"log/slog"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/oracle"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// replay is one partition of one stream, and its newest checkpoint, nil for none.
type replay struct {
	*oracle.Replay
	stream string
	stored *pipeline.Worker
}

// fold folds the whole input for each stream, and holds what is stored, by stream and partition, against the states at the end.
func (w *world) fold(stored map[string]map[int32]*pipeline.Worker, r *result) (want oracle.Output, err error) {
	want = oracle.NewOutput()
	replays := map[int32][]replay{}
	for _, s := range w.streams {
		for id := range int32(partitions) {
			one, err := oracle.NewReplay(s.Name, s.Config, pipeline.Partition{Topic: input, ID: id}, want)
			if err != nil {
				return want, err
			}
			replays[id] = append(replays[id], replay{one, s.Name, stored[s.Name][id]})
		}
	}
	err = w.scan(input, kgo.ReadCommitted(), func(k *kgo.Record) error {
		r.Records++
		headers := make([]pipeline.Header, len(k.Headers)) // a probe is known by them
		for i, h := range k.Headers {
			headers[i] = pipeline.Header(h)
		}
		for _, p := range replays[k.Partition] {
			if err := p.Take(pipeline.Record{Offset: k.Offset, Timestamp: k.Timestamp.UnixNano(), Key: k.Key, Value: k.Value, Headers: headers}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return want, err
	}
	for id, all := range replays {
		for _, p := range all {
			r.States++
			if err := p.compare(); err != nil {
				r.StatesWrong++
				w.say("stream %s, partition %d: %v", p.stream, id, err)
			}
		}
	}
	return want, nil
}

// compare is nil when the stored state is that of the whole log.
func (p replay) compare() error {
	if p.stored == nil {
		return errors.New("there is no checkpoint")
	}
	return p.Matches(p.stored)
}

// checkpoints are the newest ones in Redis, as workers restored from them, by stream and partition.
func (w *world) checkpoints() (map[string]map[int32]*pipeline.Worker, error) {
	client := redis.NewClient(&redis.Options{Addr: w.redis.main.Address()})
	defer client.Close() //nolint:errcheck // only read
	topics, err := w.admin.ListTopics(w.Context(), input)
	if err = errors.Join(err, topics.Error()); err != nil {
		return nil, err
	}
	store, found := checkpoint.NewRedis(client, prefix, nil, slog.New(slog.DiscardHandler)), map[string]map[int32]*pipeline.Worker{}
	for _, s := range w.streams {
		if found[s.Name], err = oracle.Stored(w.Context(), store, s, topics[input].ID, partitions); err != nil {
			return nil, err
		}
	}
	return found, nil
}
