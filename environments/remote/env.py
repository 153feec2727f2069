"""An environment that a server of ours steps, used like one in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym

from agentgym.core.env import Action, AgentEnv, Stepping, StepResult
from agentgym.core.errors import StepError, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.environments.remote.connection import OpenSession
from agentgym.environments.remote.suite import RemoteSuite
from agentgym.environments.remote.wire import (
    AROUND,
    action_to_json,
    space_from_json,
    tools_from_json,
)


class RemoteEnv(AgentEnv):
    """Plays in a session of its own, which `open_session` begins, now and at a reset after it was lost.

    What goes wrong between here and the server, or is not the agent's fault there, raises an
    `InfrastructureError`; `StepError`, `TaskError`, `UsageError` and `NotForkableError` arrive as what they are.
    """

    stepping = Stepping.THREAD

    def __init__(self, open_session: OpenSession, split: Split) -> None:
        self._open_session = open_session
        self._connection, described = open_session()
        self.split = split
        self.metadata = described["metadata"]
        self.render_mode: str | None = described["render_mode"]
        self.observation_space = space_from_json(described["observation_space"])
        self.suite = RemoteSuite(described["suite"], self._ask_of_tasks)
        self._task: Task | None = None
        self._state_key = ""
        self._offer(described)

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a task, in a new session where the last one is lost; see the served environment's own `reset`."""
        super().reset(seed=seed)
        given = dict(options or {})
        task = given.pop("task", None)
        if isinstance(task, Task):
            task = task.to_json()
        if not self._connection.open:
            self._connection, _ = self._open_session()
        found = self._connection.ask("reset", {"seed": seed, "task": task, "options": given})
        self._begin(found["observation"]["metadata"])
        observation, info = self._seen(found["observation"])
        return observation, info

    def step(self, action: Any) -> StepResult:
        """Take an action on the server."""
        if not isinstance(action, str | ToolCall):
            raise UsageError(f"An action is text or a ToolCall, got {type(action).__name__}.")
        found = self._connection.ask("step", action_to_json(action))
        observation, info = self._seen(found["observation"])
        flags = found["observation"]["metadata"]
        return observation, found["reward"], flags["terminated"], flags["truncated"], info

    def render(self) -> Any:
        """Return what the served environment renders."""
        return self._connection.ask("render")["frame"]

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        self._must_have_begun()
        assert self._task is not None
        return self._task

    def state_key(self) -> str:
        """Return the key that came with the last answer."""
        self._must_have_begun()
        return self._state_key

    def snapshot(self) -> bytes:
        """Return the served environment's snapshot; other sessions with its like can restore it."""
        return self._connection.ask("snapshot")["snapshot"]

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot."""
        if not self._connection.open:
            self._connection, _ = self._open_session()
        self._begin(self._connection.ask("restore", {"snapshot": snapshot}))

    def oracle(self) -> Action | None:
        """Return the expert's next action, asked of the server."""
        return self._connection.ask("oracle")["action"]

    # --- helpers ------------------------------------------------------------------------------------

    def _ask_of_tasks(self, question: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Ask in this session, as the server may have no second one; after its end in a short one."""
        if self._connection.open:
            return self._connection.ask(question, data)
        connection, _ = self._open_session()
        try:
            return connection.ask(question, data)
        finally:
            connection.close()

    def _begin(self, told: Mapping[str, Any]) -> None:
        self._task = Task.from_json(told["task"])
        self._state_key = told["state_key"]
        self._offer(told)

    def _offer(self, told: Mapping[str, Any]) -> None:
        self.tools: Sequence[ToolSpec] = tools_from_json(told["tools"])
        self.action_space: gym.Space[Any] = space_from_json(told["action_space"])

    def _seen(self, observation: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return an observation as the environment gave it, and its info."""
        told = observation["metadata"]
        self._state_key = told["state_key"]
        shown = {name: value for name, value in observation.items() if name not in AROUND}
        return (shown["text"] if told["plain_text"] else shown), told["info"]

    def _must_have_begun(self) -> None:
        if self._task is None:
            raise StepError("No episode has begun; call reset() first.")
