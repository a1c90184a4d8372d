# Everything a person types. `make demo` and `make test` need only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=
SOAK ?=

.PHONY: bench-dashboard bench-localaws bench-training bench-simulator little-traffic bench-leaderboard bench-mirroring help install demo up down test soak bench-serving bench-lambda check check-style check-money check-rest format lock clean

help:
	@echo "make demo [DATA=folder]  the whole path on this machine, no account needed"
	@echo "make up                  MLflow UI, dashboard and AWS on this machine until Ctrl-C"
	@echo "make down                stop everything that runs here"
	@echo "make test                all tests"
	@echo "make soak                the long versions: kills, races, load and memory over time"
	@echo "make check               formatter, linter, types, architecture and unit tests"

install:
	@$(PYTHON) tools/install.py

demo: install
	@$(BIN)/pedigree demo $(if $(DATA),--data "$(DATA)")

up: install
	@$(BIN)/pedigree up

down: install
	@$(BIN)/pedigree down

# Two workers, a file to each at a time, the longest first. A plain `pytest` runs one after another.
test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Hours, not minutes; SOAK narrows it: make soak SOAK=tests/training
soak: install
	$(BIN)/python -m pytest -m soak $(SOAK)

# What mirroring a run into MLflow takes from it while it trains; a minute.
bench-mirroring: install
	$(BIN)/python -m benchmarks.mirroring

# How long the leaderboard's reading takes, MLflow's own beside it; about ten minutes.
bench-leaderboard: install
	$(BIN)/python benchmarks/leaderboard.py --server

# Trainings side by side, the processor's peak, processes of one thread; about ten minutes.
bench-training: install
	$(BIN)/python -m benchmarks.training "$(or $(DATA),../shared/data/dogs)"

# ENVS: a folder for the other servers' environments, made when they are missing (about 10 GB)
ENVS ?= .pedigree/envs
bench-serving: install
	$(BIN)/python -m benchmarks.serving --envs $(ENVS)

bench-lambda: install
	$(BIN)/python benchmarks/front.py

# The Runs page with 10,000 runs in a browser, MLflow's UI beside it; about a minute.
bench-dashboard: install
	$(BIN)/python -m benchmarks.dashboard

# AWS on this machine beside plain moto; about three minutes.
bench-localaws: install
	$(BIN)/python benchmarks/localaws.py

# A month of requests, the chunks against one by one, and against SimPy where SIMPY names a Python that has it.
SIMPY ?=
bench-simulator: install
	$(BIN)/python -m benchmarks.simulator $(if $(SIMPY),--simpy "$(SIMPY)")

# Writes docs/little-traffic.md; a test holds the page against what this gives.
little-traffic: install
	$(BIN)/python -m benchmarks.little_traffic

# The parts run side by side on two cores.
check: install
	@$(MAKE) --no-print-directory -j2 --output-sync=target check-style check-money check-rest

FAST := $(BIN)/python -m pytest -q -m "not slow and not browser and not soak"
MONEY := tests/architecture tests/experiments tests/cli

check-style:
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check .
	$(BIN)/mypy

check-money:
	$(FAST) $(MONEY)

check-rest:
	$(FAST) $(filter-out $(MONEY) tests/journey,$(wildcard tests/*))

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv and a network: resolves requirements.in for Linux, macOS and Windows.
lock:
	(echo "# Resolved from requirements.in by \`make lock\`; every wheel is pinned by its hash, for Linux, macOS and Windows."; \
	 uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements.in) > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: down
	rm -rf .pedigree .pytest_cache .mypy_cache .ruff_cache .hypothesis test-artifacts
