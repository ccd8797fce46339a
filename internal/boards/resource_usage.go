package main

// resourceUsage is what the processes take of their machines, and how near their bounds they are.
var resourceUsage = board{
	uid: "gonomaly-resource-usage", title: "Gonomaly / Resource Usage",
	says: "CPU, memory, network and files of the processes, and what a record costs.",
	rows: []row{{"Overview", []panel{
		{
			shape: number, title: "Cores in use", unit: "short",
			says:    "By all instances together. A process uses as many cores as it has partitions.",
			queries: one(`sum(rate(process_cpu_seconds_total{process}[rate]))`),
		},
		{
			shape: number, title: "CPU a record", unit: "s",
			says:    "CPU time of the processes for each record received. A sudden rise: a costlier detector, larger records, or recovery.",
			queries: one(`sum(rate(process_cpu_seconds_total{process}[rate])) / sum(rate(gonomaly_records_received_total{stream}[rate]))`),
		},
		{
			shape: number, title: "Memory of the largest", unit: "bytes",
			says:    "Resident memory of the instance that has most.",
			queries: one(`max(process_resident_memory_bytes{process})`),
		},
		{
			shape: number, title: "Nearest to its memory limit", unit: "percentunit", red: 0.9,
			says:    "Memory held by Go, of GOMEMLIMIT. From 90 % on fetching rests now and then: lower max_bytes, or give the container more.",
			queries: one(`max((go_memstats_sys_bytes{process} - go_memstats_heap_released_bytes{process}) / go_gc_gomemlimit_bytes{process})`),
		},
		{
			shape: number, title: "Nearest to its limit of files", unit: "percentunit", red: 0.8,
			says:    "Open files, connections included, of what the system allows. Raise the limit before it is reached.",
			queries: one(`max(process_open_fds{process} / process_max_fds{process})`),
		},
		{
			shape: number, title: "Youngest instance", unit: "s", alert: "GonomalyInstanceDown",
			says:    "Since the last one started. It stays small where a process dies again and again: see its exit code and the end of its log.",
			queries: one(`min(time() - process_start_time_seconds{process})`),
		},
	}}, {"Processor", []panel{
		{
			title: "CPU by instance", unit: "short",
			says:    "Cores. An instance at its limit, with lag: give it more, or start another one while there are partitions to share.",
			queries: one(`topk(10, rate(process_cpu_seconds_total{process}[rate]))`, "{{instance}}"),
		},
		{
			title: "Goroutines", unit: "short",
			says:    "They follow partitions and connections. A line that only rises is a leak: report it, with a dump of SIGQUIT.",
			queries: one(`topk(10, go_goroutines{process})`, "{{instance}}"),
		},
		{
			title: "Garbage collection", unit: "percentunit",
			says:    "Longest pauses of the collector, as a share of time. Much with memory near its limit: the limit is too tight.",
			queries: one(`topk(10, rate(go_gc_duration_seconds_sum{process}[rate]))`, "{{instance}}"),
		},
	}}, {"Memory", []panel{
		{
			title: "Resident memory", unit: "bytes",
			says:    "By instance, the ten largest. It follows the series held and the batches in flight.",
			queries: one(`topk(10, process_resident_memory_bytes{process})`, "{{instance}}"),
		},
		{
			title: "Heap in use", unit: "bytes",
			says:    "By instance, the ten largest. The teeth are the collector at work; a rising floor is state that grows.",
			queries: one(`topk(10, go_memstats_heap_inuse_bytes{process})`, "{{instance}}"),
		},
		{
			title: "Rests because of memory", unit: "short",
			says: "In ten minutes: fetching rested near the limit; overruns are rests that did not help. Lower max_bytes, or give more memory.",
			queries: []query{
				{`sum by (stream) (increase(gonomaly_memory_rests_total{stream}[10m]))`, "{{stream}} rests"},
				{`sum by (stream) (increase(gonomaly_memory_overruns_total{stream}[10m]))`, "{{stream}} overruns"},
			},
		},
	}}, {"Network", []panel{
		{
			title: "Read from Kafka", unit: "Bps",
			says:    "Bytes on the wire, compressed, by client. Bytes received on the Stream dashboard are after decompression.",
			queries: one(`sum by (client) (rate(gonomaly_kafka_client_read_bytes_total{process}[rate]))`, "{{client}}"),
		},
		{
			title: "Written to Kafka", unit: "Bps",
			says:    "By client: alerts, dead letters, offsets, and the requests themselves.",
			queries: one(`sum by (client) (rate(gonomaly_kafka_client_write_bytes_total{process}[rate]))`, "{{client}}"),
		},
		{
			title: "Waiting in the client", unit: "short",
			says:    "Records fetched and not yet taken, by client. Full buffers with lag: processing is the bottleneck; empty ones: fetching is.",
			queries: one(`sum by (client) (gonomaly_kafka_client_buffered_fetch_records_total{process})`, "{{client}}"),
		},
		{
			title: "All traffic of the process", unit: "Bps",
			says: "Redis and sinks included, as the kernel counts it in the network namespace of the process.",
			queries: []query{
				{`sum(rate(process_network_receive_bytes_total{process}[rate]))`, "received"},
				{`sum(rate(process_network_transmit_bytes_total{process}[rate]))`, "sent"},
			},
		},
		{
			title: "Open files", unit: "short",
			says:    "Connections included, by instance, the ten with most.",
			queries: one(`topk(10, process_open_fds{process})`, "{{instance}}"),
		},
	}}},
}
