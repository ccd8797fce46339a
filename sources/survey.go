package sources

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bounds are a partition's log: its first retained offset, and the one that a reader of committed records comes to last.
type bounds struct{ start, end int64 }

// taken is what the brokers say of a partition that is taken over.
type taken struct {
	committed int64   // the group's offset, -1 for none
	log       *bounds // nil where its leader does not answer
	late      bool    // it came to be while the group was reading its topic: it is read from its start, whatever a new group does
	since     int64   // the first offset that the group's state knows; 0 for all of the log
}

// survey asks for the logs of assigned partitions, and for whose the committed offsets are. A committed offset beyond the end is of another
// log: the topic was truncated, or made anew under the same name. Going on there would skip records in silence. One that we have marked
// with another topic's id counts for none.
func (s *session) survey(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[place]taken, error) {
	var topics []string
	all := map[string][]int32{}
	for topic, partitions := range offsets {
		topics = append(topics, topic)
		for id := range max(s.topics[topic].Partitions, 0) {
			all[topic] = append(all[topic], id)
		}
		for id := range partitions {
			if id >= s.topics[topic].Partitions { // added since
				all[topic] = append(all[topic], id)
			}
		}
	}
	begin := time.Now()
	return backoff.RetryNotifyWithData(func() (map[place]taken, error) {
		logs, err := s.listLogs(ctx, topics)
		if err != nil && (len(logs) == 0 || time.Since(begin) < leadersPatience) {
			return nil, err
		}
		asked, cancel := context.WithTimeout(ctx, listTimeout)
		defer cancel()
		commits, err := s.commits(asked, all, false) // for what is written beside them; those of others are never all stable
		if err != nil {
			return nil, fmt.Errorf("read the group's offsets: %w", err)
		}
		found := map[place]taken{}
		for topic, partitions := range offsets {
			for id, offset := range partitions {
				at := place{topic, id}
				t := taken{committed: max(offset.EpochOffset().Offset, -1), log: logs[at], late: s.late(at, commits), since: commits[at].mark.since}
				if t.since > t.committed {
					t.since = 0 // the offset was set back to before the state began
				}
				if !commits[at].of(s.topics[topic].ID) {
					t.committed, t.since = -1, 0
					s.identify(topic, commits[at].mark.topic, s.topics[topic].ID)
				}
				if t.log != nil && t.committed > t.log.end {
					return nil, beyondEnd("committed offset", at, t.committed, t.log.end)
				}
				found[at] = t
			}
		}
		return found, nil
	}, backoff.WithContext(retries(), ctx), s.unassigned("read what is assigned"))
}

func beyondEnd(what string, at place, offset, end int64) error {
	return fmt.Errorf("the %s %d of %s/%d lies beyond the end of its log, %d: topic truncated or made anew? Reset the group's offsets to begin again",
		what, offset, at.topic, at.id, end)
}

// leadersPatience is how long all leaders are asked for what some say. Then the partitions of those that do not answer, or that have none, are
// taken over as well as that can be done, for the others do not wait any longer.
const leadersPatience = 3 * time.Second

// late says whether the group was reading a topic of this name before the partition was there: an offset of ours is of another topic, or
// tells of fewer partitions.
func (s *session) late(at place, commits map[place]commit) bool {
	id := s.topics[at.topic].ID
	for other, c := range commits {
		if other.topic == at.topic && c.mark.partitions > 0 && (!c.of(id) || at.id >= c.mark.partitions) {
			return true
		}
	}
	return s.anew(at.topic)
}

// listLogs asks where logs begin and end. With an error it returns those of which that is known all the same.
func (s *session) listLogs(ctx context.Context, topics []string) (map[place]*bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	admin := kadm.NewClient(s.client)
	var starts, ends kadm.ListedOffsets
	var noStarts, noEnds error
	var asking sync.WaitGroup
	asking.Go(func() { starts, noStarts = admin.ListStartOffsets(ctx, topics...) })
	asking.Go(func() { ends, noEnds = admin.ListCommittedOffsets(ctx, topics...) })
	asking.Wait()
	logs := map[place]*bounds{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(end.Topic, end.Partition); ok && start.Err == nil && end.Err == nil {
			logs[place{end.Topic, end.Partition}] = &bounds{start.Offset, end.Offset}
		}
	})
	if err := errors.Join(noStarts, noEnds); err != nil {
		return logs, fmt.Errorf("list the starts and ends of logs: %w", err)
	}
	return logs, nil
}
