package main

// mutants are the rules, one by one switched off.
var mutants = []mutant{
	{"1", "commit without asking who holds it", "sources/delivery.go",
		`if _, ours := held[at.topic][at.id]; ours {`,
		`if true {`},
	{"1", "commit the client's own list", "sources/transaction.go",
		`		req.Topics = req.Topics[:0]
`,
		`		_ = due
		return nil
		req.Topics = req.Topics[:0]
`},
	{"1", "commit below C", "sources/delivery.go",
		`to < o.committed || to == o.committed`,
		`to == o.committed`},
	{"1", "fold again what is below the position", "pipeline/worker.go",
		`if r.Offset < w.position {`,
		`if false {`},
	{"1", "tell again what is below C", "pipeline/worker.go",
		`w.record, w.silent = r, r.Offset < committed`,
		`w.record, w.silent = r, false`},
	{"1", "commit what is processed, and not yet written", "sources/delivery.go",
		`sent[at] = o.due()`,
		`sent[at] = max(o.position, o.begins)`},
	{"1", "process what was polled before the partition was another's", "sources/fetch.go",
		`	if s.get(one.at) != o {`,
		`	if false {`},
	{"2", "forget alerts of an aborted transaction", "sources/turn.go",
		`	s.forget(ctx, s.strays(`,
		`	for _, o := range s.owned { o.pending, o.written = nil, 0 }
	s.forget(ctx, s.strays(`},
	{"2", "do not read C again after an abort", "sources/turn.go",
		`	return s.reread(ctx)
`,
		`	return nil
`},
	{"2", "read an unstable C after an abort", "sources/commits.go",
		`s.commits(ctx, ids, true)`,
		`s.commits(ctx, ids, false)`},
	{"2", "do not count failed promises", "sources/write.go",
		`	if err == nil {
		return
	}
	f.mu.Lock()`,
		`	if true {
		return
	}
	f.mu.Lock()`},
	{"2", "commit what was assigned again under it", "sources/assign.go",
		`		s.tainted.Store(true)
`,
		``},
	{"3", "hold the rebalance while ending", "sources/turn.go",
		`	s.client.AllowRebalance()
	ending`,
		`	defer s.client.AllowRebalance()
	ending`},
	{"4", "no deadline for End", "sources/kafka.go",
		`endTimeout       = 8 * time.Second`,
		`endTimeout       = 8 * time.Minute`},
	{"4", "no deadline for Begin", "sources/kafka.go",
		`beginTimeout     = 5 * time.Second`,
		`beginTimeout     = 5 * time.Minute`},
	{"4", "no deadline for Close", "sources/kafka.go",
		`closeTimeout   = 2 * time.Second`,
		`closeTimeout   = 2 * time.Minute`},
	{"4", "a failed fetch is ready", "sources/session.go",
		`	if s.fetchFailed != nil && time`,
		`	if false && s.fetchFailed != nil && time`},
	{"4", "a failed client ends the process", "sources/kafka.go",
		`		k.o.Metrics.rebuilds.`,
		`		return err
		k.o.Metrics.rebuilds.`},
	{"5", "another transactional id each time", "sources/kafka.go",
		`	slot := o.Instance
	if slot == "" {`,
		`	slot := o.Instance
	if true {`},
	{"5", "join before the predecessor is fenced", "sources/prepare.go",
		`	if !k.exactlyOnce() {
		return topics, nil`,
		`	if true {
		return topics, nil`},
	{"6", "end empty transactions", "sources/session.go",
		`		if !s.work() {`,
		`		if false {`},
	{"6", "do not end after a revoke", "sources/turn.go",
		`s.failures.any() || s.revoked.Load() || s.tainted`,
		`s.failures.any() || s.tainted`},
	{"7", "say committed what is not", "sources/turn.go",
		`	s.forget(ctx, s.strays(`,
		`	for at, o := range s.owned { _ = s.tell(ctx, at, o, o.position) }
	s.forget(ctx, s.strays(`},
	{"7", "keep state that was lost", "sources/session.go",
		` kgo.OnPartitionsLost(s.drop),`,
		``},
	{"7", "keep state that was revoked", "sources/session.go",
		` kgo.OnPartitionsRevoked(s.drop),`,
		` kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) {}),`},
	{"7", "give an assignment up when the store is away", "sources/assign.go",
		`	from, err = backoff.RetryNotifyWithData(func() (int64, error) {
		from, err := s.h.Assign(ctx, p, committed)
		if err == nil && log != nil && from > log.end {
			err = beyondEnd("state's offset", place{p.Topic, p.ID}, from, log.end)
		}
		return from, err
	}, backoff.WithContext(retries(), ctx), s.unassigned("assign "+p.String()))`,
		`	from, err = s.h.Assign(ctx, p, committed)`},
	{"7", "checkpoint what no transaction has committed", "pipeline/saving.go",
		`w.position < 0 || w.position != committed ||`,
		`w.position < 0 || w.position != committed && false ||`},
	{"7", "take a store that is away for an empty one", "pipeline/restore.go",
		`if !errors.Is(err, ErrNoCheckpoint) && !s.waited(p) {`,
		`if false {`},
	{"7", "use a state that is newer than C", "pipeline/checkpoint/checkpoint.go",
		`if p.offset > atMost {`,
		`if p.offset > atMost && false {`},
	{"7", "flip the pointer to chunks that are not there", "pipeline/checkpoint/redis.go",
		`if redis.call('EXISTS', chunk(ARGV[1], ARGV[2], ARGV[4], n)) == 0 then`,
		`if false then`},
	{"7", "let what the pointer leads to expire", "pipeline/checkpoint/redis.go",
		`for n = 0, ARGV[3] - 1 do redis.call('PERSIST', chunk(ARGV[1], ARGV[2], ARGV[4], n)) end`,
		``},
	{"7", "process what is to be checkpointed beyond what is committed", "sources/polled.go",
		`return !s.h.Due(o.p)`,
		`return true`},
	{"8", "leave the last transaction open", "sources/session.go",
		`		if err := s.end(ctx); err != nil {`,
		`		if ctx.Err() != nil {
			return nil
		}
		if err := s.end(ctx); err != nil {`},
	{"8", "no checkpoint at the end", "sources/session.go",
		`	s.forget(context.WithoutCancel(s.ctx), s.places())
`,
		``},
	{"8", "do not leave the group", "sources/kafka.go",
		`		k.leave(ctx, forGood)
`,
		``},
	{"9", "no watchdog for the position", "sources/watch.go",
		`		if stood > s.watching.stuck {`,
		`		if false {`},
	{"9", "the watchdog counts rests", "sources/watch.go",
		` || left == 0 || resting`,
		` || left == 0 || resting && false`},
	{"9", "no watchdog for orphans", "sources/watch.go",
		`			s.client.ForceRebalance()
`,
		``},
	{"9", "orphans at once", "sources/orphans.go",
		`now.Sub(since) > after`,
		`now.Sub(since) >= 0`},
	{"10", "say nothing of a gap", "sources/fetch.go",
		`		s.gap(o.p, wanted, first.Offset, committed)
`,
		``},
	{"10", "call a compacted log a gap", "sources/fetch.go",
		` && f.LogStartOffset > wanted`,
		``},
	{"10", "count no gap", "sources/assign.go",
		`	s.o.Metrics.gaps.WithLabelValues(s.o.Stream).Inc()
`,
		``},
	{"11", "alerts without key", "sources/write.go",
		`Topic: m.Topic, Key: m.Key,`,
		`Topic: m.Topic,`},
	{"fence", "let the pointer move back", "pipeline/checkpoint/redis.go",
		`if ours[1] < theirs[1] or (ours[1] == theirs[1] and ours[2] <= theirs[2]) then return newest end`,
		``},
	{"fence", "continue a chain that is not the newest", "pipeline/checkpoint/redis.go",
		`if continues and (#old == 0 or old[1] ~= ARGV[1] or old[#old - 2] ~= ARGV[5]) then`,
		`if false then`},
	{"fence", "begin no epoch when offsets were reset", "pipeline/checkpoint/checkpoint.go",
		`s.begin(l, newest, false)
	if passed`,
		`s.begin(l, newest, true)
	if passed`},
	{"checksum", "believe what is stored", "pipeline/checkpoint/envelope.go",
		`if got := checksum(l, body); got != sum {`,
		`if got := checksum(l, body); got != sum && false {`},
	{"checksum", "take a piece for another", "pipeline/checkpoint/checkpoint.go",
		`if err == nil && (state.Offset != p.offset || epoch != c.epoch || state.After != after) {`,
		`if err == nil && (state.Offset != p.offset || epoch != c.epoch || state.After != after) && false {`},
	{"second generation", "keep no generation but the newest", "pipeline/checkpoint/redis.go",
		`if #old > 0 then redis.call('HSET', KEYS[1], 'previous', newest) end`,
		``},
	{"admission", "admit whoever comes", "pipeline/table.go",
		`return often > 1 && often > s.hits.at(t.misses.age)`,
		`return true || often > 1`},
	{"admission", "admit nobody", "pipeline/table.go",
		`return often > 1 && often > s.hits.at(t.misses.age)`,
		`return false && often > 1`},
	{"delivery", "commit before the alerts", "sources/turn.go",
		`	flushed := s.client.Flush(ending)
`,
		`	flushed := error(nil)
	if s.exactlyOnce() {
		flushed = s.client.Flush(ending)
	}
`},
	{"delivery", "commit although alerts failed", "sources/delivery.go",
		`	if !write {
		c.failed = true`,
		`	if false {
		c.failed = true`},
	{"delivery", "do not write again what failed", "sources/delivery.go",
		`		c.failed = true
`,
		``},
	{"commit_every", "hold rebalances for a whole turn", "sources/session.go",
		`, kgo.OnPartitionsCallbackBlocked(s.hurry)`,
		``},
	{"commit_every", "ignore it", "sources/session.go",
		`turnEnd(time.Now(), s.ending, s.o.Config.CommitEvery)`,
		`turnEnd(time.Now(), s.ending, 200*time.Millisecond)`},
	{"group_protocol", "fall back in silence", "sources/prepare.go",
		`	if k.o.Config.GroupProtocol == Consumer {
`,
		`	if false {
`},
	{"group_protocol", "ignore it", "sources/session.go",
		`	if s.o.Config.GroupProtocol == Consumer {
		opts`,
		`	if false {
		opts`},
	{"more", "fight for the slot", "sources/kafka.go",
		`		if fenced(err) {`,
		`		if false {`},
	{"more", "never take the slot back", "sources/member.go",
		`case err == nil && other == nil && (seen || time.Since(begin) > showTime), err`,
		`case err`},
	{"more", "throw the successor out", "sources/member.go",
		`	if other, err := k.successor(ctx, kadm.NewClient(client)); err == nil && other != nil {`,
		`	if false {`},
	{"more", "offsets of a topic that is no more", "sources/commits.go",
		`	return c.mark.topic == [16]byte{} ||`,
		`	return true || c.mark.topic == [16]byte{} ||`},
	{"more", "partitions added begin at their end", "sources/assign.go",
		`	case latest && t.late:`,
		`	case false:`},
	{"more", "where a group begins is not committed", "sources/assign.go",
		`		if latest { // where`,
		`		if false { // where`},
	{"more", "where a group begins is committed once it is warm", "sources/assign.go",
		`return max(o.end, o.begins)`,
		`return o.end`},
	{"more", "what the state began with is not written beside the offset", "sources/commits.go",
		`, since: o.since}`,
		`}`},
	{"more", "a history is stored before the group has committed where it begins", "pipeline/saving.go",
		`if part.history || w.position < 0 ||`,
		`if w.position < 0 ||`},
	{"more", "an offset beyond the end is believed", "sources/survey.go",
		`if t.log != nil && t.committed > t.log.end {`,
		`if false {`},
	{"more", "no stepping over what cannot be decoded", "sources/fetch.go",
		`	} else if undecodable(f.Err) {`,
		`	} else if false {`},
	{"more", "no stepping over what is too large", "sources/fetch.go",
		`	if tooLarge(f.Err) {`,
		`	if false {`},
	{"more", "no look at what a partition stands before", "sources/watch.go",
		`		if stood > s.watching.suspect {`,
		`		if false {`},
	{"more", "no budget for what is decompressed", "sources/kafka/decompress.go",
		`	if d.left.Load() <= 0 {`,
		`	if false {`},
	{"more", "no bound on the records of a batch", "sources/kafka/decompress.go",
		`	if structs > maxOverheads*d.max {`,
		`	if false {`},
	{"more", "no rest for memory", "sources/memory.go",
		`	case begins:
`,
		`	case 77:
`},
	{"more", "a rest without end", "sources/memory.go",
		`	case now.Sub(p.since) >= longest:`,
		`	case false:`},
	{"more", "a rest that nobody is told of", "sources/memory.go",
		`	if p.since.IsZero() || now.Sub(p.since) < sayRest {`,
		`	if true {`},
	{"more", "garbage is held", "sources/memory.go",
		`total - value(2) - value(3) + min(value(4), value(2))`,
		`total`},
	{"more", "the rest of a cut message is held", "pipeline/fit.go",
		`bytes.Clone(m.Value[:len(m.Value)-over])`,
		`bytes.TrimRight(m.Value[:len(m.Value)-over], "")`},
}

// seconds are what else must be off, in the same file, for a mutant to be without its rule.
var seconds = map[string][2]string{
	"believe what is stored": {`zstd.WithDecoderConcurrency(1),`, `zstd.WithDecoderConcurrency(1), zstd.IgnoreChecksum(true),`},
}
