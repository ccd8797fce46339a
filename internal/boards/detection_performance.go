package main

// detectionPerformance is whether the detectors judge what they should, how soon they tell, and how much they tell.
var detectionPerformance = board{
	uid: "gonomaly-detection-performance", title: "Gonomaly / Detection Performance",
	says: "Are records judged, how soon is an alert told, and how many are there? For those who tune detectors and limits.",
	rows: []row{{"Overview", []panel{
		{
			shape: number, title: "Records judged", unit: "percentunit", red: 0.9, below: true, alert: "GonomalyNoScores",
			says:    "Share of the records in an hour that were scored or went into a window. The rest is warming up, late, without room or unreadable: the panel of outcomes says which.",
			queries: one(`sum(increase(gonomaly_records_total{stream, outcome=~"scored|aggregated"}[1h])) / sum(increase(gonomaly_records_total{stream, outcome!~"probe|filtered"}[1h]))`),
		},
		{
			shape: number, title: "Alerts opened in an hour", unit: "short", alert: "GonomalyAlertStorm",
			says:    "Incidents opened. Compare with what false_alarms asks for.",
			queries: one(`sum(increase(gonomaly_alerts_total{stream, status="open"}[1h]))`),
		},
		{
			shape: number, title: "Alerts per 10,000 points", unit: "short",
			says:    "Incidents opened for each 10,000 points, in an hour. Far above false_alarms: there are true ones, or the limit is off.",
			queries: one(`10000 * sum(increase(gonomaly_alerts_total{stream, kind="anomaly", status="open"}[1h])) / sum(increase(gonomaly_points_total{stream}[1h]))`),
		},
		{
			shape: number, title: "Series held", unit: "short",
			says:    "Keys that the partitions hold, learning ones included. At max_series new keys wait for room.",
			queries: one(`sum(gonomaly_series{stream})`),
		},
		{
			shape: number, title: "Series learning", unit: "percentunit",
			says:    "Share of the series without a score yet: they raise no alert. It falls as they learn; the log and /-/ready say until when.",
			queries: one(`sum(gonomaly_series_learning{stream}) / sum(gonomaly_series{stream})`),
		},
		{
			shape: number, title: "Record to alert, p99", unit: "s", red: 5,
			says:    "From a record's Kafka timestamp to the commit of its alert, in an hour. It holds the lag, too.",
			queries: one(`histogram_quantile(0.99, sum by (le) (increase(gonomaly_alert_latency_seconds_bucket{stream}[1h])))`),
		},
	}}, {"What is judged", []panel{
		{
			title: "Points", unit: "ops",
			says:    "Points given to detectors: one a record, or one a closed window. None while records come: no window closes, so no time moves; see the watermark.",
			queries: one(`sum by (stream) (rate(gonomaly_points_total{stream}[rate]))`, "{{stream}}"),
		},
		{
			title: "Share of records by outcome", unit: "percentunit", stacked: true, alert: "GonomalyNoScores",
			says:    "warming is a new key; late, incomplete and not_admitted are not judged, dead_lettered could not be read.",
			queries: one(`sum by (outcome) (rate(gonomaly_records_total{stream, outcome!~"probe|filtered"}[rate])) / ignoring (outcome) group_left sum(rate(gonomaly_records_total{stream, outcome!~"probe|filtered"}[rate]))`, "{{outcome}}"),
		},
		{
			title: "Series, and those learning", unit: "short", alert: "GonomalyEvictionsHigh",
			says: "A drop of the first is a restart without state or an eviction; a rise of the second are new keys.",
			queries: []query{
				{`sum by (stream) (gonomaly_series{stream})`, "{{stream}} held"},
				{`sum by (stream) (gonomaly_series_learning{stream})`, "{{stream}} learning"},
			},
		},
		{
			title: "Series forgotten", unit: "cps", alert: "GonomalyEvictionsHigh",
			says:    "idle is as configured. bound means that there are more keys than room: raise max_series or max_bytes, or choose another key.",
			queries: one(`sum by (stream, reason) (rate(gonomaly_series_evicted_total{stream}[rate]))`, "{{stream}} {{reason}}"),
		},
		{
			title: "Records without room", unit: "rps", alert: "GonomalyEvictionsHigh",
			says:    "Of keys that found no room, and so were not judged. Raise max_series or max_bytes.",
			queries: one(`sum by (stream) (rate(gonomaly_records_total{stream, outcome="not_admitted"}[rate]))`, "{{stream}}"),
		},
	}}, {"What is told", []panel{
		{
			title: "Alerts by kind and status", unit: "cpm", alert: "GonomalyAlertStorm",
			says:    "A minute. Opened without resolved: incidents go on. Many drifts: the data has changed its shape, see the runbook.",
			queries: one(`60 * sum by (kind, status) (rate(gonomaly_alerts_total{stream}[rate]))`, "{{kind}} {{status}}"),
		},
		{
			title: "Not told, by reason", unit: "cpm",
			says:    "Points over the limit that raised no alert: an incident is open, the direction is not asked for, the deviation is too small, or only one detector finds it odd. A reason that dominates is a setting to look at.",
			queries: one(`60 * sum by (kind, reason) (rate(gonomaly_alerts_suppressed_total{stream}[rate]))`, "{{kind}} {{reason}}"),
		},
		{
			title: "Drifts per 1,000 series in an hour", unit: "short", red: 100, alert: "GonomalyDriftInManySeries",
			says:    "Lasting changes found. In many series at once the cause is one: a release, a unit, a season.",
			queries: one(`1000 * sum by (stream) (increase(gonomaly_alerts_total{stream, kind="drift", status="open"}[1h])) / sum by (stream) (gonomaly_series{stream})`, "{{stream}}"),
		},
		{
			title: "From record to alert", unit: "s",
			says:    "From a record's Kafka timestamp to the commit of the alert. About commit_every where nothing lags.",
			queries: quantiles("gonomaly_alert_latency_seconds", "{stream}", "stream"),
		},
		{
			title: "From alert to sink", unit: "s", alert: "GonomalyDeliveryBudgetBurn",
			says:    "From an alert's record in the alerts topic to its delivery.",
			queries: quantiles("gonomaly_sink_delivery_seconds", "{process}", "sink"),
		},
	}}},
}
