# Each command sets up what it needs inside the checkout: no root, nothing outside but the package caches.
# PYTHON chooses the interpreter (3.11 or later), VENV where the environment lies:
#     make test PYTHON=python3.12 VENV=.venvs/3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=
STORY = -m pytest --verbose --log-cli-level=INFO $(PYTEST_ARGS)
CELERY := .venvs/celery
LINEAGE := .venvs/lineage
WHEEL_TOOLS := .venvs/wheel-tools
LOWEST := .venvs/stores-lowest
ENGINES := .venvs/table-engines
DOCS := .venvs/docs
SITE = $(DOCS)/bin/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --conf-dir docs
NIGHTS ?= 1000
SANDBOX := ./airflow_provider_clever/sandbox
BENCH_ARGS ?=
NOX = $(BIN)/nox --noxfile noxfile.py
CELLS ?=
# What passes is written down for docs/reference/compatibility.md.
SHOWN = -m tests.compatibility run "make $@"
EACH_CHANGE := airflow-3.3-python-3.13 lowest
STORIES := tests/sandbox $(addprefix tests/,airflow/test_told_in_time.py airflow/services/test_metrics.py airflow/services/test_after_landing.py \
  airflow/services/test_table_after_landing.py examples/test_code_of_pages.py lake/test_forget_crash.py lake/test_crash.py \
  table/test_crash.py)
SOME_CELLS := airflow-3.1 airflow-3.2 airflow-3.3 airflow-3.3-python-3.12
ROOMS := */alerts/*,*/attendance/*,*/forget/*,*/storage/*,*/pull/*,*/lake/*,*/table/*,*/transfer/*,*/ledger/*
# Set: `make test` also notes which branches it takes. What runs in processes of its own counts for nothing.
COVERAGE ?=
COVERED := --cov=airflow_provider_clever --cov-branch --cov-report=
CHROMIUM ?=
WHEEL ?=
# One set of versions for every supported Python; no index is named, so that any mirror will do.
PIN = $(BIN)/uv pip compile --universal --quiet $(UPGRADE) --no-emit-index-url --no-emit-find-links \
  --no-emit-package airflow-provider-clever --no-emit-package clever-sandbox \
  --custom-compile-command "make requirements"

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: lineage help setup demo playground test timing trust coverage coverage-report e2e e2e-sync e2e-celery soak-large table-engines check lint types rules docs docs-links screenshots hooks format bench requirements clean matrix matrix-each-change compatibility

help: ## what can be asked for
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 21

setup: $(READY) ## the environment alone (the others make it when it is missing)

$(READY): requirements/setup.txt requirements/dev.txt pyproject.toml $(SANDBOX)/pyproject.toml
	@if ! [ -x $(BIN)/python ]; then \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "Python 3.11 or later is needed, and '$(PYTHON)' is not. Name one: make PYTHON=python3.11"; exit 1; }; \
	  "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
	  echo "Making $(VENV) with $$("$(PYTHON)" --version)"; \
	  "$(PYTHON)" -m venv $(VENV); \
	fi
	@echo "Installing the pinned requirements into $(VENV) (a minute or two the first time)"
	@# Compiled here, for where PYTHONDONTWRITEBYTECODE is set every process would compile all of Airflow anew.
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/setup.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
	  -r requirements/setup.txt -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . --editable $(SANDBOX)
	@touch $@

demo: $(READY) ## real Airflow pulls a district's attendance from the sandbox and lands it
	@$(BIN)/python $(SHOWN) $(BIN)/python -m tests.demo

playground: $(READY) ## the demo's sandbox and Airflow with its UI, until Ctrl+C
	@$(BIN)/python -m tests.demo --stay

test: $(READY) ## all tests, three files at a time; PYTEST_ARGS="tests/unit -k merge" for some of them, one by one
ifeq ($(PYTEST_ARGS),)
	@$(BIN)/python $(SHOWN) $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(if $(COVERAGE),$(COVERED))
else
	@$(BIN)/python -m pytest $(PYTEST_ARGS)
endif

timing: $(READY) ## what is held to a time, one test after another; on a machine with nothing else to do, 3 minutes
	@CLEVER_TIMING=1 $(BIN)/python -m pytest -m timing $(PYTEST_ARGS)

trust: $(READY) ## generated nights of faults, deletions and kills: green means landed; NIGHTS=100 for fewer than 1,000
	@CLEVER_TRUST_NIGHTS=$(NIGHTS) $(BIN)/python -m pytest tests/trust/test_generated_nights.py $(PYTEST_ARGS)

coverage: ## all tests, and the branches that they take: all of api/, 94 % of the rooms
	@$(MAKE) --no-print-directory test COVERAGE=1
	@$(MAKE) --no-print-directory coverage-report

coverage-report: $(READY)
	@$(BIN)/coverage report --include='*/api/*' --show-missing --skip-covered --fail-under=100
	@$(BIN)/coverage report --include='$(ROOMS)' --show-missing --skip-covered --fail-under=94

e2e: $(READY) ## two districts backfilled over 20 school days beside their nights, on Postgres; CLEVER_E2E_DAYS=3 for fewer
	@CLEVER_E2E=1 $(BIN)/python $(SHOWN) $(BIN)/python $(STORY) tests/e2e/test_backfill.py

e2e-sync: $(READY) ## several minutes of all Airflow's services on Postgres: sensors, triggers, kills
	@CLEVER_E2E=1 $(BIN)/python $(SHOWN) $(BIN)/python -m pytest tests/e2e/test_syncs.py tests/e2e/test_mapped_waits.py tests/e2e/test_long_outage.py $(PYTEST_ARGS)

e2e-celery: $(CELERY)/.ready ## the same on two Celery workers with Redis, one of which is killed half-way
	@CLEVER_E2E=1 $(CELERY)/bin/python $(SHOWN) $(CELERY)/bin/python $(STORY) tests/e2e/test_celery.py

lineage: $(LINEAGE)/.ready ## what OpenLineage is told by real tasks, with its provider (1 minute)
	@$(LINEAGE)/bin/python $(SHOWN) $(LINEAGE)/bin/python -m pytest tests/airflow/test_lineage.py $(PYTEST_ARGS)

$(CELERY)/.ready $(LINEAGE)/.ready: .venvs/%/.ready: $(READY) requirements/%.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venvs/$*
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venvs/$*/bin/python \
	  -r requirements/dev.txt -r requirements/$*.txt
	@$(BIN)/uv pip install --quiet --python .venvs/$*/bin/python --no-deps --no-build-isolation --editable . --editable $(SANDBOX)
	@touch $@

