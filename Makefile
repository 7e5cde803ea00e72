# Everything installs itself into .venv. `make help` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
DEMO ?=
CALIBRATE ?=
AREA ?=
ONLY ?=
TESTS ?=
JOBS ?= logical
export OMP_WAIT_POLICY := passive
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export RAY_USAGE_STATS_ENABLED := 0
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-faults coverage calibrate check format lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## install Argus and what its tests need into .venv

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Argus needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) pip setuptools
	$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.checkers: $(VENV)/.installed
	$(PIP) -e '.[check]'
	@touch $@

demo: setup  ## run the whole pipeline once, on synthetic videos (DEMO='--steps 50')
	$(BIN)/argus demo $(DEMO)

test: setup  ## run the fast tests on all cores (TESTS=tests/sphere for some, JOBS=1 for one process)
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --dist loadfile $(TESTS)

test-slow: setup  ## run the slow tests: servers, kills, long runs (AREA=train for one folder of tests)
	$(BIN)/python -m pytest -m slow --timeout 1800 -v $(if $(AREA),tests/$(AREA),)

test-faults: setup  ## run the tests that kill processes and fill disks (ONLY='local and kill' for some)
	$(BIN)/python -m pytest -m faults --timeout 1800 -v $(if $(ONLY),-k "$(ONLY)",)

coverage: $(VENV)/.checkers  ## run the fast tests and print the lines that they do not reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TESTS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

calibrate: setup  ## measure how often curation decides correctly: confusion matrices
	$(BIN)/python benchmarks/calibrate.py $(CALIBRATE)

check: $(VENV)/.checkers  ## lint, formatting, spelling, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_floors.py tests/test_faces.py

format: $(VENV)/.checkers  ## fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The newest versions that pyproject.toml allows. A CPU build's local version (+cpu) is left out,
# so that any build of it fits.
lock:  ## renew constraints.txt within the bounds of pyproject.toml
	$(PYTHON) -m venv --clear .lock-venv
	.lock-venv/bin/python -m pip install -q --upgrade pip setuptools
	.lock-venv/bin/python -m pip install -q -e '.[dev]'
	.lock-venv/bin/python -m pip freeze --all --exclude-editable | sed -E 's/\+cpu$$//' > constraints.txt
	rm -rf .lock-venv

clean:  ## remove the environment and all caches
	rm -rf $(VENV) .lock-venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage .hypothesis
