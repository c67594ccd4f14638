# mrfp: what people and CI type. Every target makes what it needs on first use.

# The first interpreter that runs and is new enough; a pyenv shim may exist and do neither.
PYTHON ?= $(firstword $(foreach p,python3 python3.11 python3.12 python3.13,\
            $(shell $(p) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo call-demo test test-all bench rekeying lint clients clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo      conferences on loopback, with recorded speech; prints who heard whom, and who no more'
	@echo 'make call-demo two baresip telephones and a linphone in one room; prints who heard whom'
	@echo 'make test      lint, then every test, real clients included'
	@echo 'make test-all  the same, then the core on each further Python at hand'
	@echo 'make bench     capacity of this machine: curves and a table'
	@echo 'make rekeying  what a change of keys costs on this machine: ten minutes'
	@echo 'make lint      ruff and mypy'
	@echo 'make clean     remove what these made'

demo: $(VENV)/.ready
	$(BIN)/python -m bench.demo

call-demo: $(VENV)/.ready
	$(BIN)/python -m bench.calldemo

bench: $(VENV)/.ready-dev
	$(BIN)/python -m bench.sweep

rekeying: $(VENV)/.ready-dev
	$(BIN)/python -m bench.rekey
	$(BIN)/python -m bench.rekey.live --publish

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint clients
	.ci/tests $(PYTEST)
	.ci/further-pythons

test-all: test

# Installs ffmpeg, GStreamer and tshark where it may; otherwise says what will be left out.
clients:
	.ci/clients

$(VENV)/bin/python:
	@test -n '$(PYTHON)' || { echo 'mrfp needs CPython 3.11 or later with venv; set PYTHON=/path/to/python3' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Two stamps, so that the demo does not wait for linters. Both are redone when pyproject.toml changes.
$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[dev,plots]'
	@touch $(VENV)/.ready $@

clean:
	rm -rf .venv .venv-3.* build dist demo-out out .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
