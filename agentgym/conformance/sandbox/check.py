"""`check_sandbox`: does a sandbox hold what is inside?

    report = check_sandbox("process")
    assert report.passed, report

Each attack is tried for real in a box, against baits on this machine, and must fail; afterwards the baits are looked at:
a host that has changed is a failure too, whatever the attack says. The programs of the attacks succeed where nothing
holds them, which the project's own tests show for each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import TypeAlias

from agentgym.conformance.report import CheckResult, Report, Status
from agentgym.conformance.sandbox import allowlist, files, kernel, network, processes, resources, transfer
from agentgym.conformance.sandbox.attack import Attack, Verdict
from agentgym.conformance.sandbox.host import Host
from agentgym.core.errors import AgentGymError, InfrastructureError, UnknownNameError, UsageError
from agentgym.core.sandbox import MEBIBYTE, Sandbox, SandboxSpec
from agentgym.sandboxes.backends import sandbox

ATTACKS: dict[str, Attack] = {
    **files.ATTACKS,
    **kernel.ATTACKS,
    **processes.ATTACKS,
    **network.ATTACKS,
    **transfer.ATTACKS,
    **resources.ATTACKS,
    **allowlist.ATTACKS,
}
"""Every attack by id, in the order in which they are tried."""
SPEC = SandboxSpec(
    memory_bytes=128 * MEBIBYTE,
    pids=32,
    disk_bytes=8 * MEBIBYTE,
    output_bytes=MEBIBYTE >> 4,
    wall_s=20,
    cpu_s=10,
)
"""The box that is attacked; the attacks of `allowlist` have one more, with an allow-list."""
Opener: TypeAlias = Callable[[SandboxSpec], AbstractAsyncContextManager[Sandbox]]


def check_sandbox(
    backend: str | Opener,
    *,
    only: Sequence[str] | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
) -> Report:
    """Attack a backend's box, given by name or as what opens one, and return what was found.

    `only` are ids of attacks, or beginnings of ids such as `network`; `on_result` is called with each result as it
    comes. Raises `UnknownNameError` for an unknown backend or attack, `UsageError` where `only` names none, and what
    opening a box raises.
    """
    opener: Opener = backend if callable(backend) else lambda spec: sandbox(spec, backend)
    name = "own" if callable(backend) else backend
    chosen = _chosen(only)
    results = asyncio.run(_tried(opener, chosen, on_result or (lambda _: None)))
    return Report(f"The {name} sandbox", tuple(results))


def _chosen(only: Sequence[str] | None) -> list[str]:
    if only is not None and not only:
        raise UsageError("`only` names no attack; name some, or leave it out for all of them.")
    for wanted in only or ():
        if not any(_is_meant(wanted, id) for id in ATTACKS):
            raise UnknownNameError("attack", wanted, ATTACKS)
    return [id for id in ATTACKS if only is None or any(_is_meant(wanted, id) for wanted in only)]


def _is_meant(wanted: str, id: str) -> bool:
    return id == wanted or id.startswith(f"{wanted}.")


async def _tried(
    opener: Opener, chosen: Sequence[str], on_result: Callable[[CheckResult], None]
) -> list[CheckResult]:
    results: list[CheckResult] = []
    with Host() as host:
        host.known |= {"pids": SPEC.pids, "memory_bytes": SPEC.memory_bytes, "disk_bytes": SPEC.disk_bytes}
        of_list = [id for id in chosen if id in allowlist.ATTACKS]
        others = [id for id in chosen if id not in allowlist.ATTACKS]
        for spec, ids in ((SPEC, others), (allowlist.spec_with_list(SPEC, host), of_list)):
            if ids:
                async with opener(spec) as box:
                    for id in ids:
                        results.append(await _try(id, box, host))
                        on_result(results[-1])
    return results


async def _try(id: str, box: Sandbox, host: Host) -> CheckResult:
    attack = ATTACKS[id]
    aim = (attack.__doc__ or id).rstrip(".")
    started = perf_counter()
    try:
        verdict = await attack(box, host)
    except InfrastructureError as error:
        verdict = Verdict(True, f"the box broke: {error}")
    except AgentGymError as error:
        verdict = Verdict(False, str(error))
    changes = host.changes()
    evidence = verdict.evidence.replace(host.token, "(the secret)").strip()
    if changes:
        verdict = Verdict(True, f"{evidence}; changed: {', '.join(changes)}")
        evidence = verdict.evidence
    status = Status.FAIL if verdict.succeeded else Status.PASS
    message = f"{aim[0].lower()}{aim[1:]}: {'SUCCEEDED, ' if verdict.succeeded else ''}{evidence}"
    return CheckResult(id, status, " ".join(message.split()), perf_counter() - started)
