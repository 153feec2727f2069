"""Hosts: where an environment lives, with one way to ask it something wherever that is.

A host holds one environment at a time, makes it at the first reset, and makes another after `discard`. Calls of
one host never overlap. What the environment raises is raised here; a call that takes longer than its limit
raises `EnvironmentFault`, except inline, where nothing can end it.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import gymnasium as gym

from agentgym.core.env import Action, AgentEnv
from agentgym.core.errors import EnvironmentFault
from agentgym.core.task import Task
from agentgym.core.tool import ToolSpec
from agentgym.rollout.rules import Limits
from agentgym.rollout.seat import Begun, MakeEnv, Seat, Taken

_T = TypeVar("_T")

CLOSE_S = 5.0
"""An environment that takes longer than so many seconds to close is left behind, or killed."""


class EnvHost(ABC):
    """An environment to be awaited; implements `agentgym.core.agent.HostedEnv`."""

    blocking = False
    """Whether the event loop waits while the environment does something."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.lost = 0
        """Environments that hung or died here: threads left behind, processes killed or ended."""
        self._begun: Begun | None = None

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """The tools offered since the last reset."""
        return self._last.tools

    @property
    def action_space(self) -> gym.Space[Any]:
        """The actions taken since the last reset."""
        return self._last.action_space

    async def reset(self, task: Task, seed: int) -> Begun:
        """Begin a task, making the environment if there is none; see `Seat.reset`."""
        self._begun = begun = await self._ask("reset", task, seed)
        return begun

    async def step(self, action: Action) -> Taken:
        """Take an action; see `Seat.step`."""
        return await self._ask("step", action)

    async def state_key(self) -> str:
        """Return the key of the current state."""
        return await self._ask("state_key")

    async def snapshot(self) -> bytes:
        """Return everything needed to come back here; raises `NotForkableError` where impossible."""
        return await self._ask("snapshot")

    async def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot made by an environment of the same kind."""
        await self._ask("restore", snapshot)

    async def oracle(self) -> Action | None:
        """Return the expert's next action from the current state, or None where there is no expert."""
        return await self._ask("oracle")

    async def ask(self, question: Callable[[Seat], _T]) -> _T:
        """Return what `question` says of the environment's seat, where that is; see `Seat.ask`."""
        return await self._ask("ask", question)

    async def use(self, make_env: MakeEnv) -> None:
        """Make environments another way from now on; see `Seat.use`."""
        await self._ask("use", make_env)

    async def discard(self) -> None:
        """Let go of an environment that may be broken for good; the next reset makes a new one."""
        with suppress(EnvironmentFault):  # it is let go of anyhow
            await self._ask("discard")

    @abstractmethod
    async def close(self) -> None:
        """Close the environment and free what the host holds, within `CLOSE_S` seconds or so."""

    @abstractmethod
    async def _ask(self, call: str, *args: Any) -> Any:
        """Return what the method `call` of the environment's `Seat` returns."""

    def _limit(self, call: str) -> float:
        if call in ("close", "discard"):
            return CLOSE_S
        return self.limits.reset_s if call == "reset" else self.limits.step_s

    @property
    def _last(self) -> Begun:
        if self._begun is None:
            raise EnvironmentFault("There is no environment before the first reset; begin an episode.")
        return self._begun


class InlineHost(EnvHost):
    """On the event loop itself."""

    blocking = True

    def __init__(self, make_env: MakeEnv, limits: Limits, env: AgentEnv | None = None) -> None:
        """`env` is one made already."""
        super().__init__(limits)
        self._seat = Seat(make_env, env)

    async def close(self) -> None:
        """Close the environment."""
        self._seat.close()

    async def _ask(self, call: str, *args: Any) -> Any:
        return getattr(self._seat, call)(*args)


class ThreadHost(EnvHost):
    """In a thread of its own, which makes, steps and closes the environment. One that hangs is left behind."""

    def __init__(self, make_env: MakeEnv, limits: Limits) -> None:
        super().__init__(limits)
        self._make_env = make_env
        self._thread: _SeatThread | None = None

    async def close(self) -> None:
        """Close the environment and end its thread."""
        if self._thread is None:
            return
        try:
            await self._ask("close")
        finally:
            self._end()

    async def _ask(self, call: str, *args: Any) -> Any:
        if self._thread is None:
            self._thread = _SeatThread(self._make_env)
        limit = self._limit(call)
        timeout = asyncio.timeout(limit)
        try:
            async with timeout:
                return await self._thread.ask(call, args)
        except TimeoutError:
            if not timeout.expired():
                raise  # the environment's own
            self._thread.end(closing=True)
            self._thread = None
            self.lost += 1
            raise EnvironmentFault(
                f"The environment's {call} took longer than {limit:g} s; its thread is left behind."
            ) from None

    def _end(self) -> None:
        """End the thread, if it was not left behind already."""
        if self._thread is not None:
            self._thread.end()
            self._thread.join(CLOSE_S)
            self._thread = None


class _SeatThread(threading.Thread):
    """Answers what a seat is asked, one call after another. A daemon: one that hangs does not keep Python alive."""

    def __init__(self, make_env: MakeEnv) -> None:
        super().__init__(name="environment", daemon=True)
        self._seat = Seat(make_env)
        self._calls = SimpleQueue[Callable[[], None] | None]()
        self.start()

    def ask(self, call: str, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def answer() -> None:
            try:
                result = getattr(self._seat, call)(*args)
            except StopIteration as error:  # a future does not take it
                fault = EnvironmentFault(f"The environment raised {error!r}.")
                _post(loop, future, future.set_exception, fault)
            except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
                _post(loop, future, future.set_exception, error)
            except BaseException as error:  # noqa: BLE001 - `sys.exit()` in a world must not end the run
                _post(
                    loop, future, future.set_exception, EnvironmentFault(f"The environment raised {error!r}.")
                )
            else:
                _post(loop, future, future.set_result, result)

        self._calls.put(answer)
        return future

    def end(self, *, closing: bool = False) -> None:
        """End once the calls before are done, or if need be never."""
        if closing:
            self._calls.put(self._seat.discard)
        self._calls.put(None)

    def run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _post(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], settle: Callable[[Any], None], value: Any
) -> None:
    """Settle a future from another thread, unless nobody waits for it any more."""

    def post() -> None:
        if not future.done():
            settle(value)

    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(post)
