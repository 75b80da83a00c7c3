# Everything a newcomer needs: each target sets up what it needs on a bare machine.
#   make demo    run the main job on the shipped example, then show what it measured
#   make test    run the tests
#   make check   formatting, lint, types, import contract, generated docs
#   make bench-training   training time beside TRL's (installs TRL; needs data that does not ship)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
EXAMPLE := examples/skerry

.PHONY: demo test check setup clean bench-training
.DEFAULT_GOAL := help

help:
	@sed -n '2,5s/^# *//p' Makefile

setup: $(READY)

# torch comes first and pinned: without the pin pip takes gigabytes of CUDA packages.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Molting needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/molting run $(EXAMPLE)

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m molting.core.schema --check docs/configuration.md

bench-training: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.training --json

clean:
	rm -rf $(VENV) $(EXAMPLE)/.molting