browser: $(VENV)/.browser ## Airflow's UI in headless Chromium: form, coverage, playground and the tutorial in it (8 minutes)
	@[ -n "$(CHROMIUM)" ] || command -v chromium >/dev/null || { \
	  echo "Installing Chromium"; \
	  as_root=; [ "$$(id -u)" -eq 0 ] || as_root="sudo -n"; \
	  { $$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -qq -y chromium; } >/dev/null || \
	    { echo "Chromium is needed. On Debian and Ubuntu: apt install chromium; or make browser CHROMIUM=/path/to/it"; exit 1; }; \
	}
	@CLEVER_BROWSER=1 CHROMIUM="$(CHROMIUM)" $(BIN)/python $(SHOWN) $(BIN)/python $(STORY) tests/browser

screenshots: ## the same, which also renews the pictures in docs/images
	@CLEVER_DOCUMENTED_SCREENSHOTS=1 $(MAKE) --no-print-directory browser

wheel: $(WHEEL_TOOLS)/.ready ## build dist/, and use it from empty environments (WHEEL=short: some of them, 4 minutes)
	@CLEVER_WHEEL=$(or $(WHEEL),whole) WHEEL_TOOLS=$(WHEEL_TOOLS)/bin $(BIN)/python $(SHOWN) $(BIN)/python $(STORY) tests/wheel
