"""What is asked of an environment in a session, answered where it lives: on the loop, in its thread or its process.

Each function takes the environment's seat and returns the answer as JSON text, so that arrays and pictures are
written there too, and never on the event loop of the server unless the environment is stepped there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from agentgym.core.env import Action, AgentEnv
from agentgym.core.errors import EnvironmentFault, TaskError, UsageError
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall
from agentgym.environments.remote.wire import dumps, space_to_json, tool_to_json
from agentgym.rollout.seat import Seat

MOST_TASKS = 2000
"""In one answer."""


class FactoryFault(EnvironmentFault):
    """The environment could not be made."""


def opened(seat: Seat) -> str:
    """Describe the environment."""
    env = _env(seat)
    suite = env.suite
    render = {"render_modes": list(env.metadata.get("render_modes") or ())}
    if "render_fps" in env.metadata:
        render["render_fps"] = env.metadata["render_fps"]
    data = {
        "env_id": suite.env_id,
        "split": env.split.value,
        "metadata": render,
        "render_mode": env.render_mode,
        "observation_space": space_to_json(env.observation_space),
        **_offered(env),
        "suite": {
            "name": suite.name,
            "version": suite.version,
            "env_id": suite.env_id,
            "heldout_differs": suite.heldout_differs,
        },
    }
    return _message("open", data)


def begun(
    task: str | Mapping[str, Any] | int | None, seed: int | None, options: Mapping[str, Any], seat: Seat
) -> str:
    """Begin a task: an id, a task, its place in the split, or None for one that the environment draws."""
    env = _env(seat)
    match task:
        case int():
            tasks = env.suite.tasks(env.split)
            if not 0 <= task < len(tasks):
                raise TaskError(f"There is no task {task} in {env.split.value}, which has {len(tasks)}.")
            chosen: Task | str | None = tasks[task]
        case None | str():
            chosen = task
        case _:
            chosen = Task.from_json(task)
    begun = seat.reset(chosen, seed, options)
    return _observed(env, begun.observation, begun.info, None, first=True)


def taken(action: Action, seat: Seat) -> str:
    """Take an action: one that the action space does not contain too, for the environment to say what is wrong."""
    step = seat.take(action)
    called = action.name if isinstance(action, ToolCall) else None
    return _observed(
        seat.env,
        step.observation,
        step.info,
        step.reward,
        terminated=step.terminated,
        truncated=step.truncated,
        called=called,
    )


def listed(seat: Seat) -> str:
    """List the tools, as an observation."""
    tools = [tool_to_json(tool) for tool in _env(seat).tools]
    return _message("observation", {"observation": {"tools": tools}, "reward": None, "done": False})


def snapped(seat: Seat) -> str:
    """Take a snapshot."""
    return _message("snapshot", {"snapshot": seat.snapshot()})


def restored(snapshot: bytes, seat: Seat) -> str:
    """Go back to a snapshot."""
    env = _env(seat)
    env.restore(snapshot)
    return _message("restore", _playing(env))


def advised(seat: Seat) -> str:
    """Ask the expert."""
    return _message("oracle", {"action": seat.oracle()})


def rendered(seat: Seat) -> str:
    """Render."""
    return _message("render", {"frame": cast("Any", _env(seat).render())})


def tasks(split: str | None, start: int, stop: int, seat: Seat) -> str:
    """List tasks of a split, the environment's own unless named, and say how many it has."""
    env = _env(seat)
    found = env.suite.tasks(env.split if split is None else Split.parse(split))
    total = len(found)
    places = range(min(start, total), min(stop, total, start + MOST_TASKS))
    return _message(
        "get_task_range", {"tasks": [found[place].to_json() for place in places], "num_tasks": total}
    )


def _env(seat: Seat) -> AgentEnv:
    try:
        return seat.env
    except UsageError:
        raise
    except Exception as error:
        raise FactoryFault(f"The environment could not be made: {error!r}.") from error


def _offered(env: AgentEnv) -> dict[str, Any]:
    return {
        "tools": [tool_to_json(tool) for tool in env.tools],
        "action_space": space_to_json(env.action_space),
    }


def _playing(env: AgentEnv) -> dict[str, Any]:
    """What a client must know to go on from a state that it did not step into."""
    return {"task": env.task.to_json(), "state_key": env.state_key(), **_offered(env)}


def _observed(
    env: AgentEnv,
    observation: Any,
    info: Mapping[str, Any],
    reward: float | None,
    *,
    terminated: bool = False,
    truncated: bool = False,
    called: str | None = None,
    first: bool = False,
) -> str:
    """Return an observation message; `called` is the tool that it is the result of."""
    plain = isinstance(observation, str)
    metadata = {
        "terminated": terminated,
        "truncated": truncated,
        "plain_text": plain,
        "info": info,
        **(_playing(env) if first else {"state_key": env.state_key()}),
    }
    shown: dict[str, Any] = {"text": observation} if plain else dict(observation)
    if called is not None:
        shown |= {"tool_name": called, "result": shown["text"], "error": None}
    data = {
        "observation": {**shown, "metadata": metadata},
        "reward": reward,
        "done": terminated or truncated,
    }
    return _message("observation", data)


def _message(kind: str, data: Mapping[str, Any]) -> str:
    return dumps({"type": kind, "data": data})
