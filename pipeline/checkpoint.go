package pipeline

import (
	"context"
	"errors"
	"iter"
	"slices"
)

// Log names the log a checkpoint belongs to: the same partition read by another group is another state.
type Log struct {
	Group string
	Partition
}

// Checkpoint says of a partition's state which offset it wants next, and of what it is: all of the state; or, where After is not Whole,
// what has changed of it since the checkpoint at that offset.
type Checkpoint struct {
	Offset int64
	After  int64  // offset of the checkpoint that this one continues, or Whole
	Config string // Hashes of the configuration that the state belongs to
}

// Stored is a checkpoint as it is read back.
type Stored struct {
	Checkpoint
	State []byte // all pieces, one after the other
}

// Whole is the After of a checkpoint that needs no other: at offset 0 there is nothing to continue.
const Whole = 0

// Pieces are the bytes of a state in order, some MiB at a time: a large one is never there as a whole. A piece is good until the next one is
// asked for. They can be asked for once, and after an error no more.
type Pieces iter.Seq2[[]byte, error]

// pieceSize is that of Pieces, or a little more, where a series' state ends behind it: what a store takes in without delay to others.
const pieceSize = 1 << 20

// InPieces gives a state that is there already.
func InPieces(state []byte) Pieces {
	return func(yield func([]byte, error) bool) {
		for piece := range slices.Chunk(state, pieceSize) {
			if !yield(piece, nil) {
				return
			}
		}
	}
}

// Checkpoints keeps for a log the newest whole checkpoint with those that continue it, and the same of the whole one before. It is used
// from many goroutines, never from two for one log.
type Checkpoints interface {
	// Load returns a whole checkpoint and those that continue it, in order, up to the newest whose offset is at most atMost; all are of
	// one configuration, with the points of config: the first of its Hashes. Where there is none it returns an error that wraps ErrNoCheckpoint
	// and says what was found instead (nothing, corrupt, newer, other points); any other error means that the store could not be asked,
	// and is worth a retry.
	Load(ctx context.Context, l Log, atMost int64, config string) ([]Stored, error)

	// Save takes the state of c piece by piece, and makes it durable before c becomes the newest. It does not move back: a c at or below the
	// newest stored offset is left out without error, unless this process's last Load could not use the newest as it is (above atMost because
	// the group's offsets were reset, of another configuration than config, or corrupt): then a new epoch begins, with a whole checkpoint. That
	// another owner has begun a later epoch is an error. A c that continues what is not the newest is refused with ErrBroken. What is left out
	// or refused need not be asked for its pieces.
	Save(ctx context.Context, l Log, c Checkpoint, state Pieces) error
}

// ErrNoCheckpoint is what Load wraps when there is no usable state: the partition is rebuilt from its log.
var ErrNoCheckpoint = errors.New("no usable checkpoint")

// ErrBroken is what Save wraps when a checkpoint continues one that the store does not have as its newest: it wants a whole one.
var ErrBroken = errors.New("the checkpoint that it continues is not the newest")
