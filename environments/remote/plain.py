"""Servers that speak OpenEnv and no more: no tasks, no snapshots, no state keys, one kind of ending.

What the contract wants besides is made up here as far as it can be. Tasks are seeds. States are known by the actions
that led to them, and come back by replay. An episode that ends with a reward above 0 counts as solved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast
from urllib.request import ProxyHandler, Request, build_opener

from agentgym.core.env import AgentEnv, Stepping, StepResult
from agentgym.core.errors import EnvironmentFault, StepError, TaskError, UsageError, did_you_mean
from agentgym.core.spaces import ToolCallSpace, Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.environments.remote.address import Address
from agentgym.environments.remote.connection import OPEN_S, Connection
from agentgym.environments.remote.wire import LIST_TOOLS, action_to_json, tools_from_json

SEEDS = 1000
"""Tasks in each split."""
ACT = "act"
"""The tool that an action of several fields is made a call of."""
_OWN = {"metadata", "type"}
"""Fields of an action that are the protocol's, not the environment's."""


@dataclass(frozen=True, slots=True)
class PlainServer:
    """A server, and how its actions are written."""

    address: Address
    described: Mapping[str, Any]
    text_field: str
    """The field of an action that text goes into; empty: actions are tool calls."""
    tools: tuple[ToolSpec, ...]

    @classmethod
    def ask(cls, address: Address, connection: Connection) -> PlainServer:
        """Ask a server what it is and what actions it takes."""
        metadata, schema = _get(address, "metadata"), _get(address, "schema")
        name = re.sub(r"[^\w.-]+", "-", str(metadata.get("name") or "environment")).strip("-")
        described = {
            "env_id": f"openenv/{name}",
            "name": name,
            "summary": str(metadata.get("description") or ""),
        }
        action: dict[str, Any] = schema["action"]
        fields = {key: kind for key, kind in action.get("properties", {}).items() if key not in _OWN}
        needed = [key for key in action.get("required", ()) if key in fields]
        texts = [key for key in needed or fields if fields[key].get("type") == "string"]
        if not fields or "tool_name" in fields:
            listed = connection.ask("step", {"type": LIST_TOOLS})["observation"]["tools"]
            return cls(address, described, "", tools_from_json(listed))
        if len(texts) == 1 and len(needed or fields) == 1:
            return cls(address, described, texts[0], ())
        own = {key: value for key, value in action.items() if key not in ("properties", "title")}
        whole = {**own, "type": "object", "properties": fields, "required": needed}
        return cls(address, described, "", (ToolSpec(ACT, str(action.get("description", "")), whole),))

    def action(self, action: Any) -> dict[str, Any]:
        """Return an action as this server wants it; raises `UsageError` for what is none."""
        if self.text_field and isinstance(action, str):
            return {self.text_field: action}
        if isinstance(action, ToolCall) and any(tool.name == action.name for tool in self.tools):
            return dict(action.arguments) if action.name == ACT else action_to_json(action)
        wanted = "text" if self.text_field else f"a call of {', '.join(tool.name for tool in self.tools)}"
        raise UsageError(f"An action here is {wanted}, got {action!r:.200}.")


class PlainSuite:
    """Seeds, a range of them for each split."""

    version = "1"
    heldout_differs = "In their seeds alone, as far as this server tells: it has no tasks."

    def __init__(self, env_id: str) -> None:
        self.name = self.env_id = env_id

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the seeds of a split as tasks."""
        split = Split.parse(split)
        first = SEEDS * list(Split).index(split)
        return [
            Task(f"{split.value}-{seed:04d}", self.env_id, split, seed)
            for seed in range(first, first + SEEDS)
        ]