ifneq ($(WHEEL),short)
	@$(MAKE) --no-print-directory stores-lowest
endif

stores-lowest: $(LOWEST)/.ready ## landing's tests on the oldest s3fs, gcsfs and adlfs that the extras allow
	@$(BIN)/python $(SHOWN) $(LOWEST)/bin/python -m pytest -k "s3 or gcs or azure" tests/lake/test_destination.py \
	  tests/lake/test_failures.py tests/lake/test_two_writers.py $(PYTEST_ARGS)

table-engines: $(ENGINES)/.ready ## the Iceberg table as DuckDB's own extension and chDB read it
	@CLEVER_TABLE_ENGINES=$(CURDIR)/$(ENGINES)/bin/python $(BIN)/python $(SHOWN) $(BIN)/python -m pytest \
	  tests/table/test_iceberg.py $(PYTEST_ARGS)

docs: $(DOCS)/.ready ## the documentation as a site, build/docs/index.html; a link that leads nowhere fails it (half a minute)
	@rm -rf build/docs
	@$(SITE) --builder html . build/docs
	@echo "build/docs/index.html"

docs-links: $(DOCS)/.ready ## asks each address outside that the documentation links to
	@$(SITE) --builder linkcheck . build/docs-links

$(WHEEL_TOOLS)/.ready $(LOWEST)/.ready $(ENGINES)/.ready $(DOCS)/.ready: .venvs/%/.ready: $(READY) requirements/%.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venvs/$*
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venvs/$*/bin/python -r requirements/$*.txt
	@touch $@

$(VENV)/.browser: $(READY) requirements/browser.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements/browser.txt
	@touch $@

matrix: $(READY) ## the tests and the demo on every Airflow and Python that we name (an hour or more); CELLS="lowest" for one
	@$(NOX) $(if $(CELLS),$(foreach cell,$(CELLS),-s "whole($(cell))"),-s whole compare)

# CI: two cells beside the main environment, but for the longest stories, which `make test` has told by then, and for the
# sandbox, which knows no Airflow; the rest as imports, metadata, examples and landed rows.
matrix-each-change: $(READY)
	@$(NOX) -s $(foreach cell,$(SOME_CELLS),"imports($(cell))") $(foreach cell,$(EACH_CHANGE),"whole($(cell))") compare -- $(addprefix --ignore=,$(STORIES))

compatibility: $(READY) ## docs/reference/compatibility.md from what make matrix, test, demo, e2e ... have written down
	@$(BIN)/python -m tests.compatibility page
	@git diff --stat -- docs/reference

soak-large: $(READY) ## 9.6 million rows at 40 requests a second, held to requests and time; on an idle machine, 5 minutes
	@CLEVER_E2E=1 $(BIN)/python $(STORY) tests/e2e/test_large_pull.py

check: lint types rules ## lint, format, types, the rules of the repository

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY)
	@$(BIN)/mypy

rules: $(READY)
	@$(BIN)/python -m pytest --quiet tests/unit/test_repository.py tests/unit/test_import_rule.py

hooks: $(READY) ## let git run `make check` before each commit (prek; git commit --no-verify passes it by)
	@$(BIN)/prek install --quiet
	@echo "git now runs lint, types and rules before each commit."

format: $(READY) ## what ruff can fix by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY) ## measurements against other tools (35 minutes); BENCH_ARGS=--quick, or =limits for the rate limit
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

requirements: $(READY) ## pin anew after a change in pyproject.toml; UPGRADE=--upgrade takes the newest of everything
	@$(PIN) pyproject.toml --extra parquet --extra s3 --extra iceberg --group dev -o requirements/dev.txt
	@$(PIN) --group docs -o requirements/docs.txt
	@for wanted in $(wildcard requirements/*.in); do $(PIN) $$wanted -o $${wanted%.in}.txt; done
	@$(NOX) -s pin
	@git diff --stat -- requirements

clean: ## remove everything that these commands made
	rm -rf docs/reference/api $(VENV) .venvs .facts .demo .airflow .emulators .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist .coverage*
