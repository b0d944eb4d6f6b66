# Every target makes and uses .venv, and can be repeated. `dist` also makes .venv-dist, `test-lowest` .venv-lowest and
# `verify-timm` .venv-timm.
PYTHON ?= python3
BIN := .venv/bin
QUIET := --quiet --disable-pip-version-check
PIP := $(BIN)/python -m pip $(QUIET)
# Each process takes the next file of tests; tests/conftest.py puts those that take longest first.
SHARED := -n auto --dist loadfile --no-loadscope-reorder
BESIDE_TIMM := torch==2.14.1 torchvision==0.29.1
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' stir_hf/_version.py)

# Processes that the tests start read the compiled modules of this package instead of compiling them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo space test test-lowest verify verify-timm benchmarks lint format dist version clean

demo: .venv/.core
	$(BIN)/stir-hf demo

# The page of spaces_demo on this machine.
space: .venv/.space
	$(BIN)/stir-hf space

# The quick tests: about five minutes on two cores. `verify` runs all of them.
test: .venv/.dev
	$(BIN)/python -m pytest $(SHARED) -m "not verify"

# The tests with the oldest libraries that pyproject.toml allows; torch stays the build that constraints.txt pins.
test-lowest: .venv-lowest/.tests
	.venv-lowest/bin/python -m pytest $(SHARED) -m "not verify"

# All tests, the benchmarks (their figures are kept as JSON in benchmarks/results), the lowest versions and the release:
# hours. docs/families.md is rewritten, with figures on the photographs in the folder PHOTOS (a dataset with the split
# `test`), or on noise without it. Tests that need another build of torch are apart: `verify-timm`.
verify: .venv/.dev .venv/.release lint
	$(if $(PHOTOS),STIR_HF_PHOTOS="$(abspath $(PHOTOS))" )$(BIN)/python -m pytest $(SHARED)
	$(MAKE) benchmarks
	$(MAKE) test-lowest
	$(MAKE) dist

# The figures in benchmarks/results and the tables of docs/methods.md, alone on the machine: an hour for the embedded
# networks. NETWORKS are folders of further ones for the embedded images (examples/train_demo_models.py trains some),
# LARGE of networks for the photographs in the folder PHOTOS; the kept figures have four of those and two of these.
NETWORKS ?=
LARGE ?=
PHOTOS ?=
benchmarks: .venv/.dev
	$(BIN)/python benchmarks/passes.py --models $(NETWORKS) --large $(LARGE) $(if $(PHOTOS),--photos $(PHOTOS))
	$(BIN)/python benchmarks/settings.py --models $(NETWORKS)
	$(BIN)/python benchmarks/shifts.py --models $(NETWORKS)
	$(BIN)/python benchmarks/noise.py
	$(BIN)/python benchmarks/deviation.py $(if $(PHOTOS),--large $(LARGE) --photos $(PHOTOS))
	$(BIN)/python benchmarks/cost.py --threads 1 --models $(NETWORKS) --large $(LARGE) $(if $(PHOTOS),--photos $(PHOTOS))
	$(BIN)/python benchmarks/compiled.py --threads 1 --large $(firstword $(LARGE)) $(if $(PHOTOS),--photos $(PHOTOS))
	$(BIN)/python benchmarks/whole.py
	$(BIN)/python benchmarks/spread.py $(if $(PHOTOS),--large $(LARGE) --photos $(PHOTOS))
	$(if $(LARGE),$(BIN)/python benchmarks/real.py --photos $(PHOTOS) $(LARGE))
	$(if $(LARGE),$(BIN)/python benchmarks/photographs.py --photos $(PHOTOS) --out $$(mktemp -d) $(wordlist 1,2,$(LARGE)))
	$(BIN)/python benchmarks/original.py
	$(BIN)/python benchmarks/similarity.py
	$(BIN)/python benchmarks/threads.py
	$(BIN)/python benchmarks/processes.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/wide.py
	$(BIN)/python benchmarks/shards.py
	$(BIN)/python benchmarks/continuing.py
	$(if $(shell command -v chromium),$(BIN)/python benchmarks/page.py)
	$(BIN)/python benchmarks/tables.py

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# timm's networks, quantised checkpoints and torchvision's image processors, which need other builds of torch: 5 GB.
verify-timm: .venv-timm/.tests
	.venv-timm/bin/python -m pytest -m "not verify" tests/optional tests/families tests/models

# Build the release in dist/, check it, and run the wheel's commands in an environment that holds nothing else.
dist: .venv/.dev .venv/.release
	rm -rf dist .venv-dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	DIST=dist $(BIN)/python -m pytest tests/test_release.py
	$(PYTHON) -m venv .venv-dist
	.venv-dist/bin/python -m pip $(QUIET) install -c constraints.txt dist/*.whl
	unset PYTHONPATH; PATH="$(CURDIR)/.venv-dist/bin:$$PATH"; \
	cd "$$(mktemp -d)" && trap 'rm -rf "$$PWD"' EXIT && export HF_HOME="$$PWD/cache" && \
	test "$$(stir-hf --version)" = "stir-hf, version $(VERSION)" && \
	stir-hf install-metric && stir-hf demo --out demo && test -s demo/result.json

version:
	@echo $(VERSION)

.venv/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install -c constraints.txt -e .
	touch $@

.venv/.space: .venv/.core
	$(PIP) install -c constraints.txt -e ".[space]"
	touch $@

.venv/.dev: .venv/.core
	$(PIP) install -c constraints.txt -e ".[dev]"
	touch $@

.venv/.release: .venv/.core
	$(PIP) install -c constraints.txt -e ".[release]"
	touch $@

.venv-lowest/.tests: pyproject.toml constraints.txt tests/lowest.py
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python tests/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip $(QUIET) install -c .venv-lowest/constraints.txt -e ".[test]"
	touch $@

.venv-timm/.tests: pyproject.toml Makefile
	test -x .venv-timm/bin/python || $(PYTHON) -m venv .venv-timm
	.venv-timm/bin/python -m pip $(QUIET) install $(BESIDE_TIMM) timm bitsandbytes torchao -e ".[test]"
	touch $@

clean:
	rm -rf .venv .venv-dist .venv-lowest .venv-timm .mypy_cache .ruff_cache .pytest_cache build dist stir-hf-demo
