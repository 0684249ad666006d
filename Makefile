# The targets, for `make` and `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOSEC       := github.com/securego/gosec/v2/cmd/gosec@v2.22.10
TEMPL       := github.com/a-h/templ/cmd/templ@v0.3.1100
CYCLONEDX   := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0
COMMIT      := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
VERSION     := $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' internal/buildinfo/*.go)
DATA        ?= ../shared/data
FUZZINPUTS  ?= 200000

# With this experiment of Go, prediction has engines that use AVX2 and AVX-512
# where the processor has them. Without it, and on other processors, the
# portable one gives the same prices.
SIMD := GOEXPERIMENT=simd
# Functions begin at multiples of 16 bytes, not 32, which is 0.3 MB less.
LINK := -s -w -funcalign=16
# Pages are compiled as they are written, as the compiler would put many parts of
# theirs into each of the places that show them, which is 0.1 MB more.
COMPILE := -gcflags=housing/internal/web=-l -gcflags=housing/internal/report=-l

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: ## serve the built-in model on 127.0.0.1:8000
	$(SIMD) go run ./cmd/housing serve

.PHONY: build
build: ## build the static binary dist/housing
	$(SIMD) CGO_ENABLED=0 go build -trimpath $(COMPILE) -ldflags '$(LINK) -X housing/internal/buildinfo.commit=$(COMMIT)' -o dist/housing ./cmd/housing

.PHONY: generate
generate: ## write anew what is made from the code: the Go of the pages (*.templ), docs/rooms.svg
	go run $(TEMPL) generate
	go test -count 1 -run TestThePictureOfTheRooms . -update

.PHONY: test
test: ## run every test, and those of prediction with vectors too
	go test -timeout 20m ./...
	$(SIMD) go test ./internal/gbdt ./internal/network

.PHONY: race
race: ## run the tests with the race detector (needs a C compiler), without the long ones
	go test -race -short ./...

.PHONY: faults
faults: ## value houses for minutes while the database and Redis hang, die and come back
	FAULTS=long go test -v -timeout 15m -count 1 -run TestNoRequestFails ./internal/cli

.PHONY: floods
floods: ## attack a service for minutes: slow connections, resets, headers, JSON, bombs; its memory has a bound
	FLOODS=long go test -v -timeout 15m -count 1 -run DoNotHarmOthers ./internal/cli

.PHONY: swaps
swaps: ## swap models 200 times in 100 seconds under 300 requests a second
	SWAPS=long go test -v -timeout 10m -count 1 -run TestSwapsFailNoRequest ./internal/cli

.PHONY: quiet
quiet: ## ask three replicas for ten minutes in every way that is no fault: no alert may fire (needs Prometheus)
	QUIET=long go test -v -timeout 20m -count 1 -run TestNoAlertFiresInQuiet ./internal/cli

.PHONY: series
series: ## ask a replica 100,000 times for what nobody offers: its series stay below 1,500
	SERIES=long go test -v -timeout 20m -count 1 -run TestFewSeries ./internal/cli

.PHONY: memory
memory: build ## ask the program 200,000 times: it holds at most 40 MiB, and no more at the end than in the middle
	MEMORY=long PROGRAM=$(CURDIR)/dist/housing go test -v -timeout 10m -count 1 -run TestMemoryIsSmall ./internal/cli

.PHONY: throughput
throughput: ## compare by turns a service that shows all of itself with one that shows nothing (needs wrk)
	go test -run '^$$' -bench 'Throughput|Cost|Scrape' -benchtime 9x -timeout 20m ./internal/httpapi

# On a machine that does other work, as root: chrt --rr 10 make capacity
.PHONY: capacity
capacity: ## measure what requests take, and hold `housing plan` to two loads within 20 % (three minutes, two processors)
	CAPACITY=long $(SIMD) go test -v -timeout 15m -count 1 -run 'TestThePlanIsRight|TestWhatRedisAndPostgreSQLHold' ./internal/cli

.PHONY: fleet
fleet: ## let the guard of three replicas roll out three bad models and a good one (needs nginx and Prometheus)
	FLEET=long go test -v -timeout 15m -count 1 -run TestTheGuardOfAFleet ./internal/cli

.PHONY: e2e-kubernetes
e2e-kubernetes: ## bring deploy/kubernetes up on the cluster of KUBECONFIG, load it and break it (docs/kubernetes.md#tests)
	E2E=kubernetes go test -v -timeout 120m -count 1 -run TestKubernetes ./test/deploy

