"""An environment in a model's mind: the contract of any other, with transitions and rewards from the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import InferenceFault, StepError, TaskError, UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import IMAGINED, Split, Task, content_hash
from agentgym.core.tool import ToolSpec
from agentgym.training.imagination.model import ExperienceModel, Moment, Opening, Step, goal_of


def imagined_task(task: Task, opening: Opening, *, name: str = "", known: bool = True) -> Task:
    """Return a task of an environment to be played in a model of it: it begins as `opening` says.

    `name` tells it from others made of the same one; `known` is false where it asks for something else than the
    environment's own task does. Raises `TaskError` for a task that agents are evaluated on.
    """
    if task.split is not Split.TRAIN:
        raise TaskError(
            f"Task {task.id!r} belongs to the split {task.split.value!r}; only train tasks are imagined."
        )
    begun = {"task": task.key if known else "", "task_type": task.task_type, **opening._asdict()}
    return Task(
        "/".join(filter(None, (IMAGINED + task.id, name))),
        IMAGINED + task.env_id,
        Split.TRAIN,
        params=begun,
        difficulty=task.difficulty,
    )


class ImaginedSuite:
    """Train tasks to be imagined; there are no others."""

    version = "1"
    heldout_differs = "There are no held-out tasks: nothing is evaluated in a model of an environment."

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Take tasks of one environment, all imagined and at least one. Raises `TaskError` for others."""
        environments = {task.env_id for task in tasks}
        if len(environments) != 1 or not all(task.imagined for task in tasks):
            raise TaskError(
                f"A model plays imagined tasks of one environment (`imagined_task`), got {sorted(environments)}."
            )
        (self.env_id,) = environments
        self.name = self.env_id.rpartition("/")[2].partition("-v")[0].lower()
        self._tasks = {task.id: task for task in tasks}

    def tasks(self, split: Split | str) -> list[Task]:
        """Return the tasks, for the split `train`."""
        return list(self._tasks.values()) if Split.parse(split) is Split.TRAIN else []

    def task(self, task_id: str) -> Task:
        """Return the task with this id; raises `TaskError`."""
        if task_id not in self._tasks:
            raise TaskError(f"No imagined task is called {task_id!r}; there are {len(self._tasks)}.")
        return self._tasks[task_id]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an episode stands."""

    task: Task
    state: str
    observation: str
    history: tuple[Step, ...] = ()
    seed: int = 0
    over: bool = False


class ImaginedEnv(AgentEnv):
    """Plays imagined tasks. Its episodes bear the environment's id with `imagined:` before it: none is evaluated.

    `tools` and `action_space` are those of the environment that is imagined. Ends as the model says, or after
    `max_steps`. What the model cannot answer is a fault of the infrastructure and no reward.
    """

    def __init__(
        self,
        model: ExperienceModel,
        suite: ImaginedSuite,
        *,
        tools: Sequence[ToolSpec] = (),
        action_space: gym.Space[Any] | None = None,
        max_steps: int = 50,
    ) -> None:
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        self.suite = self._imagined = suite
        self.split = Split.TRAIN
        self.tools = tools
        self.stepping = model.stepping
        self.observation_space = Utf8Text()
        self.action_space = action_space or Utf8Text()
        self.max_steps = max_steps
        self._model = model
        self._place: _Place | None = None

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn by the seed. Raises `TaskError`."""
        super().reset(seed=seed)
        task = chosen_task(self, options, self._imagined.tasks(Split.TRAIN), self._imagined.task)
        opening = _opening(task)
        own = int(self.np_random.integers(2**31))
        self._place = _Place(task, opening.state, opening.observation, seed=own)
        return opening.observation, self._info(self._place)

    def step(self, action: Any) -> StepResult:
        """Take what the model says. Raises `StepError` before `reset` and after the end, `InferenceFault` where the
        model's reward is no number."""
        place = self._playing()
        if place.over:
            raise StepError(
                f"The episode is over after {len(place.history)} steps; call reset() to begin another."
            )
        opening, done = _opening(place.task), str(action)
        moment = Moment(
            str(place.task.params["task"]),
            goal_of(place.task, opening),
            place.state,
            place.history,
            place.observation,
            done,
        )
        seed = int(content_hash([place.seed, len(place.history)]), 16) >> 1
        told = self._model.predict(moment, seed)
        if not math.isfinite(told.reward):
            raise InferenceFault(f"The model of the environment gave {told.reward} as a reward.")
        history = (*place.history, Step(place.observation, done))
        ended = told.terminated or told.success
        truncated = not ended and len(history) >= self.max_steps
        state = told.state or content_hash([place.state, place.observation, done, told.observation])
        self._place = replace(
            place, state=state, observation=told.observation, history=history, over=ended or truncated
        )
        info = self._info(self._place, success=told.success, valid=told.valid)
        return told.observation, float(told.reward), ended, truncated, info

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        return self._playing().task

    def state_key(self) -> str:
        """Return a hash of the task and of the model's state: the environment's own where it was met there."""
        place = self._playing()
        return content_hash([place.task.key, place.state, place.observation])

    def snapshot(self) -> bytes:
        """Return the task and everything that was said and done."""
        place = self._playing()
        rest = [place.state, place.observation, place.history, place.seed, place.over]
        return json.dumps([place.task.to_json(), *rest]).encode()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot of an imagined environment. Raises `UsageError` for other bytes."""
        try:
            task, state, observation, history, seed, over = json.loads(snapshot)
            place = _Place(
                Task.from_json(task), state, observation, tuple(Step(*s) for s in history), seed, over
            )
        except (TypeError, ValueError):
            raise UsageError(
                f"These {len(snapshot)} bytes are no snapshot of an imagined environment; restore a snapshot in an "
                "environment of the kind that made it."
            ) from None
        fitting(self, place.task)
        self._place = place

    def _playing(self) -> _Place:
        if self._place is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._place

    def _info(self, place: _Place, *, success: bool = False, valid: bool = True) -> dict[str, Any]:
        info: dict[str, Any] = {
            "success": success,
            "progress": float(success),
            "valid": valid,
            "task_id": place.task.id,
        }
        instruction = _opening(place.task).instruction
        return {**info, "instruction": instruction} if instruction else info


def _opening(task: Task) -> Opening:
    try:
        return Opening(*(str(task.params[name]) for name in Opening._fields))
    except KeyError as error:
        raise TaskError(
            f"Task {task.id!r} does not say how it begins ({error}); make it by `imagined_task`."
        ) from None
