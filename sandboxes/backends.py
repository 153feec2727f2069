"""The one entry: `async with sandbox(spec) as box`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module

from agentgym.core.errors import UnknownNameError
from agentgym.core.sandbox import Sandbox, SandboxSpec
from agentgym.sandboxes.box import Box

BACKENDS = {"process": "ProcessSandbox", "docker": "DockerSandbox"}
"""The class of each backend, in the module of its name."""


@asynccontextmanager
async def sandbox(spec: SandboxSpec | None = None, backend: str = "process") -> AsyncGenerator[Sandbox]:
    """Open a box, and remove it in the end.

        async with sandbox(SandboxSpec(memory_bytes=1 << 28)) as box:
            result = await box.run(["python3", "tool.py"], stdin=b'{"x": 1}', files={"tool.py": source})
            print(result.json())

    `backend` is `process` or `docker`; what each cannot promise stands in its class. Raises `UnknownNameError` for
    another, `UsageError` for what must be installed or given otherwise, `SandboxFault` where the machine fails.
    """
    async with backend_class(backend)(spec or SandboxSpec()) as box:
        yield box


def backend_class(name: str) -> type[Box]:
    """Return the class of a backend. Raises `UnknownNameError`."""
    if name not in BACKENDS:
        raise UnknownNameError("sandbox backend", name, BACKENDS)
    return getattr(import_module(f"agentgym.sandboxes.{name}"), BACKENDS[name])
