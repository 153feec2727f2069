"""What an attack is: a program for the inside of a box, or calls of the box's own, and how it is judged."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from agentgym.conformance.sandbox.host import Host
from agentgym.core.sandbox import Result, Sandbox

_FRAME = """
import ctypes, errno, glob, json, os, signal, socket, subprocess, sys, time
given = json.load(sys.stdin)
libc = ctypes.CDLL(None, use_errno=True)
def must(value):
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return value
def refused(call, *words):
    ctypes.set_errno(0)
    if call(*words) >= 0:
        return None
    number = ctypes.get_errno()
    return os.strerror(number) if number in (errno.EPERM, errno.EACCES, errno.ENOSYS) else None
{body}
try:
    verdict = [True, str(attack())[:300]]
except BaseException as error:
    verdict = [False, f"{{type(error).__name__}}: {{error}}"[:300]]
sys.stdout.write("\\n" + json.dumps(verdict) + "\\n")
sys.stdout.flush()
os._exit(0)
"""
"""Around the body of an attack, which defines `attack`: it returns its evidence, or raises what foiled it."""


class Verdict(NamedTuple):
    """What an attack came to."""

    succeeded: bool
    """Whether the box was broken."""
    evidence: str
    """What the attack got, or what foiled it."""


Attack: TypeAlias = Callable[[Sandbox, Host], Awaitable[Verdict]]
"""Tries it; the docstring says what is tried."""


def program(aim: str, body: str) -> Attack:
    """Return the attack that runs a program in the box; `given` holds what it knows of the host."""

    async def attack(box: Sandbox, host: Host) -> Verdict:
        return verdict(await run(box, host, body))

    attack.__doc__ = aim
    return attack


async def run(box: Sandbox, host: Host, body: str, *, timeout_s: float | None = None) -> Result:
    """Run the body of an attack in the box."""
    words = ["python3", "-c", _FRAME.format(body=body)]
    return await box.run(words, stdin=json.dumps(host.known).encode(), timeout_s=timeout_s)


def verdict(result: Result) -> Verdict:
    """Read what an attack's program says of itself; one that was stopped was foiled.

    One that ends as if all were well and says nothing cannot be judged, which counts as a success of the attack.
    """
    lines = result.text.strip().splitlines()
    try:
        said: Any = json.loads(lines[-1]) if lines else None
        succeeded, evidence = bool(said[0]), str(said[1])
    except (ValueError, TypeError, IndexError, KeyError):
        if result.killed_by is not None:
            return Verdict(False, f"killed: {result.killed_by.value.replace('_', ' ')}")
        if result.exit_code == 0:
            return Verdict(True, "the program's verdict was lost on its way out of the box")
        told = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return Verdict(False, f"ended with exit code {result.exit_code} {' '.join(told)}".strip())
    return Verdict(succeeded, evidence)
