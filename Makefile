# Two commands do everything on a machine with Python 3.11 or newer, pip and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: env demo report report-picture test test-all fault lint

env: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

# Trains and tests the nine rows of MSCA's table 2 at mini scale, in a results folder of its own, and shows the table.
demo: env
	$(BIN)/vtbench run msca/table2 --results demo
	$(BIN)/vtbench report msca/table2 --results demo

# The report of the committed results, in Markdown and as a page; a test says when it is out of date.
report: env
	$(BIN)/python -m vtbench.report.page results

# The picture of that page at the head of the README; needs chromium and chromium-driver.
report-picture: env
	$(BIN)/python tests/browser.py results/report.html docs/report.png

# Two processes with one thread each: torch's threads would otherwise fight over the cores.
test: env
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 -m 'not slow'

# Also what takes longer, or depends on what else the machine has to do.
test-all: env
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2

# Kills commands at random places and gives them again; four runs and eight writers at once on one folder.
KILLS ?= 5
fault: env
	OMP_NUM_THREADS=1 VTBENCH_KILLS=$(KILLS) $(BIN)/pytest -m fault tests/faults -s

lint: env
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
