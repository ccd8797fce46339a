package doctor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// When the memory of Redis is worth a word.
const (
	fullWarning = 0.75 // of maxmemory
	fullBad     = 0.95
)

func redis(f *facts) []Finding {
	out := findings{area: "redis"}
	p := purposes(f.config)
	switch {
	case p == (checkpoint.Purposes{}):
		return nil
	case f.redisErr != nil:
		out.bad("correct the section redis of the configuration", "%v", f.redisErr)
		return out.all
	}
	x := f.redis
	address := f.config.Redis.Address
	switch {
	case x.Err != nil && len(x.Denied) > 0: // told with the rights
	case x.Err != nil:
		_, remedy := checkpoint.Reason(x.Err)
		out.bad(cmp.Or(remedy, "start Redis, or correct redis.address"), "%s takes no writes: %v", address, checkpoint.Bare(x.Err))
	case x.Took > slowAnswer:
		out.warn("look at SLOWLOG GET of Redis, at swapping, and at the network between", "%s takes %s to answer", address, brief(x.Took))
	default:
		out.good("%s takes writes, and answers in %s", address, brief(x.Took))
	}
	for i := range x.Nodes {
		node(&out, &x.Nodes[i], p)
	}
	if len(x.Denied) > 0 {
		var lacks []string
		for _, r := range x.Denied {
			lacks = append(lacks, r.Name)
		}
		out.bad(fmt.Sprintf("ACL SETUSER %s ~%s:* %s", cmp.Or(f.config.Redis.Username, "default"), f.config.Redis.KeyPrefix, strings.Join(lacks, " ")),
			"the user lacks %s: %v", strings.Join(lacks, " "), checkpoint.Bare(x.Denied[0].Err))
	} else if x.Err == nil {
		out.good("the user has all rights that it needs")
	}
	return out.all
}

// node judges one server by what it says of itself.
func node(out *findings, n *checkpoint.Node, p checkpoint.Purposes) {
	if n.InfoErr != nil {
		if reason, remedy := checkpoint.Reason(n.InfoErr); reason != "noperm" {
			out.warn(remedy, "%s does not say how it does: %v", n.Address, checkpoint.Bare(n.InfoErr))
			return
		}
		out.good("memory and persistence of %s are not known: the user may not ask INFO, and need not; +info and +time would let it", n.Address)
		return
	}
	i := n.Info
	if i["role"] == "slave" {
		out.bad("give the address of the master, or let Sentinel tell it: sentinel.master", "%s is a replica (of %s:%s), and takes no writes", n.Address, i["master_host"], i["master_port"])
	}
	if i["loading"] == "1" {
		out.bad("wait; if it does not end, look into the log of Redis", "%s has restarted and reads its file", n.Address)
	}
	memory(out, n)
	persistence(out, n, p)
}

func memory(out *findings, n *checkpoint.Node) {
	used, known := n.Number("used_memory")
	limit, limited := n.Number("maxmemory")
	policy := n.Info["maxmemory_policy"]
	evicting := policy != "" && policy != "noeviction"
	const remedy = "CONFIG SET maxmemory-policy noeviction, and in its file"
	switch {
	case evicting && limit > 0:
		out.bad(remedy, "maxmemory-policy of %s is %s: it deletes states and alerts to make room", n.Address, policy)
	case evicting:
		out.warn(remedy, "maxmemory-policy of %s is %s, which will delete states and alerts once maxmemory is set", n.Address, policy)
	}
	if evicted, _ := n.Number("evicted_keys"); evicted > 0 {
		out.warn("see to maxmemory-policy noeviction; what was lost is written anew", "%s has evicted %s since its start", n.Address, many64(evicted, "key"))
	}
	switch share := float64(used) / float64(max(limit, 1)); {
	case !known || !limited:
	case limit == 0:
		out.warn("set maxmemory as docs/redis.md reckons: without it the kernel ends Redis", "%s holds %s and has no maxmemory", n.Address, mebibytes(used))
	case share >= fullBad:
		out.bad("raise maxmemory, or lower max_series of the streams or max_length of the sink", "%s is full: %s of %s", n.Address, mebibytes(used), mebibytes(limit))
	case share >= fullWarning:
		out.warn("raise maxmemory, or lower max_series of the streams or max_length of the sink", "%s fills up: %s of %s", n.Address, mebibytes(used), mebibytes(limit))
	default:
		out.good("%s holds %s of %s, maxmemory-policy %s", n.Address, mebibytes(used), mebibytes(limit), policy)
	}
}

func persistence(out *findings, n *checkpoint.Node, p checkpoint.Purposes) {
	i := n.Info
	if _, told := i["aof_enabled"]; !told {
		return
	}
	const disk = "make room on the disk of Redis and look into its log"
	switch {
	case i["aof_enabled"] == "1" && i["aof_last_write_status"] == "err":
		out.bad(disk, "%s cannot write its append-only file", n.Address)
	case i["aof_enabled"] == "1":
		out.good("%s keeps an append-only file", n.Address)
	case p.Checkpoints:
		out.warn("CONFIG SET appendonly yes, and in its file", "%s keeps no append-only file: after its restart states are rebuilt from the log", n.Address)
	default:
		out.warn("CONFIG SET appendonly yes, and in its file", "%s keeps no append-only file: after its restart alerts are written to it again", n.Address)
	}
	if i["rdb_last_bgsave_status"] == "err" {
		out.bad(disk, "%s cannot save its snapshot, and may take no writes until it can", n.Address)
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
