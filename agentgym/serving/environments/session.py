"""A session: one client, one environment, and what is asked of it, message by message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, cast
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from agentgym.core.errors import EnvironmentFault, UsageError, unknown_name_message
from agentgym.core.task import Split
from agentgym.environments.remote.wire import LIST_TOOLS, action_from_json, dumps, loads
from agentgym.rollout.seat import MakeEnv, Seat
from agentgym.serving.environments import answers
from agentgym.serving.environments.problems import Code, Misfit
from agentgym.serving.environments.workshop import Workshop


class _Data(BaseModel):
    """Unknown fields are passed over, as OpenEnv's own server does."""

    model_config = ConfigDict(strict=True)


class Opening(_Data):
    """What environment a client wants."""

    split: str | None = None
    options: dict[str, Any] = {}


class Beginning(_Data):
    """What episode a client wants."""

    seed: int | None = Field(default=None, ge=0)
    episode_id: str | None = Field(default=None, max_length=255)
    task: str | dict[str, Any] | None = None
    split: str | None = None
    index: int | None = None
    options: dict[str, Any] = {}


class _Snapshot(_Data):
    snapshot: bytes


class _Range(_Data):
    split: str | None = None
    start: int = Field(default=0, ge=0)
    stop: int = Field(ge=0)


class Session:
    """Holds an environment of the workshop's from the first question that needs one until `close`."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._host = workshop.host()
        self.blocking = self._host.blocking
        """Whether the event loop waits while the environment does something."""
        self._split = workshop.split
        self._options: Mapping[str, Any] = {}
        self._chosen: MakeEnv | None = None
        self._lost = 0
        self._episode_id: str | None = None
        self._steps = 0
        self._handlers: dict[str, Callable[[Mapping[str, Any]], Awaitable[str]]] = {
            "describe": self._describe,
            "open": self._open,
            "reset": self.reset,
            "step": self.step,
            "state": self._state,
            "snapshot": lambda _: self._ask(answers.snapped),
            "restore": self._restore,
            "oracle": lambda _: self._ask(answers.advised),
            "render": lambda _: self._ask(answers.rendered),
            "get_task_range": self._tasks,
        }

    async def answer(self, message: str | bytes) -> str | None:
        """Return the answer to a message, None where it ends the session.

        Raises `Misfit` or pydantic's `ValidationError` for a message that is none, and whatever the environment raises.
        """
        try:
            parsed: Any = loads(message)
        except ValueError as error:
            raise Misfit(Code.INVALID_JSON, f"Invalid JSON: {error}.") from error
        match parsed:
            case {"type": "close"}:
                return None
            case {"type": str() as kind, **rest} if kind in self._handlers:
                data = rest.pop("data", {})
                if rest or not isinstance(data, dict):
                    raise Misfit(
                        Code.VALIDATION_ERROR,
                        f'A message is {{"type": "{kind}", "data": {{...}}}} and no more; got {parsed!r:.200}.',
                    )
                return await self._handlers[kind](cast("dict[str, Any]", data))
            case {"type": kind}:
                known = [*self._handlers, "close"]
                raise Misfit(Code.UNKNOWN_TYPE, unknown_name_message("message type", f"{kind!s:.100}", known))
            case _:
                raise Misfit(
                    Code.VALIDATION_ERROR, f"A message is an object with a type; got {parsed!r:.200}."
                )

    async def reset(self, data: Mapping[str, Any]) -> str:
        """Begin an episode."""
        wanted = Beginning.model_validate(data)
        if wanted.split is not None and Split.parse(wanted.split) is not self._split:
            await self._choose(wanted.split, self._options)
        task = wanted.index if wanted.task is None else wanted.task
        answer = await self._ask(partial(answers.begun, task, wanted.seed, wanted.options))
        self._episode_id, self._steps = wanted.episode_id or str(uuid4()), 0
        return answer

    async def step(self, data: Mapping[str, Any]) -> str:
        """Take an action, or list the tools."""
        if data.get("type") == LIST_TOOLS:
            return await self._ask(answers.listed)
        try:
            action = action_from_json(data)
        except UsageError as error:
            raise Misfit(Code.VALIDATION_ERROR, str(error)) from error
        answer = await self._ask(partial(answers.taken, action))
        self._steps += 1
        return answer

    async def close(self) -> None:
        """Close the environment and free what holds it."""
        await self._host.close()

    async def _describe(self, data: Mapping[str, Any]) -> str:
        spec = self._workshop.spec
        told = {"env_id": spec.id, "name": spec.name, "summary": spec.summary}
        return dumps({"type": "describe", "data": told})

    async def _open(self, data: Mapping[str, Any]) -> str:
        wanted = Opening.model_validate(data)
        await self._choose(wanted.split or self._split.value, wanted.options)
        return await self._ask(answers.opened)

    async def _state(self, data: Mapping[str, Any]) -> str:
        return dumps({"type": "state", "data": {"episode_id": self._episode_id, "step_count": self._steps}})

    async def _restore(self, data: Mapping[str, Any]) -> str:
        return await self._ask(partial(answers.restored, _Snapshot.model_validate(data).snapshot))

    async def _tasks(self, data: Mapping[str, Any]) -> str:
        wanted = _Range.model_validate(data)
        return await self._ask(partial(answers.tasks, wanted.split, wanted.start, wanted.stop))

    async def _choose(self, split: str, options: Mapping[str, Any]) -> None:
        chosen = Split.parse(split)
        if self._chosen is None and chosen is self._split and not options:
            return
        self._chosen = self._workshop.other(chosen, options)
        self._split, self._options = chosen, options
        await self._host.use(self._chosen)

    async def _ask(self, question: Callable[[Seat], str]) -> str:
        if self._chosen is not None and self._host.lost != self._lost:
            # The place that knew the client's choice hung or died, and a new one takes its place.
            self._lost = self._host.lost
            await self._host.use(self._chosen)
        try:
            return await self._host.ask(question)
        except SystemExit as error:  # inline, a world must not end the server
            raise EnvironmentFault(f"The environment raised {error!r}.") from error
