package sources

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker that has taken a commit, and is still writing its markers, does not tell the offsets yet: they are waited for. What it would
// tell without being asked for stable ones is what was before, and the alerts would be told again.
func TestOffsetsAreReadWhenTheyAreStable(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	p := w.start("a")
	stop := w.feed()
	p.later()
	var unstable, passed atomic.Int64
	w.contradict(1)()
	w.cluster.ControlKey(kmsg.OffsetFetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		fetch := req.(*kmsg.OffsetFetchRequest)
		if len(fetch.Groups) == 0 || len(fetch.Groups[0].Topics) == 0 || passed.Load() > 0 {
			return nil, nil, false // of the test
		}
		if !fetch.RequireStable {
			t.Error("offsets are read that may not be stable")
		}
		if unstable.Add(1) > 5 {
			passed.Add(1)
			return nil, nil, false
		}
		return stillUnstable(fetch), nil, true
	})
	w.contradict(1)
	w.eventually("offsets are read", func() error {
		if passed.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	p.later()
	stop()
	w.caughtUp()
	w.compare()
}

// stillUnstable is the answer of a broker that is still writing the markers of a commit, or never does.
func stillUnstable(fetch *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := fetch.ResponseKind().(*kmsg.OffsetFetchResponse)
	group := kmsg.NewOffsetFetchResponseGroup()
	group.Group = fetch.Groups[0].Group
	for _, of := range fetch.Groups[0].Topics {
		topic := kmsg.NewOffsetFetchResponseGroupTopic()
		topic.Topic, topic.TopicID = of.Topic, of.TopicID
		for _, id := range of.Partitions {
			partition := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			partition.Partition, partition.Offset, partition.ErrorCode = id, -1, kerr.UnstableOffsetCommit.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		group.Topics = append(group.Topics, topic)
	}
	resp.Groups = append(resp.Groups, group)
	return resp
}

// Where a broker never tells the offsets, because the markers of the commit are lost, the group has given the partitions away and nobody reads them:
// whoever asks whether the process is ready is told.
func TestOffsetsStayUnstable(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	var released atomic.Bool
	w.cluster.ControlKey(kmsg.OffsetFetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		fetch := req.(*kmsg.OffsetFetchRequest)
		if released.Load() || len(fetch.Groups) == 0 || len(fetch.Groups[0].Topics) == 0 || !fetch.RequireStable {
			return nil, nil, false
		}
		return stillUnstable(fetch), nil, true
	})
	p := w.start("a", tuned(quick))
	w.eventually("it says why it is not ready", func() error {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("given it %d partition(s) whose committed offsets", partitions)) {
			return fmt.Errorf("it says %w", err)
		}
		return nil
	})
	released.Store(true)
	w.caughtUp()
	w.eventually("it is ready", p.Ready)
	w.compare()
}

// Where the group never comes to rest, because its coordinator cannot write, no call fails, and nobody reads: whoever asks whether the process is ready
// is told.
func TestGroupNeverRests(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	var released atomic.Bool
	w.cluster.ControlKey(kmsg.SyncGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if released.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode = kerr.RebalanceInProgress.Code
		return resp, nil, true
	})
	p := w.start("a", tuned(quick))
	w.eventually("it says why it is not ready", func() error {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "the group has given it no partition, and has not come to rest") {
			return fmt.Errorf("it says %w", err)
		}
		return nil
	})
	released.Store(true)
	w.caughtUp()
	w.eventually("it is ready", p.Ready)
	w.compare()
}
