# Two commands do all the set-up: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

BENCHES := bench-growth bench-by-hand bench-observing bench-journal bench-peers bench-clones

.PHONY: demo test test-container lint lint-actions bench $(BENCHES) format clean help

help:
	@echo "make demo   a shop database of 1.3 million rows, and a pull request of five migrations rehearsed on it"
	@echo "make test   every test, against a real PostgreSQL, but those of the image"
	@echo "make test-container  builds the image, and runs it as GitHub does; skipped where there is no container engine to be had"
	@echo "make lint   ruff and mypy, and what make lint-actions runs over action.yml, the workflows and the Dockerfile"
	@echo "make bench  all of these, one after the other, into bench/RESULTS.md (about an hour and a half; ARGS=--quick: ten minutes, kept nowhere)"
	@echo "make bench-journal  what the journal costs (about five minutes; ARGS=--quick: about 20 s)"
	@echo "make bench-by-hand  six migrations: psql alone, a script, rehearsed (about ten minutes and 7 GB; ARGS=--quick: two minutes)"
	@echo "make bench-growth  start-up, and growth with tables, statements, migrations, memory (about ten minutes; ARGS=--quick: two)"
	@echo "make bench-clones  how long until a clone can be used, by each local way (about 35 minutes and 60 GB; ARGS=--quick: two minutes)"
	@echo "make bench-observing  what watching a migration costs beside psql (about ten minutes; ARGS=--quick: about 30 s)"
	@echo "make bench-peers  what linters and schema diffs say of the labelled migrations, beside us (a quarter of an hour; fetches them once)"

$(VENV)/demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@ $(VENV)/demo

$(VENV)/lint-actions: pyproject.toml $(VENV)/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lint-actions
	@touch $@

demo: $(VENV)/demo
	@$(BIN)/python examples/shop/demo.py

test: $(VENV)/dev
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/container $(ARGS)

test-container: $(VENV)/dev
	.ci/test-container $(BIN)/python -m pytest -n 2 tests/container $(ARGS)

lint: $(VENV)/dev lint-actions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases --exclude "^examples/django/" tests examples docs bench

lint-actions: $(VENV)/lint-actions
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

bench:
	@for bench in $(BENCHES); do $(MAKE) --no-print-directory $$bench ARGS="$(ARGS)" || exit; done

bench-journal: $(VENV)/dev
	@$(BIN)/python -m bench.journal $(ARGS)

bench-by-hand: $(VENV)/dev
	@$(BIN)/python -m bench.by_hand $(ARGS)
	@PYTHONPATH=. $(BIN)/python docs/make_growth_plots.py

bench-growth: $(VENV)/dev
	@$(BIN)/python -m bench.growth $(ARGS)
	@PYTHONPATH=. $(BIN)/python docs/make_growth_plots.py

bench-clones: $(VENV)/dev
	@$(BIN)/python -m bench.clones $(ARGS)
	@PYTHONPATH=. $(BIN)/python docs/make_clone_plot.py

bench-observing: $(VENV)/dev
	@$(BIN)/python -m bench.observing $(ARGS)

bench-peers: $(VENV)/dev
	@$(BIN)/python -m bench.peers $(ARGS)
	@PYTHONPATH=. $(BIN)/python docs/make_peers_plot.py

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist demo
