// Package sim is a simulation: the real source, pipeline and checkpoint store, with the real clients of Kafka and Redis, in a world whose
// brokers, Redis, network and clock are made up. A seed chooses a stream, its load and a schedule of faults at the edges where requests
// leave a process; minutes of failures pass in a fraction of a second. What a reader of committed records finds at the end is held against
// a replay of the log on one goroutine. See the tests.
package sim
