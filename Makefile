# Two commands do everything on a machine with Python 3.10+ and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUNTIME := cookiecutter-spout/{{cookiecutter.name}}

.PHONY: demo test lint types unit bench soak lock clean
.DEFAULT_GOAL := test

# What users get: enough for the demo.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "spoutgen needs Python 3.10 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

# What developers need on top.
$(VENV)/.developing: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/spout-marker/story.sh

test: lint types unit

lint: $(VENV)/.developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --cache-dir $(VENV)/.import-linter

types: $(VENV)/.developing
	$(BIN)/mypy spoutgen
	cd "$(RUNTIME)" && $(abspath $(BIN))/mypy --config-file "$(abspath pyproject.toml)" --cache-dir "$(abspath .mypy_cache/runtime)" \
		main.py source.py transform.py spout

# Files of tests side by side, one a core: many of them wait for a server or a worker most of the time.
unit: $(VENV)/.developing
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The fault tests with every step and many more rounds: an hour or so.
soak: $(VENV)/.developing
	SPOUTGEN_SOAK=1 $(BIN)/python -m pytest tests/fault tests/unit/project tests/servers tests/sources

bench: $(VENV)/.developing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python benchmarks

# Pin anew what constraints.txt pins: every extra, for every supported Python, in one environment.
lock: $(VENV)/.developing
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --all-extras --upgrade --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --output-file constraints.txt pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
