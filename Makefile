# The targets, for `make` and `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0
COMMIT      := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
DATA        ?= ../shared/data
FUZZTIME    ?= 30s

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: ## serve the built-in model on 127.0.0.1:8000
	go run ./cmd/housing serve

.PHONY: build
build: ## build the static binary dist/housing
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X housing/internal/buildinfo.commit=$(COMMIT)' -o dist/housing ./cmd/housing

.PHONY: test
test: ## run every test
	go test ./...

.PHONY: race
race: ## run the tests with the race detector (needs a C compiler), without the long ones
	go test -race -short ./...

.PHONY: faults
faults: ## value houses for minutes while the database hangs, dies and comes back
	FAULTS=long go test -v -timeout 15m -count 1 -run TestNoRequestFails ./internal/cli

.PHONY: fuzz
fuzz: ## fuzz each reader of outside bytes for FUZZTIME
	@go list ./... | while read -r package; do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "== $$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package; \
	  done; done

.PHONY: bench
bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: lint
lint: ## gofmt, go vet, go mod tidy, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt would change these files'; exit 1; }
	go vet ./...
	go mod tidy -diff
	go run $(STATICCHECK) ./...

.PHONY: vuln
vuln: ## look for known vulnerabilities (asks vuln.go.dev)
	go run $(VULNCHECK) ./...

# The date in the bundle is that of this setting, so that the same data give
# the same bytes.
.PHONY: model
model: ## train the built-in model again from the data in DATA
	rm -rf build/model
	SOURCE_DATE_EPOCH=1795392000 go run ./cmd/housing train --version kc-1 --out build/model \
	  --sales $(DATA)/king_county_sales.csv --demographics $(DATA)/zipcode_demographics.csv
	cp build/model/bundle internal/bundle/builtin/bundle
