"""`ToolRunner`: calls of tools, each in a sandbox of its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from agentgym.core.errors import ConfigError
from agentgym.core.memory import MemoryItem
from agentgym.core.sandbox import MEBIBYTE, KilledBy, Result, Sandbox, SandboxSpec
from agentgym.core.spaces import ToolCallSpace
from agentgym.core.tool import ToolCall
from agentgym.memory.tools.document import TESTS_FOLDER, spec_of

OpenBox: TypeAlias = Callable[[SandboxSpec], AbstractAsyncContextManager[Sandbox]]
"""Opens a box; `agentgym.sandbox` is one."""

TOOL_BOX = SandboxSpec(
    memory_bytes=256 * MEBIBYTE,
    pids=16,
    disk_bytes=16 * MEBIBYTE,
    output_bytes=MEBIBYTE // 4,
    wall_s=20,
    cpu_s=10,
)
"""What a tool may use."""

_DRIVER, _TESTER, _TESTED = (
    Path(__file__).with_name(name) for name in ("driver.py", "tester.py", "tested.py")
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: a value, or a problem in words."""

    value: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return not self.problem


class ToolCaller(Protocol):
    """Calls tools, such as `ToolRunner`."""

    async def call(self, item: MemoryItem, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool; see `ToolRunner.call`."""
        ...


class ToolRunner:
    """Runs tools and their tests: JSON in, JSON out, no network, an empty environment, nothing kept between calls."""

    def __init__(self, open_box: OpenBox, spec: SandboxSpec = TOOL_BOX) -> None:
        """Run tools in boxes of this spec. Raises `ConfigError` for boxes with a network or environment variables."""
        if spec.network != "none" or spec.environment:
            raise ConfigError(
                "Tools that agents write run without network and environment variables; got "
                f"network={spec.network!r} and the variables {sorted(spec.environment)}."
            )
        self.spec = spec
        self._open = open_box

    def within(self, cpu_s: int) -> ToolRunner:
        """Return a runner of the same boxes that lets each program compute for so many seconds."""
        return ToolRunner(self._open, replace(self.spec, cpu_s=cpu_s))

    async def try_out(self) -> None:
        """Open a box and remove it. Raises `UsageError` where this machine has none, and what to do about it."""
        async with self._open(self.spec):
            pass

    async def call(self, item: MemoryItem, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool. What is wrong with the call or goes wrong in it is told in the answer.

        Raises `UsageError` for an item that is no tool, `SandboxFault` where the sandbox itself fails.
        """
        call = ToolCall(item.name, arguments)
        problem = ToolCallSpace((spec_of(item),)).problem(call)
        if problem is not None:
            return Answer(problem=problem)
        try:
            given = json.dumps(dict(arguments), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            return Answer(problem=f"The arguments of {item.name} are no JSON data ({error}).")
        result = await self._run(item, ["python3", "driver.py"], given)
        if not result.ok:
            return Answer(problem=f"The tool {item.name} {what_happened(result, self.spec)}")
        try:
            value = result.json()
        except (ValueError, RecursionError) as error:
            return Answer(problem=f"The tool {item.name} gave no JSON as its answer ({error}).")
        return Answer(value)

    async def test(self, item: MemoryItem, tests: Mapping[str, bytes] | None = None) -> dict[str, str]:
        """Run tests of a tool, its own unless given others, and return what went wrong with each; empty: nothing.

        They run in a process that the tool's code is not in: it can fail them, and never pass them by itself.

        Tests are programs by path; each is run in a box of its own. It passes where it comes to its end without an
        error, and with it the functions in it whose names begin with `test`.
        """
        own = {path: data for path, data in item.files.items() if path.startswith(TESTS_FOLDER)}
        chosen = own if tests is None else tests
        return {path: await self.test_together(item, {path: data}) for path, data in sorted(chosen.items())}

    async def test_together(self, item: MemoryItem, tests: Mapping[str, bytes]) -> str:
        """Run tests one after another in one box, up to the first that fails; return what went wrong."""
        spec_of(item)
        paths, mark = sorted(tests), secrets.token_hex(16)
        argv = ["python3", "-I", "tester.py", *paths]
        more = {**tests, "tester.py": _TESTER.read_bytes(), "tested.py": _TESTED.read_bytes()}
        result = await self._run(item, argv, mark.encode(), more)
        if result.ok and result.text == mark:
            return ""
        ended = "ended the process before it was tested." if result.ok else what_happened(result, self.spec)
        return f"{', '.join(paths)} {ended}"

    async def _run(
        self, item: MemoryItem, argv: list[str], stdin: bytes, more: Mapping[str, bytes] | None = None
    ) -> Result:
        files = {**item.files, **(more or {}), "driver.py": _DRIVER.read_bytes()}
        async with self._open(self.spec) as box:
            return await box.run(argv, stdin=stdin, files=files)


def what_happened(result: Result, spec: SandboxSpec) -> str:
    """Return how a program ended that did not end well, as the rest of a sentence."""
    match result.killed_by:
        case KilledBy.WALL_TIME:
            return f"was not done after {spec.wall_s:g} s and was ended."
        case KilledBy.CPU_TIME:
            return f"computed for more than {spec.cpu_s} s and was ended."
        case KilledBy.MEMORY:
            return f"needed more than {spec.memory_bytes // MEBIBYTE} MiB of memory and was ended."
        case KilledBy.OUTPUT:
            return f"wrote more than {spec.output_bytes} bytes and was ended."
        case None:
            lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
            return f"failed: {lines[-1][:500] if lines else f'exit code {result.exit_code}'}"
