"""The shop as an environment: buy what the instruction asks for; the reward is what the purchase is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, Observation, StepResult
from agentgym.core.errors import StepError, UsageError
from agentgym.core.haste import in_haste, known_expert
from agentgym.core.sealing import seal, unseal
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.environments.webshop.catalogue import product
from agentgym.environments.webshop.doors import Door
from agentgym.environments.webshop.goal import Goal, reward
from agentgym.environments.webshop.oracle import next_step
from agentgym.environments.webshop.sessions import Item, Session
from agentgym.environments.webshop.stock import Stock
from agentgym.environments.webshop.tasks import WebshopSuite

_KIND = "webshop 2"
"""Of snapshots."""
_UNBOUGHT = 0.9
"""Share of a purchase's worth that counts as progress while the product is only looked at."""


class WebshopEnv(AgentEnv):
    """Plays the tasks of one split through a door: text or browser.

    An episode ends when something is bought, with the purchase's worth as the reward (0 on every other step), or
    after `max_steps` actions. An order of several products is worth the mean of what each is. `expert` says whose play
    `oracle` gives: `careful` solves every task, `hasty` on three in five of them buys the first product found, as it
    stands.
    """

    def __init__(
        self,
        suite: WebshopSuite,
        split: Split,
        stock: Stock,
        door: Door,
        *,
        max_steps: int,
        results: int,
        admissible: bool = True,
        render_mode: str | None = None,
        expert: str = "careful",
    ) -> None:
        if max_steps < 1 or not 1 <= results <= 50:
            raise UsageError(
                f"max_steps is at least 1 and results are 1 to 50, got {max_steps} and {results}."
            )
        self.suite = suite
        self.split = split
        self.max_steps = max_steps
        self.admissible = admissible
        self.render_mode = render_mode
        self.expert = known_expert(expert)
        self.metadata = {"render_modes": list(door.render_modes), "render_fps": 1}
        self.stepping = door.stepping
        self.observation_space: gym.Space[Any] = door.space
        self.action_space: gym.Space[Any] = Utf8Text()
        self._tasks = suite.tasks(split)
        self._suite = suite
        self._stock = stock
        self._door = door
        self._blank = Session(per_page=results)
        self._task: Task | None = None
        self._goal: Goal | None = None
        self._steps = 0
        self._over = True

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id.
        """
        super().reset(seed=seed)
        task = chosen_task(self, options, self._tasks, self._suite.task)
        self._goal = Goal.of(task)
        self._task, self._steps, self._over = task, 0, False
        self._door.enter(self._blank)
        return self._with_task(self._door.look("")), self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        """Do an action. One that cannot be done is told why, with `info["valid"]` false.

        Raises `StepError` before the first `reset` and after the end of the episode.
        """
        if self._goal is None or self._over:
            raise StepError(self._why_no_step())
        if not isinstance(action, str):
            raise UsageError(
                f"An action here is a text such as 'search[red shoes]', got {type(action).__name__}."
            )
        valid, note = self._door.act(action)
        self._steps += 1
        order = self._door.session().order
        earned = 0.0 if order is None else self._worth(order)
        truncated = order is None and self._steps >= self.max_steps
        self._over = order is not None or truncated
        return self._door.look(note), earned, order is not None, truncated, self._info(valid)

    def render(self) -> str | NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the page as text or, in a browser, as a picture."""
        if self.render_mode is None:
            return None
        self._playing()
        seen = self._door.look("")
        if isinstance(seen, str):
            return seen
        return seen["image" if self.render_mode == "rgb_array" else "text"]

    def close(self) -> None:
        """Leave the shop."""
        self._door.close()

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError(self._why_no_step())
        return self._task

    def state_key(self) -> str:
        """Return a hash of the task, the page, the customer's session and what was filled in and not sent.

        Not of the way there: the pages that a browser goes back to, the focus, how far was scrolled.
        """
        self._playing()
        place = self._door.place()
        return content_hash([self.task.key, place.address, self._door.session().dump(), list(place.unsent)])

    def snapshot(self) -> bytes:
        """Return the task, the steps taken, the session and the page."""
        self._playing()
        saved = [
            self.task.to_json(),
            self._steps,
            self._over,
            self._door.session().dump(),
            self._door.save(),
        ]
        body = json.dumps(saved).encode()
        return seal(_KIND, body)

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot, of this or another environment over the same suite and split.

        A browser is at the page again, with its fields as they were, but without the pages before it. Raises
        `UsageError` for bytes that are no such snapshot, `TaskError` for one of another environment or split.
        """
        saved_task, steps, over, session, place = _unpack(snapshot)
        task = fitting(self, Task.from_json(saved_task))
        goal = Goal.of(task)
        self._door.load(Session.load(session), place)
        self._task, self._goal, self._steps, self._over = task, goal, steps, over

    def oracle(self) -> str | None:
        """Return the expert's next action; None when something was bought."""
        goal = self._playing()
        address = self._door.place().address
        hasty = in_haste(self.expert, self.task)
        step = next_step(goal, self._stock, self._door.session(), address, hasty=hasty)
        return None if step is None else self._door.write(step)

    # --- helpers ------------------------------------------------------------------------------------

    def _with_task(self, seen: Observation) -> Observation:
        asked = f"\nYour task is to: {self._playing().instruction}."
        return seen + asked if isinstance(seen, str) else {**seen, "text": f"{seen['text']}{asked}"}

    def _info(self, valid: bool) -> dict[str, Any]:
        goal = self._playing()
        progress = self._progress()
        info: dict[str, Any] = {
            "success": progress == 1.0,
            "progress": progress,
            "valid": valid,
            "task_id": self.task.id,
            "instruction": goal.instruction,
        }
        known = self._door.admissible(goal.instruction) if self.admissible and not self._over else None
        if known is not None:
            info["admissible_actions"] = known
        return info

    def _progress(self) -> float:
        session = self._door.session()
        if session.order is not None:
            return self._worth(session.order)
        parts = urlsplit(self._door.place().address)
        number = (
            self._stock.number(parts.path.removeprefix("/item/")) if parts.path.startswith("/item/") else None
        )
        in_view = [] if number is None else [Item(number, tuple(parse_qsl(parts.query)))]
        return _UNBOUGHT * max((self._worth((each,)) for each in (*in_view, *session.cart)), default=0.0)

    def _worth(self, order: tuple[Item, ...]) -> float:
        goal = self._playing()
        return sum(reward(goal, product(one.number), dict(one.options)) for one in order) / len(order)

    def _playing(self) -> Goal:
        if self._goal is None:
            raise StepError(self._why_no_step())
        return self._goal

    def _why_no_step(self) -> str:
        if self._goal is None:
            return "No episode has begun; call reset() first."
        return f"The episode is over after {self._steps} steps; call reset() to begin another."


def _unpack(snapshot: bytes) -> tuple[Any, int, bool, Any, Any]:
    """Split a snapshot into its task, the steps taken, whether the episode is over, the session and the page."""
    task, steps, over, session, place = json.loads(unseal(_KIND, snapshot))
    return task, steps, over, session, place
