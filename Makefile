# `make demo` and `make test` do all their set-up themselves, in .venv.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
READY = $(VENV)/.ready

.PHONY: demo test test-all check docs clean

demo: $(READY)
	$(RUN) train.py experiment=demo

test: $(READY) check
	$(RUN) -m pytest -n 2 -m "not slow"

test-all: $(READY) check
	$(RUN) -m pytest -n 2

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(READY)  # into site/
	$(VENV)/bin/mkdocs build --strict

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  (echo "pdeops needs Python 3.11 to 3.13; $(PYTHON) is `$(PYTHON) --version`. Use: make PYTHON=/path/to/python" && exit 1)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
