// Package chaos holds the promise of exactly once against real failures: three processes of Gonomaly read a topic that is written to all
// the while, on real Kafka brokers and a real Redis with a replica, and each of them is killed, frozen, cut off and restarted on a
// schedule that a seed draws, some of it at the very moment before or after a step is durable. At the end everything that was told must be
// what a single-threaded fold of the log tells: each alert and each dead letter once, in order, in Kafka and in Redis, and the same state in
// the checkpoints. It is all tests, under the build tag chaos; make chaos runs it, make chaos-times measures how long a take-over is.
package chaos
