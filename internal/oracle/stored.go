package oracle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// Stored are the newest checkpoints of a stream's partitions in its first topic, as workers restored from them. A partition that has none is
// not among them.
func Stored(ctx context.Context, store *checkpoint.Store, s config.Stream, topic [16]byte, partitions int32) (map[int32]*pipeline.Worker, error) {
	found := map[int32]*pipeline.Worker{}
	for id := range partitions {
		p := pipeline.Partition{Topic: s.Topics[0], TopicID: hex.EncodeToString(topic[:]), ID: id}
		chain, err := store.Load(ctx, pipeline.Log{Group: s.Group, Partition: p}, math.MaxInt64, s.Hashes())
		if errors.Is(err, pipeline.ErrNoCheckpoint) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if found[id], err = pipeline.NewWorker(s.Name, s.Config, p); err != nil {
			return nil, err
		}
		var states [][]byte
		for _, c := range chain {
			states = append(states, c.State)
		}
		if err := found[id].Restore(states); err != nil {
			return nil, fmt.Errorf("restore %v: %w", p, err)
		}
	}
	return found, nil
}
