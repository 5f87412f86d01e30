# Every target works from a fresh clone with Python >= 3.11 and make; what it needs goes into .venv.
PYTHON ?= python3
PIP := .venv/bin/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install --constraint constraints.txt --editable
PINS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo setup test lint bench accuracy docs clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-9s %s\n", $$1, $$2}'

TWIN = paper
SEEDS = 1 2 3

demo: .venv/core.stamp  ## simulate a small experiment, correlate it, compare with its truth; writes demo-output
	.venv/bin/voltome demo --out demo-output --overwrite

setup: .venv/test.stamp  ## install what the tests need into .venv

test: .venv/test.stamp  ## run the tests
	@# Two processes share the cores: threads of PyTorch and BLAS would wait for each other.
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv/bin/python -m pytest -q --numprocesses 2 --dist loadfile

lint: .venv/lint.stamp  ## ruff, mypy, the floors, the size check
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/python tools/check_sizes.py

bench: .venv/core.stamp  ## speed, accuracy and memory of the correlation, beside SPAM and pyALDVC
	.venv/bin/python benchmarks/bench_dvc.py --full

accuracy: .venv/test.stamp  ## error of correlation, whole studies and segmentation against known truth (hours: TWIN, SEEDS)
	.venv/bin/python benchmarks/accuracy.py
	.venv/bin/python benchmarks/electrode.py --size $(TWIN) --seeds $(SEEDS)
	.venv/bin/python benchmarks/segmentation.py twin gain sandstone rnl --work build/segmentation

docs: .venv/docs.stamp  ## pages and API reference into site/
	.venv/bin/python tools/build_docs.py site

clean:  ## remove what the other targets made, .venv included
	rm -rf .venv site demo-output build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: voltome needs Python >= 3.11 ($(PYTHON) is older or missing): run make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot make an environment (no ensurepip): install python3-venv, or run make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/core.stamp: $(PINS) | .venv/bin/python
	@echo "installing voltome into .venv"
	@$(INSTALL) .
	@touch $@

# Each extra: setup installs test, lint installs lint, docs installs docs.
.venv/%.stamp: $(PINS) | .venv/bin/python
	@echo "installing voltome[$*] into .venv"
	@$(INSTALL) '.[$*]'
	@touch $@
