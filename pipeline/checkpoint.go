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

// Checkpoint is the state of a partition together with the next offset it wants; or, where After is not Whole, what has changed of the
// state since the checkpoint at that offset.
type Checkpoint struct {
	Offset int64
	After  int64  // offset of the checkpoint that this one continues, or Whole
	Config string // Hashes of the configuration that the state belongs to
	State  []byte // as a Snapshot has it; who is given one to save does not keep it
}

// Whole is the After of a checkpoint that needs no other: at offset 0 there is nothing to continue.
const Whole = 0

// Checkpoints keeps for a log the newest whole checkpoint with those that continue it, and the same of the whole one before. It is used
// from many goroutines, never from two for one log.
type Checkpoints interface {
	// Load returns a whole checkpoint and those that continue it, in order, up to the newest whose offset is at most atMost; all are of
	// one configuration, with the points of config: the first of its Hashes. Where there is none it returns an error that wraps ErrNoCheckpoint
	// and says what was found instead (nothing, corrupt, newer, other points); any other error means that the store could not be asked,
	// and is worth a retry.
	Load(ctx context.Context, l Log, atMost int64, config string) ([]Checkpoint, error)

	// Save makes c durable before it becomes the newest. It does not move back: a c at or below the newest stored offset is left out
	// without error, unless this process's last Load could not use the newest as it is (above atMost because the group's offsets were
	// reset, of another configuration than config, or corrupt): then a new epoch begins, with a whole checkpoint. That another owner has
	// begun a later epoch is an error. A c that continues what is not the newest is refused with ErrBroken.
	Save(ctx context.Context, l Log, c Checkpoint) error
}

// ErrNoCheckpoint is what Load wraps when there is no usable state: the partition is rebuilt from its log.
var ErrNoCheckpoint = errors.New("no usable checkpoint")

// ErrBroken is what Save wraps when a checkpoint continues one that the store does not have as its newest: it wants a whole one.
var ErrBroken = errors.New("the checkpoint that it continues is not the newest")
