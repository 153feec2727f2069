"""The desktop as an environment: mouse and keyboard in, screens out, 1.0 for a task that is done and said to be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.choosing import chosen_task
from agentgym.core.env import AgentEnv, Observation, Stepping, StepResult
from agentgym.core.errors import StepError, UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.environments.browser.grammar import BadAction, parse
from agentgym.environments.desktop import oracle
from agentgym.environments.desktop.box import HEIGHT, WIDTH
from agentgym.environments.desktop.desktop import Desktop, Impossible
from agentgym.environments.desktop.goals import Files, Goal, read_home
from agentgym.environments.desktop.tasks import DesktopSuite
from agentgym.environments.desktop.verbs import VERBS


class DesktopEnv(AgentEnv):
    """Plays the tasks of one split of a suite, each on a fresh desktop.

    The observation is what AT-SPI tells of the screen: windows, and the elements of the one in front; with `pictures`,
    a dict of that `text` and an `image`. An episode ends with `done()`, or after `max_steps` actions. There are no
    snapshots: the state of real applications cannot be copied.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012 - as Gymnasium declares it
    stepping = Stepping.PROCESS

    def __init__(
        self,
        suite: DesktopSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 40,
        pictures: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}.")
        self.suite = suite
        self._known = suite
        self.split = split
        self.max_steps = max_steps
        self.pictures = pictures
        self.render_mode = render_mode
        image = gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(text=Utf8Text(), image=image) if pictures else Utf8Text()
        self.action_space = Utf8Text()
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(
                f"Suite {suite.name!r} has no such tasks in split {split.value!r}; choose others."
            )
        self._task: Task | None = None
        self._goal: Goal | None = None
        self._desktop: Desktop | None = None
        self._files: Files = {}
        self._done: list[str] = []
        self._steps = 0
        self._over = self._said = False

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id, and `EnvironmentFault` where
        the desktop does not start.
        """
        super().reset(seed=seed)
        task = chosen_task(self, options, self._tasks, self._known.task)
        goal = self._known.goal(task)
        self.close()
        self._desktop = Desktop(goal.start, goal.opened)
        self._task, self._goal = task, goal
        self._files = read_home(self._desktop.home)
        self._done, self._steps, self._over, self._said = [], 0, False, False
        return self._observe(f"Your task is to: {goal.instruction}."), self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        """Do an action. One that cannot be done changes nothing: the observation says why, `info["valid"]` is false.

        Raises `StepError` before the first `reset` and after the end, `EnvironmentFault` where the desktop breaks.
        """
        desktop, _ = self._playing()
        if self._over:
            raise StepError(f"The episode is over after {self._steps} steps; call reset() to begin another.")
        if not isinstance(action, str):
            raise UsageError(f"An action here is a text such as 'click(3)', got {type(action).__name__}.")
        note, valid = "", True
        try:
            call = parse(action, VERBS)
            if call.verb == "done":
                self._said = True
            else:
                note = desktop.act(call)
            self._done.append(str(call))
        except (BadAction, Impossible) as refusal:
            note, valid = str(refusal), False
        self._steps += 1
        self._files = read_home(desktop.home)
        truncated = not self._said and self._steps >= self.max_steps
        self._over = self._said or truncated
        info = self._info(valid)
        return self._observe(note), float(info["success"]), self._said, truncated, info

    def render(self) -> NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a picture of the screen, when made with `render_mode="rgb_array"`: height x width x 3."""
        return None if self.render_mode is None else self._playing()[0].picture()

    def close(self) -> None:
        """End the desktop; nothing of it stays."""
        if self._desktop is not None:
            self._desktop.close()
            self._desktop = None

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._task

    def state_key(self) -> str:
        """Return a hash of the task, the files by content, and what the screen says: windows, fields, focus."""
        desktop, _ = self._playing()
        files = {path: hashlib.blake2b(content).hexdigest() for path, content in self._files.items()}
        return content_hash([self.task.key, self._said, files, desktop.seen.text])

    def oracle(self) -> str | None:
        """Return the expert's next action; None at the end, and where something else than its plan was done."""
        _, goal = self._playing()
        return None if self._over else oracle.next_action(goal.plan, self._done)

    # --- helpers ------------------------------------------------------------------------------------

    def _observe(self, note: str) -> Observation:
        desktop, _ = self._playing()
        text = f"{note}\n{desktop.seen.text}" if note else desktop.seen.text
        return {"text": text, "image": desktop.picture()} if self.pictures else text

    def _info(self, valid: bool) -> dict[str, Any]:
        desktop, goal = self._playing()
        titles = desktop.seen.titles
        most = goal.left(goal.start, ()) + 1
        left = goal.left(self._files, titles) + (not self._said)
        return {
            "success": left == 0,
            "progress": max(0.0, 1.0 - left / most),
            "valid": valid,
            "task_id": self.task.id,
            "instruction": goal.instruction,
        }

    def _playing(self) -> tuple[Desktop, Goal]:
        if self._desktop is None or self._goal is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._desktop, self._goal
