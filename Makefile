PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: quickstart test test-alfworld lint types clean

quickstart: .venv/quickstart  ## Install agentgym and train a small policy on this machine
	.venv/bin/agentgym quickstart

test: .venv/test .venv-alfworld/ready  ## Install everything the tests need; lint, types, tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/python -m pytest -q

test-alfworld: .venv/test .venv-alfworld/ready  ## Compare 200 games with the original engine
	AGENTGYM_ALFWORLD_GAMES=200 .venv/bin/python -m pytest -q tests/differential

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("agentgym needs Python 3.11 or newer; set PYTHON=python3.12, say") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

# torch first, at the exact version: where a CPU build is at hand, that is the one.
.venv/quickstart: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) torch
	$(PIP) --editable '.[train,endpoint,serve]'
	touch $@

.venv/test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) torch
	$(PIP) --editable '.[test]'
	touch $@

# The original text engine has an environment of its own: its GPL parts never mix with the package.
.venv-alfworld/ready: | .venv/bin/python
	.venv/bin/python -m venv .venv-alfworld
	.venv-alfworld/bin/python -m pip install --quiet --disable-pip-version-check alfworld==0.4.2
	touch $@

clean:  ## Remove the virtual environments and caches
	rm -rf .venv .venv-alfworld .pytest_cache .ruff_cache .hypothesis
