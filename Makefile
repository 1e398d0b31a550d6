# Each target makes the virtual environment that it needs, then runs.
PYTHON ?= python3
BIN = .venv/bin
# A process for each core, each with one thread: faster than threads, which small tensors only wait for. Whoever is done
# takes over tests that another process has left.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

.PHONY: demo test test-slow lint types docs bench clean

demo: .venv/ready
	$(BIN)/likewise demo

test: .venv/ready-dev
	$(PYTEST)

test-slow: .venv/ready-dev
	$(PYTEST) -m slow

lint: .venv/ready-dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .

types: .venv/ready-dev
	$(BIN)/mypy

# Strict: a link to a page, heading, name or file that is not there fails.
docs: .venv/ready-docs
	$(BIN)/zensical build --strict --clean
	$(BIN)/python .ci/check_site.py site

bench: .venv/ready-bench
	$(BIN)/python -m benchmarks

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/pip install -q -c constraints.txt -e '.[all,dev]'
	touch $@

.venv/ready-docs: .venv/ready
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	touch $@

.venv/ready-bench: .venv/ready-dev
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .cache site
