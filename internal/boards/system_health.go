package main

// systemHealth is where to begin: whether data is fresh, whether anybody waits for an alert, and if not, which part is to blame.
var systemHealth = board{
	uid: "gonomaly-system-health", title: "Gonomaly / System Health",
	says: "Begin here: is data fresh, and does anybody wait for an alert? The rows below tell which part is to blame.",
	rows: []row{{"Is data fresh? Is anyone waiting?", []panel{
		{
			shape: number, title: "Fresh now", unit: "percentunit", red: 1, below: true, alert: "GonomalyFreshnessBudgetBurn",
			says:    "Share of the partitions of the worst stream whose next record has waited for at most 60 s. A partition of which nothing is known is not fresh: where a stream has lost all of its partitions, only this shows it.",
			queries: one(`1 - max(stream:gonomaly_freshness_errors:ratio{recorded})`),
		},
		{
			shape: number, title: "Furthest behind", unit: "s", red: 60, alert: "GonomalyFreshnessBudgetBurn",
			says:    "How long the next record of the partition that is furthest behind has waited. From 60 s on the freshness objective is missed: open the Stream dashboard to see which partition it is.",
			queries: one(`max(gonomaly_time_lag_seconds{stream})`),
		},
		{
			shape: number, title: "Oldest undelivered alert", unit: "s", red: 30, alert: "GonomalyDeliveryBudgetBurn",
			says:    "Age of the oldest alert that some sink has not taken. From 30 s on the delivery objective is missed: see the breakers below and the Error Tracking dashboard.",
			queries: one(`max(gonomaly_sink_oldest_undelivered_seconds{process})`),
		},
		{
			shape: number, title: "Partitions without a member", unit: "short", red: 1, alert: "GonomalyPartitionsUnowned",
			says:    "Partitions that no process reads although the group is stable. Start more processes, or see why a member does not take its share.",
			queries: one(`sum(max by (stream) (gonomaly_partitions_unowned{stream}))`),
		},
		{
			shape: number, title: "Partitions not ok", unit: "short", red: 1, alert: "GonomalyPartitionsStalled",
			says:    "Partitions whose status is warn, stall, stop or rewind, as Burrow defines them. The Stream dashboard names them.",
			queries: one(`count(gonomaly_partition_status{stream, status="ok"} == 0) or 0 * count(gonomaly_partition_status{stream, status="ok"})`),
		},
		{
			shape: number, title: "Instances that answer", unit: "short", red: 1, below: true, alert: "GonomalyDown",
			says:    "Processes that Prometheus could scrape. Fewer than you run: look at the missing one's log and exit code.",
			queries: one(`sum(up{process})`),
		},
	}}, {"How fast the error budgets burn", []panel{
		{
			title: "Freshness budget, burn rate", unit: "short", red: 14.4, alert: "GonomalyFreshnessBudgetBurn",
			says:    "At 1 the budget of 30 days lasts 30 days; at 14.4 for an hour, 2 % of it is gone and somebody is paged.",
			queries: one(`stream:gonomaly_freshness_burn:rate1h{recorded}`, "{{stream}}"),
		},
		{
			title: "Correctness budget, burn rate", unit: "short", red: 14.4, alert: "GonomalyCorrectnessBudgetBurn",
			says:    "Records received that have no outcome, or were stepped over. Anything above 0 is worth a look at Error Tracking.",
			queries: one(`stream:gonomaly_correctness_burn:rate1h{recorded}`, "{{stream}}"),
		},
		{
			title: "Delivery budget, burn rate", unit: "short", red: 14.4, alert: "GonomalyDeliveryBudgetBurn",
			says:    "At 1 the budget of 30 days lasts 30 days. A sink that burns alone is to blame itself; if all burn, look at the alerts topic.",
			queries: one(`sink:gonomaly_delivery_burn:rate1h{sinks}`, "{{sink}}"),
		},
	}}, {"Causes", []panel{
		{
			title: "Time lag", unit: "s", red: 60, alert: "GonomalyFreshnessBudgetBurn",
			says:    "The longest wait of a partition's next record, by stream. A steep line: nothing moves. A slow rise: records come faster than they are taken; add processes, up to one a partition.",
			queries: one(`max by (stream) (gonomaly_time_lag_seconds{stream})`, "{{stream}}"),
		},
		{
			title: "Records received", unit: "rps", alert: "GonomalyNoRecords",
			says:    "Records taken from the topics. Zero with lag: see the loop and the fetch errors. Zero without lag: nobody produces.",
			queries: one(`sum by (stream) (rate(gonomaly_records_received_total{stream}[rate]))`, "{{stream}}"),
		},
		{
			title: "Alerts opened", unit: "cpm", alert: "GonomalyAlertStorm",
			says:    "Incidents opened, a minute. Many at once: something happened in the world, or the data changed its shape; see Detection Performance.",
			queries: one(`60 * sum by (stream) (rate(gonomaly_alerts_total{stream, status="open"}[rate]))`, "{{stream}}"),
		},
		{
			title: "Since the loop went round", unit: "s", red: 60, alert: "GonomalyLoopStuck",
			says:    "Time since each stream's poll loop last turned. Seconds are slow; a minute is stuck: take a goroutine dump with SIGQUIT, which also restarts the process.",
			queries: one(`max by (instance, stream) (time() - gonomaly_loop_last_progress_timestamp_seconds{stream})`, "{{instance}} {{stream}}"),
		},
		{
			title: "Oldest checkpoint", unit: "s", red: 900, alert: "GonomalyCheckpointTooOld",
			says:    "Age of the oldest checkpoint of a stream's partitions. It grows on idle partitions, too, and then costs nothing; with records flowing, see the Redis errors.",
			queries: one(`max by (stream) (gonomaly_checkpoint_age_seconds{stream})`, "{{stream}}"),
		},
		{
			title: "Breakers of the sinks", unit: "short", red: 2, alert: "GonomalySinkFailing",
			says:    "0 closed, 1 half open, 2 open: attempts rest. Alerts wait in Kafka meanwhile, none is lost. Bring the sink back.",
			queries: one(`max by (sink) (gonomaly_sink_breaker_state{process})`, "{{sink}}"),
		},
		{
			title: "Reloads in force", unit: "percentunit", red: 1, below: true, alert: "GonomalyReloadRefused",
			says:    "Share of the instances whose last reload was taken. Below 100 % some run their last good configuration: their log says what was wrong with the new one.",
			queries: one(`avg(gonomaly_config_last_reload_successful{process})`, "in force"),
		},
		{
			title: "Rebalances and client rebuilds", unit: "short", alert: "GonomalyRebalancesOften",
			says: "Assignments, and clients made anew after a failure, in ten minutes. Some are a deployment; without end they are a process that dies, or a network that loses heartbeats.",
			queries: []query{
				{`sum by (stream) (increase(gonomaly_kafka_rebalances_total{stream}[10m]))`, "rebalances {{stream}}"},
				{`sum by (stream) (increase(gonomaly_kafka_client_rebuilds_total{stream}[10m]))`, "rebuilds {{stream}}"},
			},
		},
		{
			title: "Redis errors", unit: "cps", alert: "GonomalyRedisFailing",
			says:    "Commands that Redis did not carry out, by reason. docs/redis.md says of each what it means and what to do.",
			queries: one(`sum by (reason) (rate(gonomaly_redis_errors_total{process}[rate]))`, "{{reason}}"),
		},
		{
			title: "Checkpoints found damaged or lost", unit: "short", red: 1, alert: "GonomalyRestoreFailed",
			says: "In ten minutes. Lost: Redis no longer has what it had confirmed, and whole checkpoints follow. Damaged: an older one is used, and more of the log is read again.",
			queries: []query{
				{`sum(increase(gonomaly_checkpoints_damaged_total{process}[10m]))`, "damaged"},
				{`sum(increase(gonomaly_checkpoints_lost_total{process}[10m]))`, "lost"},
			},
		},
	}}, {"What runs", []panel{
		{
			shape: list, title: "Versions", unit: "short", alert: "GonomalyConfigDiffers",
			says:    "Instances by version. More than one outside a deployment: a rollout has stopped half way.",
			queries: one(`count by (version, revision, goversion) (gonomaly_build_info{process})`),
		},
		{
			shape: list, title: "Configurations", unit: "short", alert: "GonomalyConfigDiffers",
			says:    "Instances by stream and hash of its detection settings. Two hashes of one stream: replicas disagree, and partitions change their detectors as they move.",
			queries: one(`count by (stream, hash) (gonomaly_config_info{stream})`),
		},
	}}},
}
