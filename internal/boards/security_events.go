package main

// securityEvents is what there is to see of who may do what: refusals by Kafka and Redis, certificates, and changes of the configuration.
var securityEvents = board{
	uid: "gonomaly-security-events", title: "Gonomaly / Security Events",
	says: "Refusals by Kafka and Redis, certificates that end, configurations that were changed or refused, instances that took another's place.",
	rows: []row{{"Overview", []panel{
		{
			shape: number, title: "Refusals in an hour", unit: "short", red: 1, alert: "GonomalyAccessDenied",
			says: "Times that Kafka refused who we are or what we asked for. None is usual: a password was changed, a right taken away, or somebody tries.",
			queries: one(`sum(increase(gonomaly_kafka_authentication_failures_total{process}[1h])) + ` +
				`sum(increase(gonomaly_kafka_authorization_failures_total{process}[1h]))`),
		},
		{
			shape: number, title: "Redis refusals in an hour", unit: "short", red: 1, alert: "GonomalyRedisFailing",
			says:    "Commands refused for a wrong password, a missing right, or TLS that does not match. docs/redis.md lists the rights.",
			queries: one(`sum(increase(gonomaly_redis_errors_total{process, reason=~"auth|noperm|tls"}[1h]))`),
		},
		{
			shape: number, title: "Configurations refused in a day", unit: "short", red: 1, alert: "GonomalyReloadRefused",
			says:    "Reloads that were refused. The log says what was wrong, and the last good configuration is in force.",
			queries: one(`sum(increase(gonomaly_config_reloads_total{process, outcome="refused"}[1d]))`),
		},
		{
			shape: number, title: "Since the last change", unit: "s",
			says:    "Since some instance last took a configuration. Unexpectedly young: ask who changed it.",
			queries: one(`min(time() - gonomaly_config_last_reload_success_timestamp_seconds{process})`),
		},
	}}, {"Refusals", []panel{
		{
			title: "Authentication refused", unit: "cps", alert: "GonomalyAccessDenied",
			says:    "By reason: tls is a certificate or a protocol, sasl a name or a password.",
			queries: one(`sum by (reason) (rate(gonomaly_kafka_authentication_failures_total{process}[rate]))`, "{{reason}}"),
		},
		{
			title: "Authorization refused", unit: "cps", alert: "GonomalyAccessDenied",
			says:    "By what was asked for: topic, group, transactional_id, cluster. Give the right with kafka-acls.",
			queries: one(`sum by (resource) (rate(gonomaly_kafka_authorization_failures_total{process}[rate]))`, "{{resource}}"),
		},
		{
			title: "Refused by Redis", unit: "cps", alert: "GonomalyRedisFailing",
			says:    "By reason: auth a password, noperm a right, tls a certificate.",
			queries: one(`sum by (reason) (rate(gonomaly_redis_errors_total{process, reason=~"auth|noperm|tls"}[rate]))`, "{{reason}}"),
		},
		{
			title: "Connections that failed", unit: "cps",
			says:    "To Kafka, by client. A broker that refuses everybody's TLS shows here, too.",
			queries: one(`sum by (client) (rate(gonomaly_kafka_client_connect_errors_total{process}[rate]))`, "{{client}}"),
		},
		{
			title: "Names taken", unit: "short", alert: "GonomalyFenced",
			says:    "1 while another process runs under this one's instance name, and this one waits. Two processes must not share a name.",
			queries: one(`max by (instance, stream) (gonomaly_kafka_name_taken{stream})`, "{{instance}} {{stream}}"),
		},
		{
			title: "Reloads", unit: "short", alert: "GonomalyReloadRefused",
			says:    "In ten minutes, by outcome.",
			queries: one(`sum by (outcome) (increase(gonomaly_config_reloads_total{process}[10m]))`, "{{outcome}}"),
		},
	}}, {"Certificates", []panel{
		{
			shape: wide, title: "Time left of the certificates", unit: "s", alert: "GonomalyCertificateEndsSoon",
			says:    "Of each certificate that is configured, the shortest over the instances. Replace it before two weeks are left. Nothing is shown where TLS is off.",
			queries: one(`min by (use) (gonomaly_tls_certificate_not_after_timestamp_seconds{process} - time())`, "{{use}}"),
		},
	}}},
}