class PlainEnv(AgentEnv):
    """Plays one split's seeds on a server of plain OpenEnv, in a session of its own."""

    stepping = Stepping.THREAD
    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(self, server: PlainServer, split: Split) -> None:
        self._server = server
        self.split = split
        self.suite = PlainSuite(server.described["env_id"])
        self.tools = server.tools
        self.action_space = Utf8Text() if server.text_field else ToolCallSpace(server.tools)
        self.observation_space = Utf8Text()
        self._connection = Connection(server.address)
        self._task: Task | None = None
        self._actions: list[dict[str, Any]] = []
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode from a task's seed: `options["task"]`, else one drawn from the split by `seed`."""
        super().reset(seed=seed)
        tasks = self.suite.tasks(self.split)
        chosen = (options or {}).get("task")
        if chosen is None:
            chosen = tasks[int(self.np_random.integers(len(tasks)))]
        observation, _, done = self._begin(self._fitting(chosen))
        return observation, self._info(done, 0.0)

    def step(self, action: Any) -> StepResult:
        """Take an action; `terminated` is the server's `done`."""
        if self._over:
            raise StepError("No episode is under way; call reset() first.")
        data = self._server.action(action)
        observation, reward, done = self._take(data)
        return observation, reward, done, False, self._info(done, reward)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._task

    def state_key(self) -> str:
        """Return a hash of the task and all actions: equal states reached in other ways have other keys."""
        return content_hash([self.task.key, self._actions])

    def snapshot(self) -> bytes:
        """Return the task and the actions."""
        return json.dumps({"task": self.task.to_json(), "actions": self._actions}).encode()

    def restore(self, snapshot: bytes) -> None:
        """Begin the task again and repeat the actions; a server that is not deterministic ends up elsewhere."""
        try:
            saved = json.loads(snapshot)
            task, actions = Task.from_json(saved["task"]), list(saved["actions"])
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"These {len(snapshot)} bytes are no snapshot made here: {error}.") from error
        self._begin(self._fitting(task))
        for data in actions:
            self._take(data)

    def _fitting(self, chosen: Task | str) -> Task:
        by_id = {task.id: task for task in self.suite.tasks(self.split)}
        task = by_id.get(chosen) if isinstance(chosen, str) else chosen
        if task is None:
            raise TaskError(
                f"There is no task {chosen!r} in {self.split.value}.{did_you_mean(str(chosen), by_id)}"
            )
        if task.env_id != self.suite.env_id or task.split is not self.split:
            raise TaskError(
                f"Task {task.id!r} is of {task.env_id}, {task.split.value}; this is {self.suite.env_id}, "
                f"{self.split.value}."
            )
        return task

    def _begin(self, task: Task) -> tuple[str, float, bool]:
        if not self._connection.open:
            self._connection = Connection(self._server.address)
        found = _read(self._connection.ask("reset", {"seed": task.seed}))
        self._task, self._actions, self._over = task, [], found[2]
        return found

    def _take(self, data: dict[str, Any]) -> tuple[str, float, bool]:
        found = _read(self._connection.ask("step", data))
        self._actions.append(data)
        self._over = found[2]
        return found

    def _info(self, done: bool, reward: float) -> dict[str, Any]:
        success = done and reward > 0
        return {"success": success, "progress": float(success), "valid": True, "task_id": self.task.id}


def _read(data: Mapping[str, Any]) -> tuple[str, float, bool]:
    """Return observation, reward and done; one field is shown by itself, several each on a line."""
    fields: dict[str, Any] = {
        name: value for name, value in data["observation"].items() if value is not None and name != "metadata"
    }
    if len(fields) == 1:
        text = _text(*fields.values())
    else:
        text = "\n".join(f"{name}: {_text(value)}" for name, value in fields.items())
    return text, float(data.get("reward") or 0.0), bool(data.get("done"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _get(address: Address, what: str) -> dict[str, Any]:
    """Return what the server's HTTP side says."""
    url = f"http{address.url.removeprefix('ws')}/{what}"
    request = Request(url, headers={"Authorization": f"Bearer {address.token}"} if address.token else {})
    try:
        opener = build_opener(ProxyHandler({})) if address.is_loopback else build_opener()
        with opener.open(request, timeout=OPEN_S) as response:
            found = json.load(response)
    except (OSError, HTTPException, ValueError) as error:
        raise EnvironmentFault(f"{url} does not say what is served: {error}.") from error
    if not isinstance(found, dict):
        raise EnvironmentFault(f"{url} must give a JSON object, got {found!r:.100}.")
    return cast("dict[str, Any]", found)