.PHONY: journal
journal: ## back up, verify and restore a journal of 20 million rows; memory has a bound (needs 20 GB of disk, takes half an hour)
	BACKUP=long go test -v -timeout 90m -count 1 -run TestALongJournal ./internal/cli

.PHONY: kills
kills: ## kill backup create and restore with kill -9 at twenty random moments each
	BACKUP=long go test -v -timeout 15m -count 1 -run TestKilledAtAnyMoment ./internal/cli

.PHONY: recovery
recovery: ## run the procedures of docs/recovery.md, and lose everything under 300 requests a second
	RECOVERY=long go test -v -timeout 30m -count 1 -run 'TestEverythingIsLost|TestRecoveryFrom' ./internal/cli

.PHONY: regions
regions: ## lose one of two regions under load, promote the other, and go back (docs/recovery.md)
	RECOVERY=long go test -v -timeout 15m -count 1 -run TestRecoveryOfARegion ./internal/cli

.PHONY: coverage
coverage: ## measure intervals on sales that neither their models nor their calibration saw (minutes; needs the sales)
	COVERAGE=long go test -v -timeout 120m -count 1 -run TestCoverageOfUnseenSales ./internal/model

# As many targets at once as there are processors, each with one worker. A number of inputs
# ends each, not a time: before Go 1.27 a target may fail with "context deadline exceeded"
# at the end of its time, with nothing found (go.dev/issue/75804). Inputs are made shorter by
# a hundred tries at most, as the 60 seconds that Go spends on each are too many.
.PHONY: fuzz
fuzz: ## fuzz each reader of outside bytes with FUZZINPUTS inputs
	@go list ./... | while read -r package; do \
	  go test -list '^Fuzz' $$package | grep '^Fuzz' | sed "s|^|$$package |" || true; \
	done | xargs -P $$(nproc) -L 1 sh -c 'echo "== $$0 $$1"; exec go test -run "^$$" -parallel 1 -fuzz "^$$1$$" -fuzztime $(FUZZINPUTS)x -fuzzminimizetime 100x $$0'

.PHONY: schemathesis
schemathesis: ## let schemathesis (from PyPI, on PATH as st) fuzz a service that wants tokens; EXAMPLES=2500 for six to ten minutes
	test/schemathesis/run.sh

.PHONY: python-client
python-client: ## generate a client for Python from the service's document, and ask with it, as docs/clients.md says (needs PyPI)
	CLIENTS=long go test -v -timeout 10m -count 1 -run TestThePythonOfTheClients .

.PHONY: bench
bench: ## measure prediction, training and HTTP beside XGBoost, LightGBM, ONNX Runtime, FastAPI, MLServer, BentoML and others (from PyPI)
	bench/run

.PHONY: overload
overload: ## ask a service for twice what it takes, and a steady 1,000 times a second
	bench/run overload

.PHONY: benchmarks
benchmarks: ## run the benchmarks of Go
	$(SIMD) go test -run '^$$' -bench . -benchmem ./...

# Rules of gosec that say nothing here:
#   G103 unsafe     bundles are mapped into memory; package bundle checks lengths and alignment first
#   G115 narrowing  sizes are bounded where they are read: columns, bins, nodes, dates
#   G203 no escape  only style sheets and charts of our own
#   G204 processes  the PostgreSQL that tests start
#   G301 folders    reports and models are for others to read
#   G304 paths      of files that the operator names; none comes from a request
#   G404 random     seeded so that training can be repeated; IDs and waits are no secrets
#   G602 index      finds fault with fixed arrays under loops with fixed bounds
GOSEC_OFF := G103,G115,G203,G204,G301,G304,G404,G602

.PHONY: lint
lint: ## gofmt, go vet, go mod tidy, staticcheck, gosec, govulncheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt would change these files'; exit 1; }
	go vet ./...
	go mod tidy -diff
	@before=$$(sha256sum $$(git ls-files '*_templ.go')); $(MAKE) --no-print-directory generate; \
	  test "$$before" = "$$(sha256sum $$(git ls-files '*_templ.go'))" || { echo 'the Go code of the pages was not theirs: commit what make generate wrote'; exit 1; }
	go run $(STATICCHECK) ./...
	go run $(GOSEC) -quiet -exclude=$(GOSEC_OFF) ./...
	@if curl -sfo /dev/null --max-time 10 https://vuln.go.dev/index/db.json; then $(MAKE) vuln; \
	else echo 'govulncheck was NOT run: its database, vuln.go.dev, cannot be reached from here'; fi

