"""MiniWoB's tasks as an environment: pages as text, actions as in any browser, MiniWoB's own rewards."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, Observation, Stepping, StepResult
from agentgym.core.errors import EnvironmentFault, StepError, TaskError, UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.environments.browser.egress import Egress
from agentgym.environments.browser.grammar import BadAction, Call, parse
from agentgym.environments.browser.session import BrowserSession, Done, Sight
from agentgym.environments.browser.tree import Element
from agentgym.environments.miniwob import scripts
from agentgym.environments.miniwob.actions import PageActions
from agentgym.environments.miniwob.experts.view import View
from agentgym.environments.miniwob.oracle import next_action
from agentgym.environments.miniwob.tasks import MiniwobSuite, html_folder

WIDTH, HEIGHT = 160, 210
"""Pixels of a page."""
STEP_MS = 500
"""What an action takes, by the clock of the page."""
_MOST_SHAPES = 50
_PATIENCE_S = 10.0
_KIND = "agentgym miniwob 1"
"""What a snapshot begins with."""
_AWAY = Call("mouse_move", (0, 0))
_ELSEWHERE = {"goto", "go_back", "go_forward", "new_tab", "tab_focus", "tab_close"}


class MiniwobEnv(AgentEnv):
    """Plays the tasks of one split of a suite.

    The observation is what is asked for and the page's accessibility tree; with `screenshots` it is a dict of that
    text and a picture. Actions are texts: see the browser's grammar. The page's clock stands still while the agent
    thinks, and an action takes half a second of it, so that time limits and moving things are the same in every run.

    The reward, on the last step, is MiniWoB's raw reward, with 0 for its negative ones; `timed` takes the one that
    falls with the time used. Success is a raw reward above 0. `info["raw_reward"]`, `info["timed_reward"]` and
    `info["reason"]` are MiniWoB's own. After `max_steps` actions the episode is cut off.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012 - as Gymnasium declares it
    stepping = Stepping.THREAD

    def __init__(
        self,
        suite: MiniwobSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 50,
        screenshots: bool = False,
        timed: bool = False,
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
        self.screenshots = screenshots
        self.timed = timed
        self.render_mode = render_mode
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(f"These pages have no tasks in split {split.value!r}; choose others.")
        text, picture = Utf8Text(), gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.observation_space = gym.spaces.Dict({"text": text, "image": picture}) if screenshots else text
        self.action_space = PageActions(WIDTH, HEIGHT)
        egress = Egress.below(html_folder())
        self._browser = BrowserSession(
            egress, size=(WIDTH, HEIGHT), timeout_s=_PATIENCE_S, script=scripts.CLOCK
        )
        self._task: Task | None = None
        self._over = True
        self._actions: list[str] = []
        self._utterance = ""
        self._sight = Sight("", {}, "")
        self._shown = ""
        self._key = ""

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Load the page of a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id, and `EnvironmentFault`
        where the browser fails.
        """
        super().reset(seed=seed)
        return self._start(chosen_task(self, options, self._tasks, self._known.task))

    def step(self, action: Any) -> StepResult:
        """Do an action. One that cannot be read or done says why, takes no time, and `info["valid"]` is false.

        Raises `StepError` before the first `reset` and after the end of the episode.
        """
        if self._task is None or self._over:
            raise StepError(self._why_no_step())
        if not isinstance(action, str):
            raise UsageError(f"An action here is a text such as 'click(3)', got {type(action).__name__}.")
        self._actions.append(action)
        done = self._act(action)
        state = self._browser.evaluate(scripts.PASS, STEP_MS if done.valid else 0)
        if state is None:  # a link, or a form that was sent: nothing on the new page is the task's
            state = {"done": True, "raw": 0, "timed": 0, "reason": "the page was left"}
        raw, timed = _number(state["raw"]), _number(state["timed"])
        self._over = bool(state["done"])
        truncated = not self._over and len(self._actions) >= self.max_steps
        info: dict[str, Any] = {**self._info(done.valid), "raw_reward": raw, "timed_reward": timed}
        if self._over:
            info |= {"success": raw > 0, "progress": min(max(raw, 0.0), 1.0), "reason": state["reason"] or ""}
            notes = (
                *done.notes,
                f"The episode is over: {state['reason'] or ('right' if raw > 0 else 'wrong')}.",
            )
        else:
            notes = done.notes
        reward = max(timed if self.timed else raw, 0.0) if self._over else 0.0
        terminated, self._over = self._over, self._over or truncated
        return self._observe(notes), reward, terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a picture of the page, when made with `render_mode="rgb_array"`: height x width x 3."""
        return None if self.render_mode is None else self._browser.screenshot()

    def close(self) -> None:
        """Give the browser's window back."""
        self._browser.close()
        self._task = None
        super().close()

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError(self._why_no_step())
        return self._task

    @property
    def elements(self) -> Mapping[int, Element]:
        """The elements that the last observation shows, by the numbers that actions name them with."""
        return self._sight.elements

    def state_key(self) -> str:
        """Return a hash of the task and of what the page holds: elements, fields, focus, selection, global data.

        What a page keeps within its functions alone is not seen, nor how much time is left.
        """
        if not self._key:
            self._key = content_hash([self.task.key, self._over, self._browser.evaluate(scripts.STATE)])
        return self._key

    def snapshot(self) -> bytes:
        """Return the task and the actions taken: `restore` loads the page and does them again."""
        return json.dumps({"kind": _KIND, "task": self.task.to_json(), "actions": self._actions}).encode()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot, of this or another environment over the same suite and split.

        Raises `UsageError` for bytes that are no such snapshot, `TaskError` for one of another split.
        """
        try:
            saved: Any = json.loads(snapshot)
            if saved["kind"] != _KIND:
                raise ValueError(saved["kind"])
            task, actions = Task.from_json(saved["task"]), [str(action) for action in saved["actions"]]
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"These {len(snapshot)} bytes are no snapshot of a MiniWoB environment ({error!r:.80}); restore one "
                "in an environment of the kind that made it."
            ) from None
        self._start(fitting(self, task))
        for action in actions:
            self.step(action)

    def oracle(self) -> str | None:
        """Return the expert's next action; None after the end, and on pages that it does not know."""
        if self._over:
            return None
        view = View(
            self._utterance, self._shown, self._sight.elements, tuple(self._actions), self._browser.evaluate
        )
        return next_action(self.task.task_type, view)

    # --- helpers ------------------------------------------------------------------------------------

    def _start(self, task: Task) -> tuple[Observation, dict[str, Any]]:
        if task.task_type not in self._known.pages:
            raise TaskError(
                f"Task {task.id!r} is on page {task.task_type!r}, which this environment does not play."
            )
        self._task = task
        self._actions = []
        self._browser.act(_AWAY)  # a page that loads below the pointer is hovered over from the start
        self._browser.open(f"/miniwob/{task.task_type}.html")
        utterance = self._browser.evaluate(scripts.BEGIN, task.seed)
        if not utterance:
            raise EnvironmentFault(f"MiniWoB's page {task.task_type!r} did not start: it asks for nothing.")
        self._utterance = str(utterance)
        self._over = False
        return self._observe(()), self._info(valid=True)

    def _act(self, action: str) -> Done:
        try:
            call = parse(action)
        except BadAction as problem:
            return Done(False, (str(problem),))
        if call.verb in _ELSEWHERE:
            return Done(False, (f"{call.verb} leads away; this task has one page.",))
        return self._browser.act(call)

    def _observe(self, notes: tuple[str, ...]) -> Observation:
        self._key = ""
        self._sight = self._browser.look()
        tree = self._sight.text.partition("\n")[2]  # without the line that names the page
        shapes, more = self._browser.evaluate(scripts.SHAPES, _MOST_SHAPES)
        if more:
            shapes.append(f"and {more} more shapes")
        self._shown = "\n".join([*filter(None, [tree]), *shapes])
        text = "\n".join([f"Task: {self._utterance}", *notes, self._shown])
        return {"text": text, "image": self._browser.screenshot()} if self.screenshots else text

    def _info(self, valid: bool) -> dict[str, Any]:
        return {
            "success": False,
            "progress": 0.0,
            "valid": valid,
            "task_id": self.task.id,
            "instruction": self._utterance,
        }

    def _why_no_step(self) -> str:
        if self._task is None:
            return "No episode has begun; call reset() first."
        return f"The episode is over after {len(self._actions)} actions; call reset() to begin another."


def _number(value: object) -> float:
    """Return what a page calls a reward as a finite number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
