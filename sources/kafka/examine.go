package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Questions are what Examine asks a cluster about.
type Questions struct {
	Topics  []string
	Groups  []GroupQuestion
	Writers []string      // transactional ids
	Each    time.Duration // that one question may take; the others are asked all the same
	KIP848  bool          // whether brokers know consumer groups is asked too
}

// GroupQuestion asks about a consumer group.
type GroupQuestion struct {
	Name     string
	Topics   []string
	Consumer bool // it is of KIP-848
}

// Examined is what a cluster said. What could not be asked has an error in its place; nothing is there twice.
type Examined struct {
	Seeds   []Broker // the addresses of the configuration
	Brokers []Broker // that the cluster names
	Err     error    // why it names none; nothing below was asked then
	Topics  map[string]TopicState
	Groups  map[string]GroupState
	Writers map[string]error // why a transactional id cannot be used, nil where it can
	KIP848  error
}

// Broker is how one answered.
type Broker struct {
	ID      int32 // -1 for an address of the configuration
	Address string
	Took    time.Duration // with opening the connection
	Version string        // a guess, from what it can do
	Err     error
}

// Examine asks a cluster. It only reads, and takes no part in any group.
func Examine(ctx context.Context, c Config, q Questions) (*Examined, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	x := examination{opts: opts, q: q}
	found := &Examined{Seeds: x.seeds(ctx, c.seeds())}
	var answer []string // a client that knows the others too would now and then ask those
	for _, b := range found.Seeds {
		if b.Err == nil {
			answer = append(answer, b.Address)
		}
	}
	if len(answer) == 0 {
		found.Err = errors.New("no broker answers")
		return found, nil
	}
	x.opts = append(slices.Clone(opts), kgo.SeedBrokers(answer...))
	if x.client, err = kgo.NewClient(x.opts...); err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	defer x.client.Close()
	x.admin = kadm.NewClient(x.client)
	if found.Brokers, found.Err = x.brokers(ctx); found.Err != nil {
		return found, nil
	}
	var asking sync.WaitGroup
	asking.Go(func() { found.Topics = x.topics(ctx) })
	asking.Go(func() { found.Writers = x.writers(ctx) })
	if q.KIP848 {
		asking.Go(func() {
			found.KIP848 = within(ctx, q.Each, func(ctx context.Context) error { return consumerGroups(ctx, x.admin) })
		})
	}
	groups := make([]GroupState, len(q.Groups))
	for i, g := range q.Groups {
		asking.Go(func() { groups[i] = x.group(ctx, g) })
	}
	asking.Wait()
	found.Groups = map[string]GroupState{}
	for i, g := range q.Groups {
		found.Groups[g.Name] = groups[i]
	}
	return found, nil
}

type examination struct {
	client *kgo.Client
	admin  *kadm.Client
	opts   Options
	q      Questions
}

// within bounds one question.
func within(ctx context.Context, d time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return ask(ctx)
}

// seeds asks each address of the configuration by a client that knows no other: one that answers would hide those that do not.
func (x *examination) seeds(ctx context.Context, addresses []string) []Broker {
	found := make([]Broker, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		asking.Go(func() {
			found[i] = Broker{ID: -1, Address: address}
			client, err := kgo.NewClient(append(slices.Clone(x.opts), kgo.SeedBrokers(address))...)
			if err != nil {
				found[i].Err = err
				return
			}
			defer client.Close()
			x.greet(ctx, client.SeedBrokers()[0], &found[i])
		})
	}
	asking.Wait()
	return found
}

// brokers asks all that the cluster has, at the addresses that it gives to clients.
func (x *examination) brokers(ctx context.Context) ([]Broker, error) {
	var nodes kadm.BrokerDetails
	err := within(ctx, x.q.Each, func(ctx context.Context) (err error) {
		nodes, err = x.admin.ListBrokers(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the brokers: %w", err)
	}
	found := make([]Broker, len(nodes))
	var asking sync.WaitGroup
	for i, n := range nodes {
		asking.Go(func() {
			found[i] = Broker{ID: n.NodeID, Address: fmt.Sprintf("%s:%d", n.Host, n.Port)}
			x.greet(ctx, x.client.Broker(int(n.NodeID)), &found[i])
		})
	}
	asking.Wait()
	return found, nil
}

// greet asks a broker what it can do, which is what every client asks first.
func (x *examination) greet(ctx context.Context, broker *kgo.Broker, b *Broker) {
	begin := time.Now()
	b.Err = within(ctx, x.q.Each, func(ctx context.Context) error {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "gonomaly", "doctor" // brokers refuse one without a name
		resp, err := req.RequestWith(ctx, broker)
		if err != nil {
			return err
		}
		b.Version = kversion.FromApiVersionsResponse(resp).VersionGuess()
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	b.Took = time.Since(begin)
}

// writers finds who coordinates transactional ids, for which the right to describe them is needed. It does not begin one: that would fence
// who writes under it.
func (x *examination) writers(ctx context.Context) map[string]error {
	found := map[string]error{}
	for _, id := range x.q.Writers {
		found[id] = within(ctx, x.q.Each, func(ctx context.Context) error {
			_, err := x.admin.DescribeTransactions(ctx, id)
			if errors.Is(err, kerr.TransactionalIDNotFound) { // nobody has written under it yet
				return nil
			}
			return err
		})
	}
	return found
}

// Denied says that a right is missing.
func Denied(err error) bool {
	for _, sign := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// operations are rights as ACLs name them, in lower case; nil where the broker does not tell.
func operations(ops []kadm.ACLOperation) []string {
	var names []string
	for _, o := range ops {
		names = append(names, strings.ToLower(o.String()))
	}
	slices.Sort(names)
	return names
}