# How a release is built: the same commit and Go give the same bytes, in any
# folder. Of git only the commit is named, so that -buildvcs is off.
RELEASE = $(SIMD) CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=false $(COMPILE) -ldflags '$(LINK) -buildid= -X housing/internal/buildinfo.commit=$(COMMIT)'

.PHONY: release
release: sbom ## build dist/housing-OS-ARCH with checksums, SBOM and provenance
	rm -f dist/housing-*-*
	for target in linux/amd64 linux/arm64 darwin/arm64; do \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(RELEASE) -o dist/housing-$${target%/*}-$${target#*/} ./cmd/housing; \
	done
	cd dist && sha256sum housing-*-* sbom.cdx.json > SHA256SUMS && cat SHA256SUMS
	.ci/provenance $$(git rev-parse HEAD)$$(git diff --quiet HEAD || echo -dirty) 'make release' > dist/provenance.json

ARCH ?= amd64
PROGRAM ?= dist/housing-linux-$(ARCH)
.PHONY: program
program: ## build dist/housing-linux-ARCH as a release and the image have it; ARCH=arm64 for another
	GOOS=linux GOARCH=$(ARCH) $(RELEASE) -o $(PROGRAM) ./cmd/housing

.PHONY: images
images: ## build the image housing-api:VERSION for this machine (needs Docker)
	docker build --build-arg COMMIT=$(COMMIT) --build-arg VERSION=$(VERSION) -t housing-api:$(VERSION) .

# Takes 10 minutes and a machine with nothing else to do. NGINX_IMAGE and the
# like name other images than deploy/compose/.env does.
.PHONY: e2e-compose
e2e-compose: images ## build the image, bring deploy/compose up and break it part by part under load (needs Docker)
	E2E=compose go test -v -timeout 60m -count 1 -run 'Image|Compose|Secrets' ./test/deploy

# PLUGINS=DIR is a folder with the provider, where the registry is out of reach.
.PHONY: terraform
terraform: ## check deploy/terraform: format, types, and both regions with a provider that makes all up (needs Terraform 1.11)
	rm -rf build/terraform && mkdir -p build && cp -r deploy/terraform build/terraform
	terraform fmt -check -diff -recursive deploy/terraform
	cd build/terraform && terraform init -backend=false $(if $(PLUGINS),-plugin-dir=$(PLUGINS)) && terraform validate && terraform test

.PHONY: reproducible
reproducible: ## build the same source in two folders, from nothing, and compare the bytes
	rm -rf build/reproducible && mkdir -p build/reproducible/one build/reproducible/two/deeper
	for copy in one two/deeper; do \
	  git ls-files --cached --others --exclude-standard -z | tar --null -T - -cf - | tar -C build/reproducible/$$copy -xf - && \
	  (cd build/reproducible/$$copy && GOCACHE=$(CURDIR)/build/reproducible/cache-$${copy%/*} $(RELEASE) -o housing.bin ./cmd/housing); \
	done
	cmp build/reproducible/one/housing.bin build/reproducible/two/deeper/housing.bin && echo 'both builds are the same bytes'
	rm -rf build/reproducible

.PHONY: sbom
sbom: build ## list what the binary is made of as CycloneDX, with licences: dist/sbom.cdx.json
	go run $(CYCLONEDX) bin -json -licenses -noserial -version $(COMMIT) -output dist/sbom.cdx.json dist/housing

.PHONY: vuln
vuln: ## look for known vulnerabilities (asks vuln.go.dev, so it needs the network)
	go run $(VULNCHECK) ./...

# The date in the bundle is that of this setting, so that the same data give
# the same bytes.
.PHONY: model
model: ## train the built-in model again from the data in DATA (needs zstd)
	rm -rf build/model
	SOURCE_DATE_EPOCH=1795392000 go run ./cmd/housing train --version kc-1 --out build/model \
	  --sales $(DATA)/king_county_sales.csv --demographics $(DATA)/zipcode_demographics.csv
	zstd --ultra -22 -q -f build/model/bundle -o internal/bundle/builtin/bundle.zst
