package pipeline

import (
	"context"
	"errors"
)

// Log names the log a checkpoint belongs to: the same partition read by another group is another state.
type Log struct {
	Group string
	Partition
}

// Checkpoint is the state of a partition together with the next offset it wants.
type Checkpoint struct {
	Offset int64
	Config string // hash of the configuration that the state belongs to
	State  []byte // a Worker's AppendBinary
}

// Checkpoints keeps a log's newest two checkpoints. It is used from many goroutines, never from two for one log.
type Checkpoints interface {
	// Load returns the newest checkpoint whose offset is at most atMost and whose configuration hash is config. Where there is
	// none it returns an error that wraps ErrNoCheckpoint and says what was found instead (nothing, corrupt, newer, another
	// configuration); any other error means that the store could not be asked, and is worth a retry.
	Load(ctx context.Context, l Log, atMost int64, config string) (Checkpoint, error)

	// Save makes c durable before it becomes the newest, keeps the one before it, and deletes older ones. It does not move back: a
	// c at or below the newest stored offset is left out without error, unless this process's last Load could not use the newest
	// (above atMost because the group's offsets were reset, of another configuration, or corrupt), which begins a new epoch. That
	// another owner has begun a later epoch is an error.
	Save(ctx context.Context, l Log, c Checkpoint) error
}

// ErrNoCheckpoint is what Load wraps when there is no usable state: the partition is rebuilt from its log.
var ErrNoCheckpoint = errors.New("no usable checkpoint")
