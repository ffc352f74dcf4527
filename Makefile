# Everything is installed into one virtual environment and nothing outside of it.
#
# Variables, set on the command line (make sweep VENV=/tmp/venv):
#   VENV         the environment                                       .venv
#   PYTHON       the Python 3.11+ that makes it                        python3
#   TORCH        what pip is asked for first, see below                torch
#   SPACE        the search space of `make sweep`                      search_spaces/masa.yaml
#   ARGS         more arguments for `sweeper run`, the benches, the drills and the cluster
#   TEST_PROCESSES  processes that share the tests                      2
#   PYTEST_ARGS  more arguments for pytest (make test, make conformance)
#   METHOD       the method of make contracts, FILE.py:CLASS
#   NOTEBOOKS    empty: the pages keep what their notebooks showed last  --execute
#
# TORCH: which build of torch comes (CPU or CUDA) is decided by where your pip looks for packages.
# Left alone, pip takes the build of the pinned version that it ranks first; a CPU build that is
# within its reach, by pip's own configuration, ranks before the plain one.
# Where only a CUDA build is within reach it is taken: it runs without a GPU, too, but is large. To
# choose, name a requirement or a wheel file before the first install:
#   make install TORCH=wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
VENV ?= .venv
PYTHON ?= python3
TORCH ?= torch
SPACE ?= search_spaces/masa.yaml
ARGS ?=
PYTEST_ARGS ?=
NOTEBOOKS ?= --execute
# Files are dealt out to them whole, and all tests that start Ray to one of them.
TEST_PROCESSES ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One stamp a checkout: an environment that another clone installed into last is not ours.
STAMP := $(VENV)/.installed-$(firstword $(shell printf '%s' '$(CURDIR)' | cksum))

.DEFAULT_GOAL := help
.PHONY: help install services sweep test test-whole contracts check lint types imports docs conformance drill test-cluster fuzz calibration bench-sweep bench-kernels bench-step gpu-check bench-data bench-store bench-search bench-limits bench-forecast bench-trials full-size curves rate-priors bench-rates kernels-report clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

install: $(STAMP) ## make the environment and install the project with its development tools

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old or missing; Python 3.11 or newer is needed: make install PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch comes first, by itself, so that the choice of its build is not the resolver's.
# DS_BUILD_OPS=0: no DeepSpeed op is compiled at install; on a GPU they are built when first used.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@rm -f $(VENV)/.installed-*
	$(PIP) install --no-compile -c constraints.txt $(TORCH)
	DS_BUILD_OPS=0 $(PIP) install --no-compile -c constraints.txt -e '.[dev]'
	@# pip would compile on one core. Templates in packages are no valid Python: that is no fault.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

# Programs that tests start by themselves, each for the time of a test. Where one is missing the
# tests that need it skip, and name this target.
SERVICES = openssh-server postgresql util-linux

services: ## install the servers that tests start: Debian's packages, as root or by sudo
	@command -v apt-get >/dev/null || \
	  { echo "no apt-get here: install these by your system's own means: $(SERVICES)" >&2; exit 1; }
	@test "$$(id -u)" = 0 || command -v sudo >/dev/null || \
	  { echo "run it as root, or install sudo" >&2; exit 1; }
	@run() { if test "$$(id -u)" = 0; then "$$@"; else sudo "$$@"; fi; }; \
	  run apt-get update && run env DEBIAN_FRONTEND=noninteractive \
	    apt-get install --yes --no-install-recommends $(SERVICES)

sweep: install ## sweep MASA on the embedded model and data (under 5 minutes on 2 cores)
	$(BIN)/python -m sweeper run $(SPACE) $(ARGS)

