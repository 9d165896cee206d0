PYTHON ?= python3
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadscope

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-all lint types generated site clean

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

demo: .venv/installed ## Train and evaluate on the built-in benchmark
	$(BIN)/svipctl train toybirds
	$(BIN)/svipctl eval toybirds

test: .venv/dev-installed ## The fast tests: at most five minutes on two cores
	$(PYTEST) -m "not slow or fast"

test-slow: .venv/dev-installed ## The tests that `make test` leaves out: commands in processes of their own, kills, browsers
	$(PYTEST) -m "slow and not fast"

test-all: test test-slow ## Every test

lint: .venv/dev-installed ## Style, spelling and staleness of generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python docs/generate.py --check

types: .venv/dev-installed ## mypy, strict
	$(BIN)/mypy

.venv/created:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

.venv/installed: .venv/created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/dev-installed: .venv/created pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

site: .venv/dev-installed ## The documentation site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

generated: .venv/dev-installed ## Completions and reference pages from the program
	$(BIN)/python docs/generate.py

clean: ## Remove what make and the tools made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
