//go:build chaos && unix

package chaos

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// oracle knows what should have been told: it folds the log with the production's worker, and without any of the way that records and
// alerts take in production. One goroutine folds one partition after the other's records, from the first to the last.
type oracle struct {
	records     int64 // of the log
	alerts      output
	letters     output
	states      int // compared
	statesWrong int
	say         func(string, ...any)
}

// replay is one partition of one stream.
type replay struct {
	stream config.Stream
	worker *pipeline.Worker
	stored *pipeline.Worker // restored from a checkpoint, to be compared with the worker where it passes that; nil for none
}

// fold folds the whole input for each stream. What is stored is by stream and partition.
func (w *world) fold(stored map[string]map[int32]*pipeline.Worker) (*oracle, error) {
	o := &oracle{alerts: output{}, letters: output{}, say: w.say}
	replays := map[int32][]*replay{}
	for _, s := range w.streams {
		for id := range int32(partitions) {
			worker, err := pipeline.NewWorker(s.Name, s.Config, pipeline.Partition{Topic: input, ID: id})
			if err != nil {
				return nil, err
			}
			replays[id] = append(replays[id], &replay{s, worker, stored[s.Name][id]})
		}
	}
	err := w.scan(input, func(r *kgo.Record) error {
		o.records++
		for _, p := range replays[r.Partition] {
			if err := o.take(p, r); err != nil {
				return err
			}
		}
		return nil
	})
	return o, err
}

func (o *oracle) take(p *replay, r *kgo.Record) error {
	rec := pipeline.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixNano(), Key: r.Key, Value: r.Value}
	for _, m := range p.worker.Process([]pipeline.Record{rec}, 0) {
		if m.Topic == p.stream.Alert.Topic {
			id, err := alertID(m.Value)
			if err != nil {
				return err
			}
			o.alerts.add(id, m.Key, m.Value)
			continue
		}
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		o.letters.add(letterID(headers), m.Key, m.Value)
	}
	if p.stored == nil || p.stored.Position() != p.worker.Position() {
		return nil
	}
	want, err := p.worker.AppendBinary(nil)
	if err != nil {
		return fmt.Errorf("state of stream %s: %w", p.stream.Name, err)
	}
	got, err := p.stored.AppendBinary(nil)
	if err != nil {
		return fmt.Errorf("stored state of stream %s: %w", p.stream.Name, err)
	}
	o.states++
	if !bytes.Equal(got, want) {
		o.statesWrong++
		o.say("stream %s, partition %d: the checkpoint at %d is not the state of the log", p.stream.Name, r.Partition, p.stored.Position())
	}
	return nil
}

// checkpoints are the newest ones in Redis, as workers restored from them, by stream and partition.
func (w *world) checkpoints() (map[string]map[int32]*pipeline.Worker, error) {
	client := redis.NewClient(&redis.Options{Addr: w.redis.main.Address()})
	defer client.Close() //nolint:errcheck // only read
	topics, err := w.admin.ListTopics(w.Context(), input)
	if err != nil {
		return nil, err
	}
	topicID := topics[input].ID
	store := checkpoint.NewRedis(client, prefix, nil, slog.New(slog.DiscardHandler))
	found := map[string]map[int32]*pipeline.Worker{}
	for _, s := range w.streams {
		found[s.Name] = map[int32]*pipeline.Worker{}
		for id := range int32(partitions) {
			p := pipeline.Partition{Topic: input, TopicID: hex.EncodeToString(topicID[:]), ID: id}
			states, err := store.Load(w.Context(), pipeline.Log{Group: s.Group, Partition: p}, math.MaxInt64, s.LearnedHash())
			if errors.Is(err, pipeline.ErrNoCheckpoint) {
				w.say("stream %s, partition %d: %v", s.Name, id, err)
				continue
			}
			if err != nil {
				return nil, err
			}
			if found[s.Name][id], err = restored(s, p, states); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func restored(s config.Stream, p pipeline.Partition, states []pipeline.Checkpoint) (*pipeline.Worker, error) {
	worker, err := pipeline.NewWorker(s.Name, s.Config, p)
	if err != nil {
		return nil, err
	}
	var parts [][]byte
	for _, c := range states {
		parts = append(parts, c.State)
	}
	return worker, worker.Restore(parts)
}