PYTEST = $(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations=15

test: install ## run the tests, one example of each kind
	$(PYTEST) $(PYTEST_ARGS)

test-whole: install ## run all tests, with every example, damaged file and tutorial
	TESTS=whole $(PYTEST) $(PYTEST_ARGS)

contracts: install ## what every method promises, on one of your own: METHOD=my_method.py:MySpec
	METHOD='$(METHOD)' $(BIN)/python -m pytest -q -n 0 tests/adapters/contracts $(PYTEST_ARGS)

check: lint types imports docs ## run every check that a commit must pass

lint: install ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict on the packages
	$(BIN)/mypy

imports: install ## import-linter: who may import whom
	$(BIN)/lint-imports

docs: install ## make the reference, execute the notebooks and build the pages into site/ (strict)
	$(BIN)/python docs/generator $(NOTEBOOKS)
	$(BIN)/zensical build --strict --clean

conformance: install ## PEFT's own tests of tuners on ours (downloads PEFT's sources once)
	$(BIN)/python -m tests.conformance $(PYTEST_ARGS)

drill: install ## sweeps under faults at random moments, three rounds (ARGS="--only kill --rounds 1")
	$(BIN)/python -m tests.drills $(ARGS)

test-cluster: install ## launch a cluster over SSH inside this machine and sweep on it (root; ARGS=--write)
	$(BIN)/python -m tests.cluster $(ARGS)

fuzz: install ## damaged specs, records and adapters, all of them (make test tries a tenth)
	TESTS=whole $(PYTEST) tests/fuzz $(PYTEST_ARGS)

calibration: install ## what a report may conclude, and what racing ends, counted on 1,000 sweeps of each kind (make test: 100)
	TESTS=whole $(BIN)/python -m pytest -q -s -n 0 tests/sweeper/analysis/statistics/test_calibration.py tests/sweeper/analysis/statistics/test_calibration_designs.py tests/sweeper/evaluation/racing/test_calibration.py $(PYTEST_ARGS)

bench-sweep: install ## a whole sweep against a search written by hand; warm pool against fresh TorchTrainers
	$(BIN)/python -P -m benchmarks.whole_sweep $(ARGS)
	$(BIN)/python benchmarks/sweep.py $(if $(findstring --quick,$(ARGS)),--quick)

# -P: or the script's folder, where there is a kernels.py, would hide packages of that name.
bench-kernels: install ## sums over MoSA's groups against autograd and a copy
	$(BIN)/python -P benchmarks/kernels.py $(ARGS)

kernels-report: install ## compile every GPU kernel for A100 and H100, and read it (no GPU needed)
	$(BIN)/python -P benchmarks/kernels_report.py $(ARGS)

gpu-check: install ## on one GPU, under 6 minutes: kernels, Figure 2, Table 11, ZeRO-2 (ARGS=--small: any CPU)
	$(BIN)/python -m benchmarks.gpu_check $(ARGS)

bench-step: install ## a training step of every method against LoRA's; of the trainer against a plain loop and transformers'
	$(BIN)/python -P benchmarks/step.py $(ARGS)
	$(BIN)/python -m benchmarks.trainers $(if $(findstring --quick,$(ARGS)),--quick)

bench-store: install ## a trial's pushes to an S3 server of this machine
	$(BIN)/python -m benchmarks.store $(ARGS)

bench-data: install ## examples a second of tokenising, training and scoring, with and without padding
	$(BIN)/python -P benchmarks/data.py $(ARGS)

curves: install ## train the table of learning curves of bench-search (about an hour; given again, it goes on)
	$(BIN)/python -m benchmarks.curves $(ARGS)

bench-limits: install ## 200 simulated sweeps with faults against their limits of time, without Ray
	$(BIN)/python -m benchmarks.limits $(ARGS)

bench-forecast: install ## forecast against measured steps and memory, every method (ARGS="--model smollm2"; then --write)
	$(BIN)/python -m benchmarks.forecast $(ARGS)

bench-search: install ## ways of searching replayed on the table of learning curves, without Ray
	$(BIN)/python -m benchmarks.search $(ARGS)

rate-priors: install ## fit the prior of learning rates to the tables of learning curves
	$(BIN)/python -m benchmarks.rates --fit $(ARGS)

bench-rates: install ## the prior of learning rates against what it was not fitted to (ARGS="TABLE … --write")
	$(BIN)/python -m benchmarks.rates $(ARGS)

full-size: install ## what the papers' tables and figures would cost at their own size, forecast
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.full_size --write

bench-trials: install ## what a trial costs the sweeper itself, from the first to the ten thousandth
	$(BIN)/python -m benchmarks.trials $(ARGS)

clean: ## remove the environment, caches and builds; sweeps stay
	rm -rf $(VENV) build dist site .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
