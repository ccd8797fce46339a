package main

// businessKPIs is for those who pay for it: what is watched, what was found, and whether the promises were kept.
var businessKPIs = board{
	uid: "gonomaly-business-kpis", title: "Gonomaly / Business KPIs",
	says: "What is watched, what was found, and whether the promises were kept, over the time range that is chosen above.",
	rows: []row{{"Promises", []panel{
		{
			shape: number, title: "Fresh", unit: "percentunit", red: 0.995, below: true, alert: "GonomalyFreshnessBudgetBurn",
			says:    "Share of the time in which no record waited for more than a minute. Promised are 99.5 %: if it is missed often, there is too little capacity.",
			queries: one(`1 - avg(avg_over_time(stream:gonomaly_freshness_errors:ratio{recorded}[$__range]))`),
		},
		{
			shape: number, title: "Accounted for", unit: "percentunit", red: 0.9999, below: true, alert: "GonomalyCorrectnessBudgetBurn",
			says:    "Share of the records that have an outcome and were not stepped over. Promised are 99.99 %.",
			queries: one(`sum(increase(gonomaly_records_total{stream}[$__range])) / (sum(increase(gonomaly_records_received_total{stream}[$__range])) + sum(increase(gonomaly_kafka_offsets_skipped_total{stream}[$__range])))`),
		},
		{
			shape: number, title: "Delivered in time", unit: "percentunit", red: 0.995, below: true, alert: "GonomalyDeliveryBudgetBurn",
			says:    "Share of the time in which no alert waited at a sink for more than 30 s. Promised are 99.5 %.",
			queries: one(`1 - avg(avg_over_time(sink:gonomaly_delivery_errors:ratio{sinks}[$__range]))`),
		},
	}}, {"What is watched", []panel{
		{
			shape: number, title: "Records", unit: "short",
			says:    "Records received in the time range.",
			queries: one(`sum(increase(gonomaly_records_received_total{stream}[$__range]))`),
		},
		{
			shape: number, title: "Keys", unit: "short",
			says:    "Keys that are watched now: machines, customers, routes, as the configuration has it.",
			queries: one(`sum(gonomaly_series{stream})`),
		},
		{
			shape: number, title: "Incidents opened", unit: "short", alert: "GonomalyAlertStorm",
			says:    "In the time range. Divide by the people who read them.",
			queries: one(`sum(increase(gonomaly_alerts_total{stream, status="open"}[$__range]))`),
		},
		{
			shape: number, title: "Incidents per 1,000 keys", unit: "short",
			says:    "In the time range: how noisy the watch is, whatever its size.",
			queries: one(`1000 * sum(increase(gonomaly_alerts_total{stream, status="open"}[$__range])) / sum(gonomaly_series{stream})`),
		},
		{
			shape: number, title: "Record to alert, median", unit: "s",
			says:    "In the time range, from a record's Kafka timestamp to its alert's commit.",
			queries: one(`histogram_quantile(0.5, sum by (le) (increase(gonomaly_alert_latency_seconds_bucket{stream}[$__range])))`),
		},
		{
			shape: number, title: "Alerts delivered", unit: "short",
			says:    "To all sinks together, in the time range.",
			queries: one(`sum(increase(gonomaly_sink_deliveries_total{process, outcome="delivered"}[$__range]))`),
		},
	}}, {"In the course of time", []panel{
		{
			title: "Records a minute", unit: "cpm",
			says:    "By stream. A fall is fewer events, or a producer that is gone.",
			queries: one(`60 * sum by (stream) (rate(gonomaly_records_received_total{stream}[rate]))`, "{{stream}}"),
		},
		{
			title: "Incidents opened an hour", unit: "short",
			says:    "By stream and kind.",
			queries: one(`sum by (stream, kind) (increase(gonomaly_alerts_total{stream, status="open"}[1h]))`, "{{stream}} {{kind}}"),
		},
		{
			title: "Incidents held open", unit: "short",
			says:    "Opened less resolved in a day: above 0, more begins than ends.",
			queries: one(`sum by (stream) (increase(gonomaly_alerts_total{stream, status="open"}[1d])) - sum by (stream) (increase(gonomaly_alerts_total{stream, status="resolve"}[1d]))`, "{{stream}}"),
		},
	}}},
}
