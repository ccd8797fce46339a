// Package faults shows what an operator is told. Faults are injected one by one into real services, each into a group of its own: Gonomaly
// under load, Kafka and Redis, watched by one Prometheus with the rules of config/monitoring and an Alertmanager with its routes, both at
// the pace that we ship. For each fault exactly the alerts that are expected must come, and go once it is cured; restarts, a process more
// and upgrades must raise none. It is all tests, under the build tag faults; make faults runs it and prints the table of docs/runbooks.
package faults
