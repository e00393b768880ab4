# make demo   predict CDNOW's customers and compare with the simple formula
# make test   run all tests, on two cores
# make check  lint, format, types
# make bench  time the log and the fits against lifetimes and lifelines
# make evaluation  hold every model against four logs: some minutes, and data sets that are not part of the project
# make posterior  time posteriors against pymc-marketing (PEER_PYTHON=... names the Python of its environment)
# PYTHON=...  another Python for .venv (3.11 or newer)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench evaluation calibration posterior clean

demo: .venv/core
	$(BIN)/clvmodels demo --overwrite

test: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/core
	$(BIN)/python -m benchmarks.run

evaluation: .venv/core
	$(BIN)/python -m benchmarks.evaluation

calibration: .venv/core
	$(BIN)/python -m benchmarks.calibration

posterior: .venv/dev
	$(BIN)/python -m benchmarks.posterior

.venv/core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "clvmodels needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,check]'
	@touch $@

clean:
	rm -rf .venv
