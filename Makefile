# Gonomaly. `make` prints what can be made.

GO       ?= go
# Without the profile of cmd/gonomaly: by it, all that is imported there would be compiled once more.
TEST     := $(GO) test -pgo=off
CACHE    := $(CURDIR)/.cache
TOOLS    := $(CACHE)/bin
JARS     := $(CACHE)/kafka
FUZZTIME ?= 30s
LINT     := $(TOOLS)/golangci-lint
# Versions of the tools that are built from source.
LINT_VERSION := v2.15.0
JSONNET := $(GO) run github.com/google/go-jsonnet/cmd/jsonnet@v0.21.0

# The jars of Kafka are fetched unless KAFKA_JARS names a folder of them; a broker of our own needs them, one that KAFKA_BROKERS names does not.
FETCHED := $(if $(KAFKA_JARS),,$(JARS)/.complete)
BROKER  := $(if $(KAFKA_BROKERS),,$(FETCHED))

export KAFKA_JARS ?= $(JARS)

.DEFAULT_GOAL := help
.PHONY: help demo test race integration endure sim teeth chaos chaos-times faults lint fuzz bench bench-compare bench-metrics pgo quality build up down kafka cover dashboards pictures monitoring

help: ## print this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Compiled as for the tests, which most people run next.
demo: ## play real and simulated data on an embedded broker, and watch the alerts come
	$(GO) run -pgo=off ./cmd/gonomaly demo

test: ## run the tests; they need nothing but Go
	$(TEST) ./...

# What starts no goroutine has no race: the detectors, as long as that is so, and the tests that -short leaves out.
race: ## run the tests with the race detector, but for those of one goroutine that take long
	@! grep -rnE '(^|[^/[:alnum:]])go (func|[[:alnum:].]+\()|\.Go\(|AfterFunc\(|Parallel\(' --include=*.go detectors || { echo "the detectors start goroutines: have them raced"; exit 1; }
	$(TEST) -race -short $$($(GO) list ./... | grep -v /detectors)

integration: $(BROKER) ## test the binary against real Kafka and Redis: its own, or those of KAFKA_BROKERS and REDIS_ADDR
	$(TEST) -tags integration -count=1 -timeout 20m ./cmd/gonomaly ./sources ./internal/boards ./pipeline/checkpoint ./sinks # the longest first

endure: $(BROKER) ## integration on a quiet machine, with limits of time, a flood of FLOOD_KEYS (5000000) keys, and Redis away for OUTAGE (2m)
	STRICT=1 FLOOD_KEYS=$(or $(FLOOD_KEYS),5000000) OUTAGE=$(or $(OUTAGE),2m) $(TEST) -tags integration -v -count=1 -timeout 30m ./cmd/gonomaly

sim: ## live through SIM_SEEDS (1000) simulated runs from seed SIM_FROM (1) on; with SIM_EXACT=1 to the last instruction the same each time
	$(GO) run ./internal/prove sim -seeds $(or $(SIM_SEEDS),1000) -from $(or $(SIM_FROM),1) $(if $(SIM_EXACT),-exact)

teeth: ## switch off the rules of exactly once one by one, see who notices, and write docs/teeth.md
	$(GO) run ./internal/prove teeth -o docs/teeth.md

chaos: $(FETCHED) ## kill, freeze and cut off all that there is for CHAOS_FOR (10m), CHAOS_BROKERS (3 or 1), CHAOS_SEED, CHAOS_FAULTS, CHAOS_RATE
	$(TEST) -tags chaos -run 'TestChaos$$' -v -count=1 -timeout 0 ./internal/chaos

chaos-times: $(FETCHED) ## measure how long the partitions of a process that ends rest, with CHAOS_BROKERS (3 or 1)
	$(TEST) -tags chaos -run 'TestTakeOver$$' -v -count=1 -timeout 0 ./internal/chaos

faults: $(FETCHED) ## inject each fault (or ONLY=one of them) into real services, and see who is alerted when; with OUT=directory what was seen is kept
	FAULTS_OUT=$(abspath $(OUT)) $(TEST) -tags faults -run 'TestFaults$(if $(ONLY),/each/$(ONLY)$$)' -v -count=1 -parallel 100 -timeout 90m ./internal/faults

lint: $(LINT) ## check style, imports and security
	$(LINT) run ./...

