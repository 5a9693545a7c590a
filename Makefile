# `make demo` and `make test` do all the set-up on a fresh machine, and none the second time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow check clean

demo: $(READY)
	$(BIN)/sensorkd demo $(DEMO)

# Two processes of one thread each are faster than one of two, and files stay together for their fixtures.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST)

slow: $(READY)
	$(BIN)/python -m pytest -m slow $(PYTEST)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# constraints.txt pins every package; its torch is the one for which pip finds a CPU build where there is one.
$(READY): pyproject.toml setup.cfg constraints.txt examples/humidity_plugin/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation ./examples/humidity_plugin
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out
