# `make demo` and `make test` do everything on a fresh machine with Python 3.11
# or newer, a C compiler and make. Everything lands in this folder.

PYTHON ?= python3
JOBS   ?= 4

FULL := .venv
BASE := .venv-base

ENGINE  := $(wildcard src/nearfield/runtime/_native/*.[ch] src/nearfield/core/*.[ch])
SOURCES := $(ENGINE) $(shell find src/nearfield -name '*.py') $(wildcard src/nearfield/bundled/*/*)
CODE    := src tests tools benchmarks examples setup.py
PYTEST  := -m pytest -q -n auto --maxprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

# The tests start hundreds of programs: what Python compiled for one serves the next.
unexport PYTHONDONTWRITEBYTECODE
# Each process has about one core: more threads of libraries would wait for each other.
base-tests full-tests check: export OMP_NUM_THREADS = 1
base-tests full-tests check: export OPENBLAS_NUM_THREADS = 1

# What a complete run must not leave out; .ci/run sets it.
COMPLETE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test base-tested base-tests full-tests check lint types layers fmt soak bench docs clean
.DELETE_ON_ERROR:

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BASE)/installed ## Install, index real text on the bundled model, ask two questions
	@$(BASE)/bin/python tools/demo.py

test: base-tested ## Install, then run every test (under 20 minutes)
	@$(MAKE) --no-print-directory full-tests

# pip needs minutes and one core for the full environment: the base tests run meanwhile.
base-tested: $(BASE)/tests-installed
	@$(MAKE) --no-print-directory -j2 --output-sync=line base-tests $(FULL)/absent

base-tests: $(BASE)/tests-installed
	$(BASE)/bin/python $(PYTEST) --without all -m "not slow" -o cache_dir=.pytest_cache/base \
		tests/contract tests/e2e tests/unit

full-tests: $(FULL)/absent
	$(FULL)/bin/python $(PYTEST) $(COMPLETE) --without "$$(cat $(FULL)/absent)"

check: lint types layers ## Lint, types, layers, unit and contract tests (under 5 minutes)
	$(FULL)/bin/python $(PYTEST) --without "$$(cat $(FULL)/absent)" -m "not slow" \
		tests/arch tests/contract tests/typing tests/unit

lint: $(FULL)/absent
	$(FULL)/bin/ruff check $(CODE)
	$(FULL)/bin/ruff format --check $(CODE)

types: $(FULL)/absent
	$(FULL)/bin/mypy

layers: $(FULL)/absent
	$(FULL)/bin/lint-imports --no-cache --no-logo

fmt: $(FULL)/absent ## Format the code and fix what can be fixed
	$(FULL)/bin/ruff format $(CODE)
	$(FULL)/bin/ruff check --fix $(CODE)

soak: $(FULL)/absent ## The long counts of docs/acceptance.md (an hour or more)
	$(FULL)/bin/python -m pytest --soak --without "$$(cat $(FULL)/absent)"

bench: $(FULL)/absent ## Measure start-up on this machine; benchmarks/README.md has the rest
	$(FULL)/bin/python -m benchmarks.startup

docs: $(FULL)/absent ## Write docs/reference from the docstrings
	$(FULL)/bin/python tools/reference_docs.py

clean: ## Remove what was built, the environments too
	rm -rf $(FULL) $(BASE) .demo build dist src/*.egg-info src/nearfield/runtime/_native/*.so src/nearfield/core/*.so
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The full environment: exact versions, every extra, the library in place.
$(FULL)/absent: pyproject.toml setup.py constraints.txt tools/install_plan.py $(ENGINE) | $(FULL)/bin/pip
	@echo "Installing the full test environment into $(FULL) ..."
	@$(FULL)/bin/python tools/install_plan.py --absent $@

# The base environment: newest allowed versions, no extras, the built wheel.
$(BASE)/installed: pyproject.toml setup.py $(SOURCES) | $(BASE)/bin/pip
	@echo "Installing nearfield into $(BASE) ..."
	@rm -rf build # setuptools would pack what is left there of deleted modules
	@$(BASE)/bin/pip install -qq .
	@touch $@

$(BASE)/tests-installed: $(BASE)/installed
	@$(BASE)/bin/pip install -qq ".[test]"
	@touch $@

# pip before 23.3 downloads whole wheels only to plan.
$(FULL)/bin/pip $(BASE)/bin/pip: %/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nearfield needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $*
	@$*/bin/python -m pip install -qq --upgrade "pip>=23.3"
	@touch $@
