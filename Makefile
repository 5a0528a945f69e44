# Every target makes .venv first if it has to; build, deploy and package need SAM CLI only. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
export SAM_CLI_TELEMETRY := 0
PYTHON := .venv/bin/python
PROFILE ?= dev
STACK ?= batchdrop
ARCHITECTURE ?= arm64
CODE := layers functions cli local tests bench

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## .venv with everything pinned, and MiniStack's own environment; quick when they are up to date
	@requirements/setup.sh

.PHONY: demo
demo: setup ## run rows through the whole system: make demo [EXAMPLE=name | FILE="file or folder" [APPROVE=2.50]], else the reviews of examples/
	@$(PYTHON) -m local demo $(if $(value EXAMPLE),--example '$(EXAMPLE)') $(if $(value APPROVE),--approve '$(APPROVE)') $(if $(value FILE),-- '$(subst ','\'',$(value FILE))')

.PHONY: up
up: setup ## start the laptop system and leave it running; prints the environment to export
	@$(PYTHON) -m local up $(foreach pair,$(PARAMETERS),--parameter $(pair))

.PHONY: invoke
invoke: setup ## run one function in Lambda's image, on an event that happens, and show what it changes: make invoke FUNCTION=plan [FILE="path"]
	@$(PYTHON) -m local invoke $(if $(value FILE),'$(FUNCTION)' -- '$(subst ','\'',$(value FILE))','$(FUNCTION)')

.PHONY: down
down: setup ## end the laptop system
	@$(PYTHON) -m local down

.PHONY: test
test: setup ## all tests that need no cloud, and the branches of the core layer that they reach
	@$(PYTHON) -m pytest --cov --numprocesses logical --dist worksteal

.PHONY: faults
faults: setup ## break small jobs in every way, and search at random for more, for hours if so told: make faults HOURS=8
	@$(PYTHON) -m tests.faults $(if $(HOURS),--hours $(HOURS))
	@$(PYTHON) -m tests.faults.aws
	@$(PYTHON) -m tests.faults.kills
	@$(PYTHON) -m tests.faults.hostile
	@$(PYTHON) -m tests.faults.many

.PHONY: mutants
mutants: setup ## break each promise in a copy of the code, one at a time; a test must notice: make mutants
	@$(PYTHON) -m tests.mutants

.PHONY: upgrade
upgrade: setup ## update a stack of 0.1.0 with open jobs, on this machine, roll it back and update it again: make upgrade [FROM=commit]
	@$(PYTHON) -m tests.upgrade $(FROM)

.PHONY: audit
audit: setup ## was any part of a job paid for twice, lost or miscounted? make audit JOB=id STACK=batchdrop-dev
	@$(PYTHON) -m batchdrop_cli audit $(JOB) --stack $(STACK)

.PHONY: docs
docs: setup ## write the outputs that the documents show; a test compares them
	@$(PYTHON) -m tests.docs.outputs >/dev/null # what the functions log

.PHONY: recipe-schema
recipe-schema: setup ## write docs/recipe.schema.json, by which editors know the fields of a recipe; a test compares it
	@$(PYTHON) -m tests.docs.recipe_schema

.PHONY: scale
scale: setup ## the tests of hundreds of megabytes through the whole system, and days with 100 million rows in virtual time, into docs/scale.md
	@$(PYTHON) -m pytest -m scale
	@$(PYTHON) -m tests.scale

.PHONY: check
check: lint test ## what CI runs: format, lint, types, template checks, tests

.PHONY: lint
lint: setup ## format, lint, imports, types and template checks
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	.venv/bin/lint-imports --no-cache
	@$(MAKE) types
	.venv/bin/cfn-lint template.yaml
	.venv/bin/sam validate --lint --region us-east-1

.PHONY: types
types: setup ## type checks only
	$(PYTHON) -m mypy --strict layers/core/batchdrop cli/batchdrop_cli cli/batchdrop_client layers/precompile.py layers/dependencies/prune.py local tests bench
	@for app in functions/*/app.py; do echo "mypy --strict $$app"; $(PYTHON) -m mypy --strict $$app || exit 1; done

.PHONY: format
format: setup ## format the code
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

.PHONY: conformance
conformance: setup ## the Claude emulator against the API's description and the SDK's own tests
	@$(PYTHON) -m tests.conformance

.PHONY: interop
interop: setup ## pandas, polars, DuckDB, jq and, if it is installed, LibreOffice read our answers; the AWS CLI runs what the documents say
	@$(PYTHON) -m tests.interop

.PHONY: browser
browser: setup ## report.html in headless Chromium, if it is installed: accessible, and nothing in it loads or runs
	@$(PYTHON) -m tests.browser

.PHONY: bench
bench: setup ## measure speed, memory and cost beside the SDK, into bench/results.md: make bench [QUICK=1]
	@QUICK=$(QUICK) $(PYTHON) -m bench

.PHONY: build
build: ## sam build for PROFILE (dev)
	requirements/sam build --config-env $(PROFILE)

.PHONY: deploy
deploy: build ## sam deploy to the account of your AWS credentials: make deploy PROFILE=dev
	requirements/sam deploy --config-env $(PROFILE)

.PHONY: package
package: ## put code and template of a release into a bucket, for create-stack, Terraform or CDK: make package BUCKET=name [ARCHITECTURE=x86_64]
	@[ -n "$(BUCKET)" ] || { echo "name the bucket: make package BUCKET=name" >&2; exit 1; }
	requirements/sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	requirements/sam package --s3-bucket $(BUCKET) --s3-prefix batchdrop --output-template-file .aws-sam/packaged.yaml
	@echo "The template is .aws-sam/packaged.yaml; docs/deployment.md says how to deploy it."

.PHONY: requirements
requirements: setup ## compile the pinned requirements again, with the newest versions
	requirements/compile.sh

.PHONY: vulnerabilities
vulnerabilities: setup ## known vulnerabilities of the packages that are deployed; asks a service on the network
	@requirements/uv venv --quiet --clear --python $(PYTHON) .local/vulnerabilities
	@requirements/uv pip sync --quiet --require-hashes --python .local/vulnerabilities/bin/python requirements/vulnerabilities.txt
	.local/vulnerabilities/bin/pip-audit --strict --disable-pip --require-hashes --requirement layers/dependencies/requirements.txt

.PHONY: release
release: setup ## check everything, then tag the version that pyproject.toml and CHANGELOG.md name; pushes nothing
	@.ci/release

.PHONY: clean
clean: ## end the laptop system and remove everything that was made, .venv included
	@[ ! -x $(PYTHON) ] || $(PYTHON) -m local down
	rm -rf .venv .local .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
