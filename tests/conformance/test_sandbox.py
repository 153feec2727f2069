"""Every attack fails in each backend, and succeeds where nothing holds it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentgym.conformance.report import Status
from agentgym.conformance.sandbox import ATTACKS, check_sandbox
from agentgym.conformance.sandbox.host import Host
from agentgym.core.errors import UnknownNameError, UsageError
from agentgym.core.sandbox import SandboxSpec
from tests.conformance.bare import Bare, bare

UNSAFE = {"resources.fork_bomb"}
"""Thousands of processes, where nothing stops them; `resources.processes` shows the same with fewer."""


def test_the_process_sandbox_holds() -> None:
    report = check_sandbox("process")
    assert report.passed, report
    assert len(report.results) == len(ATTACKS) >= 60


@pytest.mark.usefixtures("docker_daemon")
def test_the_docker_sandbox_holds() -> None:
    report = check_sandbox("docker")
    assert report.passed, report
    assert len(report.results) == len(ATTACKS)


@pytest.mark.usefixtures("docker_daemon")  # whose socket is one of the aims
def test_every_attack_succeeds_where_nothing_holds_it() -> None:
    impossible: set[str] = set() if Path("/proc/modules").exists() else {"kernel.module"}
    report = check_sandbox(bare, only=[id for id in ATTACKS if id not in UNSAFE | impossible])
    foiled = {result.id: result.message for result in report.results if result.status is Status.PASS}
    assert foiled == {}
    assert len(report.results) >= len(ATTACKS) - 2


def test_a_host_that_has_changed_is_seen() -> None:
    async def main() -> list[str]:
        with Host() as host:
            assert host.changes() == []
            box = Bare(SandboxSpec())
            await box.run(["sh", "-c", f"echo >{host.folder}/new; kill -9 {host.victim.pid}"])
            host.victim.wait()
            await box.close()
            seen = host.changes()
            assert host.changes() == []
            return seen

    assert asyncio.run(main()) == ["the bait's folder", "a process outside"]


def test_unknown_names_are_told() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'files\.read'"):
        check_sandbox("process", only=["files.raed"])
    with pytest.raises(UnknownNameError, match="Did you mean 'docker'"):
        check_sandbox("doker")
    with pytest.raises(UsageError, match="names no attack"):
        check_sandbox("process", only=[])
