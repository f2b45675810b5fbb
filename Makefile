# `make demo` and `make test` do everything on a fresh machine with Python 3.11
# or newer, a C compiler and make. Everything lands in this folder.

PYTHON ?= python3
JOBS   ?= 4

FULL := .venv
BASE := .venv-base

ENGINE  := $(wildcard src/nearfield/runtime/_native/*.[ch])
SOURCES := $(ENGINE) $(shell find src/nearfield -name '*.py') $(wildcard src/nearfield/bundled/*/*)
CODE    := src tests tools benchmarks examples setup.py
PYTEST  := -m pytest -q -n auto --maxprocesses $(JOBS) --dist loadfile

# Tests that run on the base install.
NO_EXTRAS := not (torch or onnx or openvino or export or openai or langchain or llama_index)

# What a complete run must not leave out; .ci/run sets it.
COMPLETE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types layers fmt soak bench docs clean
.DELETE_ON_ERROR:

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BASE)/installed ## Install, index real text on the bundled model, ask two questions
	@$(BASE)/bin/python tools/demo.py

test: $(FULL)/markers $(BASE)/tests-installed ## Install, then run every test (under 20 minutes)
	$(FULL)/bin/python $(PYTEST) $(COMPLETE) -m "$$(cat $(FULL)/markers)"
	$(BASE)/bin/python $(PYTEST) -m "$(NO_EXTRAS) and not slow" -o cache_dir=.pytest_cache/base \
		tests/contract tests/e2e tests/fault tests/unit

check: lint types layers ## Lint, types, layers, unit and contract tests (under 5 minutes)
	$(FULL)/bin/python $(PYTEST) -m "not slow" tests/arch tests/contract tests/typing tests/unit

lint: $(FULL)/markers
	$(FULL)/bin/ruff check $(CODE)
	$(FULL)/bin/ruff format --check $(CODE)

types: $(FULL)/markers
	$(FULL)/bin/mypy

layers: $(FULL)/markers
	$(FULL)/bin/lint-imports --no-cache --no-logo

fmt: $(FULL)/markers ## Format the code and fix what can be fixed
	$(FULL)/bin/ruff format $(CODE)
	$(FULL)/bin/ruff check --fix $(CODE)

soak: $(FULL)/markers ## The long counts of docs/acceptance.md (an hour or more)
	$(FULL)/bin/python -m pytest --soak

bench: $(FULL)/markers ## Measure speed on this machine
	$(FULL)/bin/python benchmarks/run.py

docs: $(FULL)/markers ## Write docs/reference from the docstrings
	$(FULL)/bin/python tools/reference_docs.py

clean: ## Remove what was built, the environments too
	rm -rf $(FULL) $(BASE) .demo build dist src/*.egg-info src/nearfield/runtime/_native/*.so
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The full environment: exact versions, every extra, the library in place.
$(FULL)/markers: pyproject.toml setup.py constraints.txt tools/install_plan.py $(ENGINE) | $(FULL)/bin/pip
	@echo "Installing the full test environment into $(FULL) ..."
	@$(FULL)/bin/python tools/install_plan.py --markers $@

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
