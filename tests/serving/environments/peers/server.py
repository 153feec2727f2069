"""Three small servers made with OpenEnv's own `create_app`, of text, of several fields and of tools.

Runs in OpenEnv's virtual environment, imports nothing of ours. Prints the ports that they listen on.
"""

# Not installed where types are checked.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import uvicorn
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State


class Said(Action):
    """One field of text."""

    message: str


class Heard(Observation):
    """Two fields."""

    echoed: str
    length: int


class Guess(Action):
    """Two fields."""

    low: int
    high: int


class Hint(Observation):
    """One field of text."""

    hint: str


class Echo(Environment):
    """Says what it hears; "stop" ends it, with a reward where it was heard third."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        self._state = State(step_count=0)
        self._word = ""

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Heard:
        """Begin with a word drawn from the seed."""
        self._state = State(episode_id=episode_id, step_count=0)
        self._word = random.Random(seed).choice(["one", "two", "three", "four"])
        return Heard(echoed=self._word, length=0)

    def step(self, action: Said, timeout_s: float | None = None, **kwargs: Any) -> Heard:
        """Echo."""
        if action.message == "fail":
            raise RuntimeError("a bug in the world")
        self._state.step_count += 1
        done = action.message == "stop"
        reward = float(done and self._state.step_count == 3)
        return Heard(
            echoed=f"{self._word} {action.message}", length=len(action.message), done=done, reward=reward
        )

    @property
    def state(self) -> State:
        """How many steps were taken."""
        return self._state

    def get_metadata(self) -> EnvironmentMetadata:
        """Name it."""
        return EnvironmentMetadata(name="Echo World", description="Says what it hears.")


class Guessing(Echo):
    """A number is between two others or is not."""

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Hint:
        """Begin."""
        self._number = random.Random(seed).randrange(100)
        return Hint(hint="Between which numbers?")

    def step(self, action: Guess, timeout_s: float | None = None, **kwargs: Any) -> Hint:
        """Say whether it is."""
        right = action.low <= self._number <= action.high
        return Hint(
            hint="yes" if right else "no", done=right and action.low == action.high, reward=float(right)
        )


def mcp() -> Any:
    """Return the application of an environment that offers tools."""
    from fastmcp import FastMCP
    from openenv.core.env_server.mcp_environment import MCPEnvironment
    from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation

    class Adding(MCPEnvironment):
        """Adds."""

        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self) -> None:
            server = FastMCP("adding")

            @server.tool
            def add(a: int, b: int) -> int:
                """Add two numbers."""
                return a + b

            super().__init__(server)
            self._state = State(step_count=0)

        def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> Observation:
            """Begin."""
            return Observation(done=False, reward=0.0)

        def _step_impl(self, action: Any, timeout_s: float | None = None, **kwargs: Any) -> Observation:
            return Observation(done=False, reward=0.0)

        @property
        def state(self) -> State:
            """Nothing."""
            return self._state

    return create_app(Adding, CallToolAction, CallToolObservation, max_concurrent_envs=8)


async def main() -> None:
    """Serve until killed."""
    apps = [
        create_app(Echo, Said, Heard, max_concurrent_envs=8),
        create_app(Guessing, Guess, Hint, max_concurrent_envs=8),
        mcp(),
    ]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in apps]
    print(*(listener.getsockname()[1] for listener in listeners), flush=True)  # noqa: T201 - whoever started this reads it
    servers = [uvicorn.Server(uvicorn.Config(app, log_level="error")) for app in apps]
    await asyncio.gather(
        *(server.serve([listener]) for server, listener in zip(servers, listeners, strict=True))
    )


asyncio.run(main())
