package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Times of a process that has lost its slot.
const (
	showTime  = 2 * time.Second // within it the process that has taken the slot shows in the group; else it was the broker's own doing
	yieldPoll = 500 * time.Millisecond
)

// fenced says that somebody has taken what is this slot's: its place in the group, or its transactional id.
func fenced(err error) bool {
	for _, sign := range []error{kerr.FencedInstanceID, kerr.UnreleasedInstanceID, kerr.ProducerFenced, kerr.InvalidProducerEpoch} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// yield lets another process with the same instance name have its slot, and returns once that is gone. Taking the slot back would fence
// the other, which would take it back in turn, for ever. A transactional id is lost to the broker too, when a transaction has timed out:
// then nobody shows in the group, and the slot is still ours.
func (k *Kafka) yield(ctx context.Context) {
	if k.o.Instance == "" {
		return
	}
	client, err := kgo.NewClient(slices.Clone(k.opts)...)
	if err != nil {
		return
	}
	defer client.Close()
	taken := k.o.Metrics.nameTaken.WithLabelValues(k.o.Stream)
	defer taken.Set(0)
	admin := kadm.NewClient(client)
	seen, hint := false, ""
	if k.o.Config.GroupProtocol == Consumer {
		hint = "; or wait for the session of one that was killed to end"
	}
	for begin := time.Now(); ctx.Err() == nil; {
		other, err := k.successor(ctx, admin)
		switch {
		case err == nil && other == nil && (seen || time.Since(begin) > showTime), err != nil && !seen && time.Since(begin) > showTime:
			return
		case other != nil && !seen:
			seen = true
			taken.Set(1)
			k.o.Metrics.fenced.WithLabelValues(k.o.Stream).Inc()
			k.log.Error("another process runs under this instance's name and has taken its place: waiting until it is gone",
				"instance", k.o.Instance, "client", other.client, "host", other.host)
		}
		if other != nil {
			k.note(fmt.Errorf("the instance's name %s is taken in the group, by client %s on %s: give each process a name of its own%s", k.o.Instance, other.client, other.host, hint))
		} else if seen {
			k.note(err)
		}
		select {
		case <-time.After(yieldPoll):
		case <-ctx.Done():
		}
	}
}

// member is somebody in the group.
type member struct{ id, client, host string }

// successor is the member that has this process's instance name and is another, nil if there is none.
func (k *Kafka) successor(ctx context.Context, admin *kadm.Client) (*member, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if k.o.Config.GroupProtocol == Consumer {
		groups, err := admin.DescribeConsumerGroups(ctx, k.o.Group)
		if err != nil {
			return nil, fmt.Errorf("describe group %s: %w", k.o.Group, err)
		}
		for _, m := range groups[k.o.Group].Members {
			if m.InstanceID != nil && *m.InstanceID == k.o.Instance && m.MemberID != k.member && m.MemberEpoch != forNow {
				return &member{m.MemberID, m.ClientID, m.ClientHost}, nil
			}
		}
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	groups, err := admin.DescribeGroups(ctx, k.o.Group)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", k.o.Group, err)
	}
	for _, m := range groups[k.o.Group].Members {
		if m.InstanceID != nil && *m.InstanceID == k.o.Instance && m.MemberID != k.member {
			return &member{m.MemberID, m.ClientID, m.ClientHost}, nil
		}
	}
	return nil, nil //nolint:nilnil // nobody is an answer
}

// What a member of a consumer group says in place of its epoch.
const (
	forGood = -1
	forNow  = -2 // its place is kept for it; else the brokers would let nobody in under its instance's name until its session ends
)

// leave takes a static member out of its group, which closing its client does not: else its partitions would rest until its session
// ends. A successor that has already joined in its place stays; the member is named for one that joins just now. The client does say that
// it leaves a consumer group for now, but not under which name, which real brokers refuse.
func (k *Kafka) leave(ctx context.Context, how int32) {
	if k.o.Instance == "" || k.member == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout/2)
	defer cancel()
	client, err := kgo.NewClient(slices.Clone(k.opts)...)
	if err != nil {
		k.log.Warn("leave the group", "error", err)
		return
	}
	defer client.Close()
	if other, err := k.successor(ctx, kadm.NewClient(client)); err == nil && other != nil {
		return
	}
	if k.o.Config.GroupProtocol == Consumer {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.InstanceID, req.MemberEpoch = k.o.Group, k.member, &k.o.Instance, how
		var resp *kmsg.ConsumerGroupHeartbeatResponse
		if resp, err = req.RequestWith(ctx, client); err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
	} else {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = k.o.Group
		who := kmsg.NewLeaveGroupRequestMember()
		who.MemberID, who.InstanceID = k.member, &k.o.Instance
		req.Members = append(req.Members, who)
		var resp *kmsg.LeaveGroupResponse
		if resp, err = req.RequestWith(ctx, client); err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
			for _, m := range resp.Members {
				err = cmp.Or(err, kerr.ErrorForCode(m.ErrorCode))
			}
		}
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) { // gone already
		k.log.Warn("leave the group", "error", err)
	}
}
