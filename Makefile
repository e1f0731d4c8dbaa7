# Two commands do all the set-up: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench bench-observing format clean help

help:
	@echo "make demo   a shop database of 1.3 million rows, and a pull request of five migrations rehearsed on it"
	@echo "make test   every test, against a real PostgreSQL"
	@echo "make lint   ruff and mypy"
	@echo "make bench  what the journal costs, measured here (about five minutes; ARGS=--quick: about 20 s)"
	@echo "make bench-observing  what watching a migration costs beside psql (about ten minutes; ARGS=--quick: about 30 s)"

$(VENV)/demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@ $(VENV)/demo

demo: $(VENV)/demo
	@$(BIN)/python examples/shop/demo.py

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests examples docs bench

bench: $(VENV)/dev
	@$(BIN)/python -m bench.journal $(ARGS)

bench-observing: $(VENV)/dev
	@$(BIN)/python -m bench.observing $(ARGS)

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist demo