# Before Go 1.27 a run whose time is over at the wrong moment ends with "context deadline exceeded", which is Go's own failure and not the
# target's (golang/go#75804): it is run again.
fuzz: ## run each fuzz test for FUZZTIME (30s)
	@for package in $$(grep -rl --include=*_test.go '^func Fuzz' ./* | xargs -n 1 dirname | sort -u); do \
	  for target in $$(sed -n 's/^func \(Fuzz[[:alnum:]]*\).*/\1/p' "$$package"/*_test.go); do \
	    echo "$$package $$target"; passed=; \
	    for try in 1 2 3; do \
	      says=$$($(TEST) -vet=off -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$package 2>&1) && passed=1 && break; \
	      echo "$$says"; \
	      case "$$says" in *"Failing input written"*) exit 1;; *"context deadline exceeded"*) ;; *) exit 1;; esac; \
	    done; \
	    [ -n "$$passed" ] || exit 1; \
	    echo "$$says" | tail -1; \
	  done; \
	done

bench: $(BROKER) ## measure detectors, decoders, backtest and the whole path on a real broker, COUNT (3) times; each of the first for BENCHTIME (1s)
	$(TEST) -run '^$$' -bench . -benchmem -benchtime $(or $(BENCHTIME),1s) ./detectors/... ./pipeline/... ./sources/...
	$(TEST) -tags integration -run '^$$' -bench 'Path|Backtest' -benchtime 1x -count $(or $(COUNT),3) -timeout 30m ./cmd/gonomaly

bench-compare: ## measure the whole path of this tree beside that of commit BASE (HEAD^), RUNS (5) times by turns
	@base=$$(mktemp -d) && trap 'git worktree remove --force "$$base"' EXIT && git worktree add --quiet --detach "$$base" $(or $(BASE),HEAD^) \
	  && (cd "$$base" && $(GO) build -o "$$base/beside" ./cmd/gonomaly) \
	  && $(GO) run ./cmd/gonomaly bench path --only raw,records,windows,paced --runs $(or $(RUNS),5) --beside "$$base/beside"

bench-metrics: ## measure what metrics cost: the path beside the same built without them, at the same time, RUNS (25) times
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) run ./internal/prove unmetered -o "$$dir/unmetered" && $(GO) build -o "$$dir/gonomaly" ./cmd/gonomaly \
	  && "$$dir/gonomaly" bench path --only records --runs $(or $(RUNS),25) --at-once --beside "$$dir/unmetered"

pgo: ## record anew what the compiler is to optimise for, cmd/gonomaly/default.pgo: the path, backtest, and each detector
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) build -o "$$dir/gonomaly" ./cmd/gonomaly \
	  && for row in records windows paced; do "$$dir/gonomaly" bench path --only $$row --events 6000000 --cpuprofile "$$dir/$$row.prof" || exit 1; done \
	  && "$$dir/gonomaly" bench backtest --rows 3000000 --cpuprofile "$$dir/backtest.prof" \
	  && $(TEST) -run '^$$' -bench Point -benchtime 200ms -cpuprofile "$$dir/detectors.prof" -o "$$dir/detectors.test" ./detectors \
	  && $(GO) tool pprof -proto "$$dir"/*.prof > cmd/gonomaly/default.pgo

quality: ## measure the detectors on the labelled data in DATA, beside the published ones, and print the tables or write OUTPUT
	@$(GO) run ./cmd/gonomaly bench quality $(if $(DATA),--data $(DATA)) $(if $(ONLY),--only $(ONLY)) $(if $(OUTPUT),--output $(OUTPUT))

dashboards: ## write the dashboards of config/monitoring/grafana_dashboards
	$(GO) run ./internal/boards

pictures: $(FETCHED) ## draw the dashboards and gonomaly top anew into docs/dashboards, from ten minutes of load and faults on Kafka and Redis
	$(TEST) -tags pictures -run 'TestPictures$$' -v -count=1 -timeout 30m ./internal/boards

monitoring: ## check and test what config/monitoring holds: rules, routes, dashboards; with promtool and amtool
	cd config/monitoring && promtool check config prometheus.yml && promtool test rules alert_rules_test.yml alert_rules_week_test.yml && amtool check-config alertmanager.yml
	cd config/monitoring && for route in "page severity=critical team=platform" "ticket severity=warning team=platform" "data severity=warning team=data" \
	  "security severity=warning team=security"; do \
	  set -- $$route; amtool config routes test --config.file=alertmanager.yml --verify.receivers="$$@" 2> /dev/null || exit 1; \
	done
	cd config/monitoring && $(JSONNET) -e 'local m = import "mixin.libsonnet"; [m.grafanaDashboards, m.prometheusRules, m.prometheusAlerts]' > /dev/null
	cd internal/boards/linter && for board in ../../../config/monitoring/grafana_dashboards/*.json; do \
	  says=$$($(GO) tool dashboard-linter lint --strict "$$board" 2>&1) || { echo "$$says"; exit 1; }; \
	done

build: ## build bin/gonomaly
	$(GO) build -trimpath -ldflags "-s -w" -o bin/gonomaly ./cmd/gonomaly

cover: ## measure the coverage of the tests, which is to be 80 % or more
	$(TEST) -short -coverpkg=./... -coverprofile=coverage.out ./... > /dev/null
	@$(GO) tool cover -func=coverage.out | awk '/^total:/ { print "coverage", $$3; if ($$3 + 0 < 80) { print "want 80 % or more"; exit 1 } }'

up: ## start Kafka, Redis, Gonomaly and a generator with Docker Compose
	docker compose up --build --detach --wait

down: ## stop them, and delete their data
	docker compose down --volumes

kafka: $(JARS)/.complete ## fetch the jars of Apache Kafka, for integration and bench

$(JARS)/.complete: deploy/local/pom.xml
	@command -v java mvn > /dev/null || { echo "Java 17 and Maven are needed for a broker without containers; or set KAFKA_BROKERS" >&2; exit 1; }
	mvn -q -B -f deploy/local/pom.xml dependency:copy-dependencies -DoutputDirectory=$(JARS)
	@touch $@

$(LINT):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
