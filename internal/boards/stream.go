package main

// stream is what happens between a topic and its alerts: lag first, then whatever can cause it.
var stream = board{
	uid: "gonomaly-stream", title: "Gonomaly / Stream",
	says: "Which partitions are behind, and why: throughput, restores and rebalances, event time, checkpoints.",
	rows: []row{{"Lag", []panel{
		{
			shape: wide, title: "Time lag, the ten partitions furthest behind", unit: "s", red: 60, alert: "GonomalyFreshnessBudgetBurn",
			says:    "How long the next record of each has waited. One partition alone: a hot key, or a record that cannot be taken. All: this stream's processes are too few, or Kafka is slow.",
			queries: one(`topk(10, gonomaly_time_lag_seconds{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
		{
			shape: wide, title: "Records behind, the ten partitions furthest behind", unit: "short", alert: "GonomalyFreshnessBudgetBurn",
			says:    "Offsets between the next record wanted and the last stable offset. Falling: it catches up; divide by the rate below for the time it takes.",
			queries: one(`topk(10, gonomaly_kafka_lag_records{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
		{
			shape: wide, title: "Time that records are withheld, the ten partitions where it is longest", unit: "s", red: 300, alert: "GonomalyRecordsWithheld",
			says:    "Behind a transaction that a producer has begun and not ended: nobody can read them yet, so they are no lag. As long as that producer's transactions last is usual; what only grows is one that nobody ends.",
			queries: one(`topk(10, gonomaly_kafka_withheld_seconds{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
		{
			shape: list, title: "Partitions that are not ok", unit: "short", alert: "GonomalyPartitionsStalled",
			says:    "As Burrow defines them: warn, the lag does not shrink; stall, the offset does not advance; stop, the loop does not turn; rewind, the offset was set back. The ok ones are listed last.",
			queries: one(`sort_desc(topk(50, sum by (stream, topic, partition, status, instance) (gonomaly_partition_status{stream, status!="ok"} == 1)) or topk(10, sum by (stream, topic, partition, status, instance) (gonomaly_partition_status{stream, status="ok"} == 1)))`),
		},
		{
			shape: wide, title: "Partitions without a member, by stream", unit: "short", red: 1, alert: "GonomalyPartitionsUnowned",
			says:    "In a stable group, as the members see it. After two sessions the watchdog asks for a rebalance by itself.",
			queries: one(`max by (stream) (gonomaly_partitions_unowned{stream})`, "{{stream}}"),
		},
	}}, {"Throughput", []panel{
		{
			title: "Records received and folded again", unit: "rps",
			says: "Folded again is recovery: records read a second time, in silence. While that runs nothing is told of the partition.",
			queries: []query{
				{`sum by (stream) (rate(gonomaly_records_received_total{stream}[rate]))`, "{{stream}} received"},
				{`sum by (stream) (rate(gonomaly_records_replayed_total{stream}[rate]))`, "{{stream}} folded again"},
			},
		},
		{
			title: "Bytes received", unit: "Bps",
			says:    "Keys and values, after decompression. Bytes that grow without records: the records do, and decoding takes its share.",
			queries: one(`sum by (stream) (rate(gonomaly_received_bytes_total{stream}[rate]))`, "{{stream}}"),
		},
		{
			title: "Records by outcome", unit: "rps", stacked: true, alert: "GonomalyCorrectnessBudgetBurn",
			says:    "Every record has one outcome. late, incomplete, not_admitted and dead_lettered are not judged: raise lateness, max_series or mend the producer. filtered are of another kind than the stream's, probe are our own.",
			queries: one(`sum by (outcome) (rate(gonomaly_records_total{stream}[rate]))`, "{{outcome}}"),
		},
		{
			title: "Time by stage", unit: "percentunit", stacked: true,
			says:    "Share of one core that decode, window, score and commit take. The widest is where more speed would come from: fewer detectors, smaller records, rarer commits.",
			queries: one(`sum by (stage) (rate(gonomaly_stage_seconds_total{stream}[rate]))`, "{{stage}}"),
		},
		{
			title: "Records a batch", unit: "short",
			says:    "Small batches cost more for each record. They are small where nothing waits, which is well, or where the broker answers with little.",
			queries: quantiles("gonomaly_batch_records", "{stream}", "stream"),
		},
		{
			title: "Time to take a batch", unit: "s",
			says:    "Through decoding, windows and detectors. A p99 of seconds: many windows close at once, or the machine is short of CPU.",
			queries: quantiles("gonomaly_process_seconds", "{stream}", "stream"),
		},
	}}, {"Probes, where they are on", []panel{
		{
			title: "Probes by outcome", unit: "cpm", stacked: true, alert: "GonomalyProbeLost",
			says:    "A minute, where a stream has probe in its configuration. lost ones had no answer in the alerts topic within probe.timeout; failed ones could not be written, or answers not be read. The log names their partitions.",
			queries: one(`60 * sum by (stream, outcome) (rate(gonomaly_probes_total{stream}[rate]))`, "{{stream}} {{outcome}}"),
		},
		{
			title: "Round trip of a probe", unit: "s", alert: "GonomalyFreshnessBudgetBurn",
			says:    "From the write into the topic to the answer, committed in the alerts topic: what an alert would take, whether there are any or not. Half of commit_every and a commit are usual; more is the lag of the partition.",
			queries: quantiles("gonomaly_probe_round_trip_seconds", "{stream}", "stream"),
		},
		{
			title: "Time since a probe last returned", unit: "s", red: 120, alert: "GonomalyProbeLost",
			says:    "By topic, as the worst instance has it. It stays below probe.every and the round trip together; what only grows is a way that is interrupted, or an instance that can no longer probe.",
			queries: one(`max by (stream, topic) (time() - gonomaly_probe_last_return_timestamp_seconds{stream})`, "{{stream}} {{topic}}"),
		},
	}}, {"Transactions, rebalances, restores", []panel{
		{
			title: "Transactions by outcome", unit: "cps", alert: "GonomalyFreshnessBudgetBurn",
			says:    "About five committed a second and stream. Aborted ones are repeated and lose nothing; if they stay, look at the transaction coordinator's broker.",
			queries: one(`sum by (stream, outcome) (rate(gonomaly_transactions_total{stream}[rate]))`, "{{stream}} {{outcome}}"),
		},
		{
			title: "Time to commit", unit: "s",
			says:    "To flush and commit one transaction. Above a second Kafka is slow: see its request times and the disks of its brokers.",
			queries: quantiles("gonomaly_transaction_seconds", "{stream}", "stream"),
		},
		{
			title: "Time between polls", unit: "s",
			says:    "As long as a member of the group is silent to its client. Near the session time-out of 6 s the group gives its partitions away.",
			queries: quantiles("gonomaly_poll_interval_seconds", "{stream}", "stream"),
		},
		{
			title: "Rebalances", unit: "short", alert: "GonomalyRebalancesOften",
			says: "In ten minutes: assignments, and those that the watchdog asked for because a partition was nobody's.",
			queries: []query{
				{`sum by (stream) (increase(gonomaly_kafka_rebalances_total{stream}[10m]))`, "{{stream}} assigned"},
				{`sum by (stream) (increase(gonomaly_kafka_forced_rebalances_total{stream}[10m]))`, "{{stream}} asked for"},
			},
		},
		{
			title: "Records left to restore", unit: "short", alert: "GonomalyRestoreFailed",
			says:    "What partitions just taken over still have to fold before they tell anything. It must fall; how fast is the rate of records folded again.",
			queries: one(`topk(10, gonomaly_restore_records_left{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
		{
			title: "Time to restore", unit: "s", alert: "GonomalyRestoreFailed",
			says:    "From the assignment of a partition to the first record that is told of. It grows with the age of the checkpoint at the take-over.",
			queries: quantiles("gonomaly_restore_seconds", "{stream}", "stream"),
		},
		{
			shape: list, title: "Where states came from", unit: "short", alert: "GonomalyRestoreFailed",
			says:    "Partitions taken over since the process began. checkpoint is ordinary, none is a first start; log means that no checkpoint could be used.",
			queries: one(`sum by (stream, instance, from) (gonomaly_restores_total{stream})`),
		},
	}}, {"Event time", []panel{
		{
			title: "Watermark behind the clock", unit: "s",
			says:    "Event time up to which windows are closed, against now; the ten furthest behind. Far behind without lag: a producer sends old data, or the partition is idle. Below 0: a producer's clock is ahead.",
			queries: one(`topk(10, time() - gonomaly_watermark_timestamp_seconds{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
		{
			title: "Late records", unit: "rps", alert: "GonomalyLateRecords",
			says:    "Records for windows that are closed: they are counted and not judged. Raise window.lateness, or mend the producer's clock.",
			queries: one(`sum by (stream) (rate(gonomaly_records_total{stream, outcome="late"}[rate]))`, "{{stream}}"),
		},
		{
			title: "Records of the future", unit: "rps", alert: "GonomalyFutureRecords",
			says:    "Records dated later than now. They push the watermark on, and the others become late: find the producer whose clock is ahead.",
			queries: one(`sum by (stream) (rate(gonomaly_future_records_total{stream}[rate]))`, "{{stream}}"),
		},
	}}, {"Checkpoints", []panel{
		{
			title: "Age of the checkpoints", unit: "s", red: 900, alert: "GonomalyCheckpointTooOld",
			says:    "The ten oldest. After a crash that much of the log is folded again. On an idle partition it grows, and costs nothing.",
			queries: one(`topk(10, gonomaly_checkpoint_age_seconds{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
		{
			title: "Checkpoints by outcome", unit: "cps", alert: "GonomalyCheckpointTooOld",
			says:    "failed ones are tried again, broken ones are followed by a whole one. None stored for minutes: see the Redis errors.",
			queries: one(`sum by (stream, outcome) (rate(gonomaly_checkpoints_total{stream}[rate]))`, "{{stream}} {{outcome}}"),
		},
		{
			title: "Time to store a checkpoint", unit: "s",
			says:    "In the background. Above a tenth of checkpoints.every they come less often, so that they take no more than that of the time: Redis is slow, or the state is large.",
			queries: quantiles("gonomaly_checkpoint_seconds", "{stream}", "stream"),
		},
		{
			title: "Time that a partition waits for its checkpoint", unit: "s",
			says:    "While a piece of its state is encoded. Milliseconds are usual; more is a machine short of CPU.",
			queries: quantiles("gonomaly_checkpoint_pause_seconds", "{stream}", "stream"),
		},
		{
			title: "Bytes checkpointed", unit: "Bps",
			says:    "Before compression: whole states, and what has changed. Whole ones that dominate: the store loses what it confirmed, or every series changes each time.",
			queries: one(`sum by (stream, kind) (rate(gonomaly_checkpoint_bytes_total{stream}[rate]))`, "{{stream}} {{kind}}"),
		},
		{
			title: "Size of the last whole checkpoint", unit: "bytes",
			says:    "Before compression, the ten largest. It follows the number of series: max_series and idle bound it.",
			queries: one(`topk(10, gonomaly_checkpoint_bytes{stream})`, "{{stream}} {{topic}}/{{partition}}"),
		},
	}}},
}
