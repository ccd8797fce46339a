package checkpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gonomaly/gonomaly/pipeline"
)

// What the tests see that stand outside, because they are written against a configuration.

const Version, Oldest = version, oldest

func Encode(c pipeline.Stored, l pipeline.Log) ([]byte, error) { return newCodec().whole(c, l, 1) }

func Decode(b []byte, l pipeline.Log) (pipeline.Stored, error) {
	c, _, err := decode(b, l, maxState)
	return c, err
}

// whole is an envelope in one piece.
func (e *codec) whole(c pipeline.Stored, l pipeline.Log, epoch int64) ([]byte, error) {
	pieces, err := e.encode(c.Checkpoint, pipeline.InPieces(c.State), l, epoch)
	if err != nil {
		return nil, err
	}
	var b []byte
	for piece, err := range pieces {
		if err != nil {
			return nil, err
		}
		b = append(b, piece...)
	}
	return b, nil
}

// Told is how an error ends that has a reason: with what is to be done.
func Told(reason string) string {
	for _, t := range troubles {
		if t.reason == reason {
			return fmt.Sprintf("[%s: %s]", t.reason, t.remedy)
		}
	}
	panic("unknown reason " + reason)
}

// TroublesPage is the table of troubles for docs/redis.md.
func TroublesPage() string {
	var page strings.Builder
	page.WriteString("\n| reason | what is said | it means | Gonomaly | you |\n| --- | --- | --- | --- | --- |\n")
	for _, t := range slices.Concat(troubles, []trouble{lostStates, damagedState, otherVersion}) {
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", t.reason, t.says, t.means, t.does, t.remedy)
	}
	return page.String() + "\n"
}

// RightsPage is what docs/redis.md has of rights.
func RightsPage() string {
	rights := slices.Compact(slices.Sorted(slices.Values(AllRights())))
	var page strings.Builder
	page.WriteString("\n```text\n")
	fmt.Fprintf(&page, "ACL SETUSER gonomaly on >PASSWORD ~gonomaly:* -@all %s\n", strings.Join(rights, " "))
	page.WriteString("```\n\n")
	fmt.Fprintf(&page, "- For checkpoints alone: `%s`; for the sink alone: `%s`.\n", strings.Join(checkpointRights, " "), strings.Join(sinkRights, " "))
	fmt.Fprintf(&page, "- On a Cluster also `~{gonomaly}:* %s`.\n", strings.Join(ClusterRights, " "))
	fmt.Fprintf(&page, "- On the Sentinels, where they have users: `user gonomaly on >PASSWORD resetchannels -@all %s`.\n\n", strings.Join(sentinelRights, " "))
	return page.String()
}
