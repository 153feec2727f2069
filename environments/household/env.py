"""The household world as an environment: text commands in, ALFWorld's sentences out, 1.0 for success."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Protocol

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import StepError, UnknownNameError, UsageError
from agentgym.core.facts import Facts
from agentgym.core.sealing import seal, unseal
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.environments.household import oracle, search
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.facts import facts_of
from agentgym.environments.household.world import World

_KIND = "household 1"
"""Of snapshots."""
_HEADER = struct.Struct("<IBQI")
"""Steps taken, whether the episode is over, receptacles looked into, bytes of the task that follows."""
_EXPERTS = ("planner", "searcher")


class WorldSuite(TaskSuite, Protocol):
    """A suite whose tasks are household games."""

    def task(self, task_id: str) -> Task:
        """Return the task with this id, of any split; raises `TaskError` with a suggestion."""
        ...

    def world(self, task: Task) -> World:
        """Return the game of a task; raises `TaskError` where it cannot be one."""
        ...


class HouseholdEnv(AgentEnv):
    """Plays the tasks of one split of a suite.

    The observation is the text that a command brings; the first one tells the room and the task. An episode
    ends when the task is solved (reward 1.0; 0.0 on every other step) or after `max_steps` commands.
    `admissible=False` leaves `admissible_actions` out of `info`, which makes steps faster. `expert` says
    whom `oracle()` asks: the "planner" knows where everything is, the "searcher" looks for it first.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        suite: WorldSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 50,
        admissible: bool = True,
        render_mode: str | None = None,
        expert: str = "planner",
    ) -> None:
        if expert not in _EXPERTS:
            raise UnknownNameError("expert", expert, _EXPERTS)
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        if render_mode not in (None, "ansi"):
            raise UsageError(f"render_mode must be 'ansi' or None, got {render_mode!r}.")
        self.suite = suite
        self._worlds = suite
        self.split = split
        self.max_steps = max_steps
        self.admissible = admissible
        self.render_mode = render_mode
        self.expert = expert
        self.observation_space = Utf8Text()
        self.action_space = Utf8Text()
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(f"Suite {suite.name!r} has no tasks in split {split.value!r}; choose another.")
        self._task: Task | None = None
        self._engine: Engine | None = None
        self._saved_task = b""
        self._steps = 0
        self._seen = 0
        self._over = True

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id.
        """
        super().reset(seed=seed)
        chosen = chosen_task(self, options, self._tasks, self._worlds.task)
        engine = self._engine_of(chosen)
        observation = engine.reset()
        self._play(chosen, engine, steps=0, over=False, seen=0)
        return observation, self._info(engine, valid=True)

    def step(self, action: Any) -> StepResult:
        """Do a command. One that cannot be done now gives "Nothing happens." and `info["valid"]` false.

        Raises `StepError` before the first `reset` and after the end of the episode.
        """
        engine = self._engine
        if engine is None or self._over:
            raise StepError(self._why_no_step())
        if not isinstance(action, str):
            raise UsageError(f"An action here is a text command such as 'look', got {type(action).__name__}.")
        observation, applied = engine.step(action)
        self._steps += 1
        if self.expert == "searcher":
            self._seen = search.look_around(engine, self._seen)
        won = engine.won
        truncated = not won and self._steps >= self.max_steps
        self._over = won or truncated
        return observation, float(won), won, truncated, self._info(engine, valid=applied)

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the task, what the agent faces and what it carries, when made with `render_mode="ansi"`."""
        if self.render_mode is None:
            return None
        engine = self._playing()
        texts = [engine.step(command)[0] for command in ("look", "inventory")]  # neither changes anything
        return "\n".join([f"Task: {engine.world.instruction}. Step {self._steps}.", *texts])

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError(self._why_no_step())
        return self._task

    def state_key(self) -> str:
        """Return a hash of the game and its state, without the number of steps taken."""
        return self._playing().state_key()

    def snapshot(self) -> bytes:
        """Return the task, the steps taken and the state of the game."""
        engine = self._playing()
        saved_task = self._task_as_bytes()
        header = _HEADER.pack(self._steps, self._over, self._seen, len(saved_task))
        body = b"".join((header, saved_task, engine.save()))
        return seal(_KIND, body)

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot, of this or another environment over the same suite and split.

        Raises `UsageError` for bytes that are no such snapshot, `TaskError` for one of another environment
        or split.
        """
        steps, over, seen, saved_task, saved_state = _unpack(snapshot)
        same = self._task is not None and saved_task == self._task_as_bytes()
        task = self.task if same else Task.from_json(json.loads(saved_task))
        engine = self._playing() if same else self._engine_of(task)
        engine.load(saved_state)
        self._play(task, engine, steps, over, seen)

    def oracle(self) -> str | None:
        """Return the expert's next command; None when the task is solved."""
        if self.expert == "searcher":
            return search.next_command(self._playing(), self._seen)
        return oracle.next_command(self._playing())

    def facts(self) -> Facts:
        """Return everything that holds in the game, seen or not; see `agentgym.core.facts`."""
        return facts_of(self._playing())

    # --- helpers ------------------------------------------------------------------------------------

    def _engine_of(self, task: Task) -> Engine:
        """Return an engine for `task`, in whatever state; raises `TaskError` where the task does not fit."""
        if self._engine is not None and task == self._task:
            return self._engine
        return Engine(self._worlds.world(fitting(self, task)))

    def _play(self, task: Task, engine: Engine, steps: int, over: bool, seen: int) -> None:
        if engine is not self._engine:
            self._engine = engine
            self._task = task
            self._saved_task = b""
        self._steps = steps
        self._over = over
        self._seen = seen

    def _task_as_bytes(self) -> bytes:
        if not self._saved_task:
            self._saved_task = json.dumps(self.task.to_json(), sort_keys=True).encode()
        return self._saved_task

    def _info(self, engine: Engine, valid: bool) -> dict[str, Any]:
        info: dict[str, Any] = {
            "success": engine.won,
            "progress": engine.progress(),
            "valid": valid,
            "task_id": self.task.id,
            "instruction": engine.world.instruction,
        }
        if self.admissible:
            info["admissible_actions"] = engine.admissible()
        return info

    def _playing(self) -> Engine:
        if self._engine is None:
            raise StepError(self._why_no_step())
        return self._engine

    def _why_no_step(self) -> str:
        if self._engine is None:
            return "No episode has begun; call reset() first."
        return f"The episode is over after {self._steps} steps; call reset() to begin another."


def _unpack(snapshot: bytes) -> tuple[int, bool, int, bytes, bytes]:
    """Split a snapshot into steps taken, whether the episode is over, what was seen, its task and its state."""
    body = unseal(_KIND, snapshot)
    steps, over, seen, length = _HEADER.unpack_from(body)
    state = _HEADER.size + length
    return steps, bool(over), seen, body[_HEADER.size : state], body[state:]
