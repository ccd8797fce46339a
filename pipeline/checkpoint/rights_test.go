package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sinks"
)

// With the rights that docs/redis.md lists everything goes, and with one of them less it does not.
func TestRights(t *testing.T) {
	i := InstallationFor(t, "acl")
	admin := i.Admin.(*redis.Client)
	for what, c := range map[string]struct {
		rights []string
		use    func(ctx context.Context, client redis.UniversalClient, prefix string) error
		keys   int // that there are in the end, and that do not expire
	}{"checkpoints": {checkpointRights, useStore, 3}, "sink": {sinkRights, useSink, 2}} {
		for _, missing := range append([]string{"none"}, c.rights...) {
			t.Run(what+" without "+missing, func(t *testing.T) {
				user, prefix := fmt.Sprintf("user-%x", rand.Uint64()), testPrefix()
				rights := slices.DeleteFunc(slices.Clone(c.rights), func(r string) bool { return r == missing })
				if err := errors.Join(Grant(t.Context(), admin, user, rights...), admin.ScriptFlush(t.Context()).Err()); err != nil {
					t.Fatal(err)
				}
				config := i.Config
				config.Username = user
				client, err := config.Client(nil)
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close() //nolint:errcheck // nothing is lost
				switch err := c.use(t.Context(), client, prefix); {
				case missing == "none" && err != nil:
					t.Errorf("%v, want that it goes", err)
				case missing != "none" && (err == nil || !strings.Contains(err.Error(), "[noperm: give the user the rights that docs/redis.md lists")):
					t.Errorf("%v, want that the right is missing", err)
				}

				// Once it is given, all is done, and nothing twice.
				if err := errors.Join(Grant(t.Context(), admin, user, c.rights...), c.use(t.Context(), client, prefix)); err != nil {
					t.Error(err)
				}
				left := admin.Keys(t.Context(), prefix+"*").Val()
				left = slices.DeleteFunc(left, func(key string) bool { return admin.TTL(t.Context(), key).Val() > 0 })
				if len(left) != c.keys {
					t.Errorf("%d keys are left, want %d: %q", len(left), c.keys, left)
				}
				if n := admin.XLen(t.Context(), prefix+":alerts").Val(); what == "sink" && n != 3 {
					t.Errorf("%d alerts, want 3", n)
				}
			})
		}
	}
}

func testPrefix() string { return fmt.Sprintf("test-%x", rand.Uint64()) }

// useStore does with a store all that there is to do, under a prefix.
func useStore(ctx context.Context, client redis.UniversalClient, prefix string) error {
	s := &shelves{client, prefix}
	for offset := int64(1); offset <= 3; offset++ { // the third time there is something to delete
		if _, err := s.put(ctx, someLog, 1, 10*offset, pipeline.Whole, pipeline.InPieces([]byte("state"))); err != nil {
			return err
		}
	}
	stored, err := s.list(ctx, someLog)
	if err != nil {
		return err
	}
	if _, err := s.read(ctx, someLog, 1, stored[0].pieces[0]); err != nil {
		return err
	}
	orphan := piece{40, 1, "orphan"}
	chunks := s.chunks(someLog, 1, orphan)
	if err := client.Set(ctx, chunks[0], "state", time.Minute).Err(); err != nil {
		return err
	}
	n, err := unlinkOrphans.Run(ctx, client, append([]string{s.pointer(someLog)}, chunks...), orphan.tag).Int()
	if err == nil && n != 1 {
		err = fmt.Errorf("%d orphans deleted, want 1", n)
	}
	return err
}

// useSink does with a Redis sink all that there is to do, under a prefix.
func useSink(ctx context.Context, client redis.UniversalClient, prefix string) error {
	sink, err := sinks.Kinds["redis"]().New(sinks.Env{Redis: client, KeyPrefix: prefix})
	if err != nil {
		return err
	}
	at := pipeline.Partition{Topic: "machines.alerts", ID: 3}
	var ds []*sinks.Delivery
	for offset, status := range []pipeline.Status{pipeline.Resolve, pipeline.Open, pipeline.Resolve} {
		a := pipeline.Alert{ID: fmt.Sprint(offset), Incident: "0", Revision: offset, Status: status, Kind: pipeline.Anomaly, Stream: "machines", Key: "m"}
		data, err := pipeline.EncodeAlert(&a)
		if err != nil {
			return err
		}
		ds = append(ds, &sinks.Delivery{Alert: a, Data: data, Partition: at, Offset: int64(offset), After: int64(offset)})
	}
	if n, err := sink.Send(ctx, ds); n != len(ds) || err != nil {
		return fmt.Errorf("it takes %d of %d: %w", n, len(ds), err)
	}
	position, err := sink.(sinks.Positioned).Position(ctx, at)
	if err == nil && position != 3 {
		err = fmt.Errorf("position is %d after three alerts, want 3", position)
	}
	return err
}

// The sink works wherever checkpoints do: on a Cluster too, where a script's keys must lie in one slot.
func TestSinkEverywhere(t *testing.T) {
	for kind := range Installations {
		t.Run(kind, func(t *testing.T) {
			c := InstallationFor(t, kind).Config
			c.KeyPrefix = testPrefix()
			client, err := c.Client(nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close() //nolint:errcheck // nothing is lost
			if err := useSink(t.Context(), client, c.SinkPrefix()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of a Cluster nothing is asked that its user may not: go-redis would ask again with each command.
func TestClusterRights(t *testing.T) {
	i := InstallationFor(t, "cluster")
	client, err := i.Config.Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	servers := make([]*redis.Client, len(i.Servers))
	for n, server := range i.Servers {
		servers[n] = redis.NewClient(&redis.Options{Addr: server.Address()})
		defer servers[n].Close()                                              //nolint:errcheck // nothing is lost
		if err := servers[n].ConfigResetStat(t.Context()).Err(); err != nil { // other tests take rights away
			t.Fatal(err)
		}
	}
	if err := useStore(t.Context(), client, testPrefix()); err != nil {
		t.Fatal(err)
	}
	for _, c := range servers {
		stats, err := c.Info(t.Context(), "commandstats").Result()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(stats) {
			if strings.HasPrefix(line, "cmdstat_") && !strings.Contains(line, "rejected_calls=0,") {
				t.Errorf("refused: %s", line)
			}
		}
	}
}
