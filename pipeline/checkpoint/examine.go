package checkpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Examined is what a Redis said when it was asked how it does.
type Examined struct {
	Err    error // it cannot be reached, or takes no writes; with the remedy
	Took   time.Duration
	Nodes  []Node  // one, or the masters of a Cluster
	Denied []Right // rights that the user lacks of those that are needed
}

// Node is one server.
type Node struct {
	Address  string
	Info     map[string]string // INFO's fields; nil where it may not be asked
	InfoErr  error
	Ahead    time.Duration // its clock of ours
	Unsure   time.Duration // the error of Ahead, either way
	ClockErr error
}

// Right is one of docs/redis.md.
type Right struct {
	Name string // as in +get
	Err  error
}

// Purposes are what Redis is used for, which decides on the rights that are needed.
type Purposes struct{ Checkpoints, Sink bool }

// Examine asks Redis how it does. It writes one key, which expires within seconds, to see whether Redis takes writes; and tries each right
// that is needed, in ways that change nothing. Each question has as long as each.
func (c *RedisConfig) Examine(ctx context.Context, p Purposes, each time.Duration) (*Examined, error) {
	client, err := c.Client(nil)
	if err != nil {
		return nil, err
	}
	defer client.Close() //nolint:errcheck // nothing is lost
	x := &Examined{}
	begin := time.Now()
	scratch := c.KeyPrefix + ":{doctor:" + rand.Text() + "}" // braces, for a Cluster
	x.Err = within(ctx, each, func(ctx context.Context) error { return p.write(ctx, client, scratch) })
	x.Took = time.Since(begin)
	if x.Err != nil && !answered(x.Err) {
		return x, nil
	}
	x.Nodes = nodes(ctx, client, each)
	for _, one := range p.probes() {
		if one.onText && x.Err != nil { // tried on anything else it would leave something behind
			continue
		}
		err := within(ctx, each, func(ctx context.Context) error { return one.try(ctx, client, scratch, scratch+":none") })
		if redis.IsPermissionError(err) {
			x.Denied = append(x.Denied, Right{one.right, err})
		}
	}
	if p.Checkpoints {
		_ = within(ctx, each, func(ctx context.Context) error { return client.Unlink(ctx, scratch).Err() }) // else it expires
	}
	return x, nil
}

// write writes something that does not stay. The user of a sink alone has no right to what expires: a field is written, and taken away.
func (p Purposes) write(ctx context.Context, client redis.UniversalClient, key string) error {
	if p.Checkpoints {
		return client.Set(ctx, key, "1", scratchTTL).Err()
	}
	if err := client.HDel(ctx, key, "doctor").Err(); err != nil {
		return err
	}
	err := client.HSet(ctx, key, "doctor", "1").Err()
	return errors.Join(err, client.HDel(ctx, key, "doctor").Err())
}

// scratchTTL is how long the key that is written lives, where it is not deleted.
const scratchTTL = 10 * time.Second

func within(ctx context.Context, d time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return ask(ctx)
}

// answered says whether an error is what Redis itself said, as against one of the way there.
func answered(err error) bool {
	var said redis.Error
	var f *failure
	if errors.As(err, &f) {
		return errors.As(f.err, &said)
	}
	return errors.As(err, &said)
}

// nodes asks each server; of a Cluster those that take writes.
func nodes(ctx context.Context, client redis.UniversalClient, each time.Duration) []Node {
	var mu sync.Mutex
	var found []Node
	ask := func(ctx context.Context, c *redis.Client) error {
		n := Node{Address: c.Options().Addr}
		n.InfoErr = within(ctx, each, func(ctx context.Context) error {
			text, err := c.Info(ctx).Result()
			if err == nil {
				n.Info = parseInfo(text)
			}
			return err
		})
		n.ClockErr = within(ctx, each, func(ctx context.Context) error {
			begin := time.Now()
			theirs, err := c.Time(ctx).Result()
			took := time.Since(begin)
			n.Ahead, n.Unsure = theirs.Sub(begin.Add(took/2)), took/2
			return err
		})
		mu.Lock()
		defer mu.Unlock()
		found = append(found, n)
		return nil
	}
	switch c := client.(type) {
	case *redis.ClusterClient:
		_ = c.ForEachMaster(ctx, ask) // ask returns no error
	case *redis.Client:
		_ = ask(ctx, c)
	}
	return found
}

// parseInfo reads what INFO says: lines of key:value.
func parseInfo(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(key, "#") {
			found[key] = value
		}
	}
	return found
}

// probe tries a right on a key that exists, or on none, without a change.
type probe struct {
	right  string
	onText bool // it is tried on a key that holds a text, which refuses it
	try    func(ctx context.Context, c redis.UniversalClient, key, none string) error
}

// A server looks at rights before it looks at keys: HSET of a text is refused for its type if the user may use HSET at all.
var (
	storeProbes = []probe{
		{right: "+set", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.SetXX(ctx, none, "1", scratchTTL).Err()
		}},
		{right: "+get", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.Get(ctx, none).Err()
		}},
		{right: "+hmget", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.HMGet(ctx, none, "newest").Err()
		}},
		{right: "+exists", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.Exists(ctx, none).Err()
		}},
		{right: "+persist", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.Persist(ctx, none).Err()
		}},
		{right: "+unlink", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.Unlink(ctx, none).Err()
		}},
		{right: "+hset", onText: true, try: func(ctx context.Context, c redis.UniversalClient, key, _ string) error {
			return c.HSet(ctx, key, "newest", "").Err()
		}},
	}
	sharedProbes = []probe{
		{right: "+hget", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.HGet(ctx, none, "newest").Err()
		}},
		{right: "+eval", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.Eval(ctx, "return 1", []string{none}).Err()
		}},
		{right: "+evalsha", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.EvalSha(ctx, strings.Repeat("0", 40), []string{none}).Err()
		}},
	}
	sinkProbes = []probe{
		{right: "+hdel", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.HDel(ctx, none, "id").Err()
		}},
		{right: "+xlen", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.XLen(ctx, none).Err()
		}},
		{right: "+xadd", try: func(ctx context.Context, c redis.UniversalClient, _, none string) error {
			return c.XAdd(ctx, &redis.XAddArgs{Stream: none, NoMkStream: true, Values: []string{"id", ""}}).Err()
		}},
	}
)

func (p Purposes) probes() []probe {
	all := slices.Clone(sharedProbes)
	if p.Checkpoints {
		all = append(all, storeProbes...)
	}
	if p.Sink {
		all = append(all, sinkProbes...)
	}
	return all
}

// Number is a field of INFO that is one.
func (n *Node) Number(field string) (value int64, known bool) {
	value, err := strconv.ParseInt(n.Info[field], 10, 64)
	return value, err == nil
}

// Reason is the name by which docs/redis.md knows an error of Redis, and what is to be done; "" for an error that is none of Redis.
func Reason(err error) (reason, remedy string) {
	var f *failure
	if errors.As(err, &f) {
		return f.reason, f.remedy
	}
	return "", ""
}

// Bare is an error of Redis without its remedy.
func Bare(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return f.err
	}
	return err
}

func (r Right) String() string { return fmt.Sprintf("%s: %v", r.Name, Bare(r.Err)) }
