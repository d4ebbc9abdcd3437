# Everything a person or CI types. Set-up is part of every target and costs nothing the second time.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CLOUD ?= ec2
# An image beyond the plain ones, such as ubuntu-like (tests/sandbox/profiles.py).
IMAGE ?=
image = $(if $(IMAGE),--image $(IMAGE))
setup = tools/setup.sh && . tools/env.sh
guests = tools/packages.sh tests/sandbox/packages.txt

.PHONY: help demo check test test-long sandbox sandbox-down bench lint docs generated unit mutation lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: ## create a notebook in a sandbox and use it in a real browser (needs root)
	@began=$$(date +%s.%N); $(setup) && $(guests) tests/demo/packages.txt && python -m tests.demo --cloud $(CLOUD) $(image) --began $$began

check: ## after each edit: lint of what changed, unit tests, one story on EC2 (needs root)
	@$(setup) && $(guests) tests/demo/packages.txt tests/integration/packages.txt && python -m tests.all --quick

test: ## check everything: lint, unit, integration, story, every role's scenario (needs root)
	@$(setup) && $(guests) tests/demo/packages.txt tests/integration/packages.txt && python -m tests.all

test-long: ## the same, and what takes many guests or many minutes (needs root)
	@$(setup) && $(guests) tests/demo/packages.txt tests/integration/packages.txt && python -m tests.all --long

sandbox: ## start the sandbox; then: . build/sandbox/env (needs root)
	@$(setup) && $(guests) && python -m tests.sandbox up --cloud $(CLOUD) $(image)

sandbox-down: ## remove the sandbox and everything in it (needs root)
	@$(setup) && python -m tests.sandbox down

bench: ## compare with amazon.aws and openstack.cloud on the same services; writes build/bench/
	@$(setup) && python -m tests.bench

lint: ## run every static check
	@$(setup) && tools/lint.sh

generated: ## write the generated files
	@$(setup) && python -m tools.generated

docs: generated ## build the documentation
	@$(setup) && install -d -m 0755 build/docs && antsibull-docs collection --use-current --dest-dir build/docs haven.gpu

unit: ## run the tests that need neither root nor a sandbox
	@$(setup) && pytest -q -n 2 tests/unit

mutation: ## break one line of code at a time and expect a failing test (needs root)
	@$(setup) && $(guests) && python -m tests.all mutation

lock: ## update the pinned dependencies
	@$(setup) && tools/lock.sh
