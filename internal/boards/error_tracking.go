package main

// errorTracking is everything that went wrong, by kind and reason.
var errorTracking = board{
	uid: "gonomaly-error-tracking", title: "Gonomaly / Error Tracking",
	says: "Everything that went wrong, by kind and reason: records, Kafka, state, sinks.",
	rows: []row{{"Overview", []panel{
		{
			shape: number, title: "Dead letters", unit: "percentunit", red: 0.01, alert: "GonomalyDeadLettersHigh",
			says:    "Share of the records that could not be read, in an hour. They wait in the dead-letter topic, with the reason in their headers.",
			queries: one(`sum(increase(gonomaly_records_total{stream, outcome="dead_lettered"}[1h])) / sum(increase(gonomaly_records_total{stream, outcome!~"probe|filtered"}[1h]))`),
		},
		{
			shape: number, title: "Records lost to retention or brokers", unit: "short", red: 1, alert: "GonomalyRecordsLost",
			says: "Times in an hour that retention had deleted records before they were read, or that brokers had lost some. Raise retention, then catch up.",
			queries: one(`sum(increase(gonomaly_kafka_gaps_total{stream}[1h])) + ` +
				`sum(increase(gonomaly_kafka_data_losses_total{stream}[1h]))`),
		},
		{
			shape: number, title: "Transactions that failed", unit: "percentunit", red: 0.1,
			says:    "Share in an hour. Their alerts are told by the next one; if many fail, the coordinator is in trouble.",
			queries: one(`1 - sum(increase(gonomaly_transactions_total{stream, outcome="committed"}[1h])) / sum(increase(gonomaly_transactions_total{stream}[1h]))`),
		},
		{
			shape: number, title: "Attempts at sinks that failed", unit: "short", red: 1, alert: "GonomalySinkFailing",
			says:    "In an hour. Each is tried again; alerts wait in Kafka.",
			queries: one(`sum(increase(gonomaly_sink_failures_total{process}[1h]))`),
		},
		{
			shape: number, title: "Redis commands that failed", unit: "short", red: 1, alert: "GonomalyRedisFailing",
			says:    "In an hour, whatever the reason.",
			queries: one(`sum(increase(gonomaly_redis_errors_total{process}[1h]))`),
		},
		{
			shape: number, title: "Alerts set aside", unit: "short", red: 1, alert: "GonomalyAlertsRefused",
			says:    "In a day: alerts that a sink refused, or could not be read. They are in the sink's dead-letter topic.",
			queries: one(`sum(increase(gonomaly_sink_deliveries_total{process, outcome!="delivered"}[1d]))`),
		},
	}}, {"Records", []panel{
		{
			title: "Dead letters by reason", unit: "rps", alert: "GonomalyDeadLettersHigh",
			says:    "not_json, missing_field and the like: one producer that changed its format, most often.",
			queries: one(`sum by (stream, reason) (rate(gonomaly_dead_letters_total{stream}[rate]))`, "{{stream}} {{reason}}"),
		},
		{
			title: "Batches stepped over", unit: "short", alert: "GonomalyCorrectnessBudgetBurn",
			says: "In ten minutes: batches that cannot be decompressed or are too large, and how many offsets they held. The log names them.",
			queries: []query{
				{`sum by (stream) (increase(gonomaly_kafka_batches_skipped_total{stream}[10m]))`, "{{stream}} batches"},
				{`sum by (stream) (increase(gonomaly_kafka_offsets_skipped_total{stream}[10m]))`, "{{stream}} offsets"},
			},
		},
		{
			title: "Gaps and losses", unit: "short", alert: "GonomalyRecordsLost",
			says: "In ten minutes. gaps: retention was faster than we, by so many offsets; losses: brokers lost what was read already; cut: a rebuild began later than the state before.",
			queries: []query{
				{`sum by (stream) (increase(gonomaly_kafka_gaps_total{stream}[10m]))`, "{{stream}} gaps"},
				{`sum by (stream) (increase(gonomaly_kafka_gap_offsets_total{stream}[10m]))`, "{{stream}} offsets"},
				{`sum by (stream) (increase(gonomaly_kafka_data_losses_total{stream}[10m]))`, "{{stream}} losses"},
				{`sum by (stream) (increase(gonomaly_kafka_rebuilds_cut_total{stream}[10m]))`, "{{stream}} cut"},
				{`sum by (stream) (increase(gonomaly_kafka_topics_recreated_total{stream}[10m]))`, "{{stream}} topics made anew"},
			},
		},
	}}, {"Kafka", []panel{
		{
			title: "Fetches that failed", unit: "cps",
			says:    "A missing topic, a missing right, a broker that is away: /-/ready says which.",
			queries: one(`sum by (stream) (rate(gonomaly_kafka_fetch_errors_total{stream}[rate]))`, "{{stream}}"),
		},
		{
			title: "Connections and requests that failed", unit: "cps",
			says: "By client. All clients: the network or the brokers. One: its rights or its listener.",
			queries: []query{
				{`sum by (client) (rate(gonomaly_kafka_client_connect_errors_total{process}[rate]))`, "{{client}} connect"},
				{`sum by (client) (rate(gonomaly_kafka_client_read_errors_total{process}[rate]))`, "{{client}} read"},
				{`sum by (client) (rate(gonomaly_kafka_client_write_errors_total{process}[rate]))`, "{{client}} write"},
			},
		},
		{
			title: "Clients made anew", unit: "short", alert: "GonomalyPartitionsStalled",
			says: "In ten minutes: clients that failed, those that the watchdog found stuck, and those fenced by a namesake.",
			queries: []query{
				{`sum by (stream) (increase(gonomaly_kafka_client_rebuilds_total{stream}[10m]))`, "{{stream}} rebuilt"},
				{`sum by (stream) (increase(gonomaly_kafka_stuck_total{stream}[10m]))`, "{{stream}} stuck"},
				{`sum by (stream) (increase(gonomaly_kafka_fenced_total{stream}[10m]))`, "{{stream}} fenced"},
			},
		},
		{
			title: "Transactions that were not committed", unit: "cps",
			says:    "By outcome. Their records are taken again, so nothing is lost or doubled.",
			queries: one(`sum by (stream, outcome) (rate(gonomaly_transactions_total{stream, outcome!="committed"}[rate]))`, "{{stream}} {{outcome}}"),
		},
		{
			title: "Messages written, and cut", unit: "cps",
			says: "Alerts and dead letters by topic; cut ones were larger than the broker takes, and say so.",
			queries: []query{
				{`sum by (topic) (rate(gonomaly_messages_written_total{stream}[rate]))`, "{{topic}}"},
				{`sum by (stream) (rate(gonomaly_messages_cut_total{stream}[rate]))`, "{{stream}} cut"},
			},
		},
	}}, {"State", []panel{
		{
			title: "Checkpoints that were not stored", unit: "cps", alert: "GonomalyCheckpointTooOld",
			says:    "By outcome: failed ones are tried again, broken ones followed by a whole one.",
			queries: one(`sum by (stream, outcome) (rate(gonomaly_checkpoints_total{stream, outcome!="stored"}[rate]))`, "{{stream}} {{outcome}}"),
		},
		{
			title: "Redis errors by reason", unit: "cps", alert: "GonomalyRedisFailing",
			says:    "docs/redis.md says of each reason what it means and what to do.",
			queries: one(`sum by (reason) (rate(gonomaly_redis_errors_total{process}[rate]))`, "{{reason}}"),
		},
		{
			title: "Checkpoints damaged and lost", unit: "short", alert: "GonomalyRestoreFailed",
			says: "In ten minutes, by instance.",
			queries: []query{
				{`sum by (instance) (increase(gonomaly_checkpoints_damaged_total{process}[10m]))`, "{{instance}} damaged"},
				{`sum by (instance) (increase(gonomaly_checkpoints_lost_total{process}[10m]))`, "{{instance}} lost"},
			},
		},
	}}, {"Sinks", []panel{
		{
			title: "Attempts that failed, and waits", unit: "cps", alert: "GonomalySinkFailing",
			says: "By sink. Waits grow longer the longer it fails.",
			queries: []query{
				{`sum by (sink) (rate(gonomaly_sink_failures_total{process}[rate]))`, "{{sink}} failed"},
				{`sum by (sink) (rate(gonomaly_sink_retries_total{process}[rate]))`, "{{sink}} waits"},
			},
		},
		{
			title: "Alerts not yet delivered", unit: "short", alert: "GonomalySinkFailing",
			says:    "Records of the alerts topic that a sink has yet to take.",
			queries: one(`sum by (sink) (gonomaly_sink_lag_records{process})`, "{{sink}}"),
		},
		{
			title: "Deliveries by outcome", unit: "cps", alert: "GonomalyAlertsRefused",
			says:    "refused and unreadable alerts are in the sink's dead-letter topic.",
			queries: one(`sum by (sink, outcome) (rate(gonomaly_sink_deliveries_total{process}[rate]))`, "{{sink}} {{outcome}}"),
		},
		{
			title: "Sinks read back", unit: "short",
			says:    "In ten minutes: a sink had lost what it had taken, and was given it again.",
			queries: one(`sum by (sink) (increase(gonomaly_sink_rewinds_total{process}[10m]))`, "{{sink}}"),
		},
		{
			title: "Trace spans that were lost", unit: "cps",
			says:    "failed: the collector did not take them, and the log says why; dropped: too many waited for it. Alerts do not wait. 0 without tracing.",
			queries: one(`sum by (outcome) (rate(gonomaly_trace_spans_total{process, outcome!="exported"}[rate]))`, "{{outcome}}"),
		},
	}}},
}
