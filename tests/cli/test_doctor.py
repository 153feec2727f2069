"""`agentgym doctor`: what it says of a machine that has things, and of one that lacks them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from agentgym.cli.diagnosis import Finding, Probe, State, diagnose, extra_probe
from tests.cli.driver import Cli


def program(folder: Path, name: str, script: str) -> None:
    """Put a program into `folder` that answers as `script` says."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Finding]:
    """What is found where nothing but a broken bubblewrap and a docker client without a daemon are installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    program(folder, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", str(folder))
    return {finding.feature: finding for finding in diagnose()}


def test_what_the_tests_use_is_found(cli: Cli) -> None:
    done = cli("doctor", "--json")
    found = {each["feature"]: each for each in json.loads(done.out)}
    assert (done.code, done.err) == (0, "")
    here = (
        "python",
        "train",
        "endpoint",
        "serve",
        "sandbox",
        "browser",
        "mcp",
        "export",
        "compiler",
        "chromium",
        "display",
    )
    assert {name: found[name]["state"] for name in here} == dict.fromkeys(here, "ok")
    assert re.search(r"torch \d", found["train"]["detail"])
    assert all(bool(each["mend"]) == (each["state"] == "missing") for each in found.values())


def test_the_table_fits_the_terminal(cli: Cli) -> None:
    done = cli("doctor")
    assert max(map(len, done.out.splitlines())) <= 80
    assert "worlds in a browser" in done.out


def test_each_lack_comes_with_what_mends_it(lacking: dict[str, Finding]) -> None:
    assert lacking["chromium"].mend == "apt install chromium"
    assert lacking["compiler"].mend == "apt install g++"
    assert lacking["display"].mend == "apt install xvfb"
    assert "No permissions" in lacking["bubblewrap"].detail
    assert "userns" in lacking["bubblewrap"].mend
    assert "Cannot connect" in lacking["docker"].detail
    assert "dockerd" in lacking["docker"].mend
    assert lacking["train"].state is State.OK  # packages are not looked for in PATH


def test_an_extra_that_this_installation_does_not_know_is_not_called_installed() -> None:
    probe = Probe("later", "what comes", extra_probe("later"))
    assert probe.run().state is State.MISSING
    assert "was installed before it had the extra 'later'" in probe.run().detail


def test_an_extra_that_is_not_installed_is_named_with_its_packages(lacking: dict[str, Finding]) -> None:
    assert lacking["vllm"].state is State.MISSING
    assert lacking["vllm"].detail == "not installed: vllm"
    assert lacking["vllm"].mend == "pip install 'agentgym-harness[vllm]'"
