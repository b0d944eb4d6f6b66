# Every target makes and uses .venv, and can be repeated.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test verify lint format clean

demo: .venv/.core
	$(BIN)/stir-hf demo

test: .venv/.dev
	$(BIN)/python -m pytest -m "not verify"

# Everything, the long checks and the benchmarks included; their figures are kept as JSON in benchmarks/results.
verify: .venv/.dev lint
	$(BIN)/python -m pytest
	$(BIN)/python benchmarks/passes.py
	$(BIN)/python benchmarks/original.py
	$(BIN)/python benchmarks/similarity.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt -e .
	touch $@

.venv/.dev: .venv/.core
	$(PIP) install -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build dist stir-hf-demo
