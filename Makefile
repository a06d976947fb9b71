# The few commands of a contributor; CONTRIBUTING.md says when to use which.
PYTHON ?= python

.PHONY: setup check format test slow main-job clean

setup:
	$(PYTHON) -m pip install -e ".[dev]"

check:
	PYTHON=$(PYTHON) .ci/check

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test:
	$(PYTHON) -m pytest -n auto

slow:
	$(PYTHON) -m pytest -m slow

main-job:
	$(PYTHON) -m tfrecs train --model sasrec --data ml-100k --output runs/first

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
