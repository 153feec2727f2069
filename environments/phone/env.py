"""The phone as an environment: touches and text in, screens out, 1.0 for a task that is done and said to be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, Observation, StepResult
from agentgym.core.errors import StepError, UnknownNameError, UsageError
from agentgym.core.haste import in_haste, known_expert
from agentgym.core.sealing import seal, unseal
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task
from agentgym.environments.phone import oracle
from agentgym.environments.phone.actions import Command, Refusal, parse
from agentgym.environments.phone.app import LONGEST_TEXT
from agentgym.environments.phone.device import Device
from agentgym.environments.phone.goals import effort
from agentgym.environments.phone.interruptions import interrupt
from agentgym.environments.phone.tasks import PhoneSuite
from agentgym.environments.phone.templates.catalogue import Play
from agentgym.environments.phone.ui.hierarchy import write_hierarchy
from agentgym.environments.phone.ui.node import HEIGHT, WIDTH

_KIND = "phone 1"
"""Of snapshots."""
_TEXTS = ("list", "xml")
_RENDER_MODES = ("ansi", "rgb_array")


class PhoneEnv(AgentEnv):
    """Plays the tasks of one split of a suite.

    The observation is the screen: as a numbered list of what can be touched (`text="list"`) or in `uiautomator`'s
    XML (`text="xml"`); with `pictures`, a dict of that `text` and an `image`. An episode ends when the agent says
    so (`status complete`, `status infeasible`) or after `max_steps` actions. `interruptions` is the probability
    that a dialog or notification comes after an action. `expert` says whose play `oracle` gives: `careful` solves every
    task, `hasty` on three in five of them says after two actions that it is done.
    """

    metadata = {"render_modes": list(_RENDER_MODES), "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        suite: PhoneSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 50,
        pictures: bool = False,
        text: str = "list",
        interruptions: float = 0.0,
        admissible: bool = True,
        render_mode: str | None = None,
        expert: str = "careful",
    ) -> None:
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        if text not in _TEXTS:
            raise UnknownNameError("text", text, _TEXTS)
        if not 0.0 <= interruptions <= 1.0:
            raise UsageError(f"interruptions is a probability, from 0 to 1; got {interruptions}.")
        if render_mode is not None and render_mode not in _RENDER_MODES:
            raise UnknownNameError("render_mode", render_mode, _RENDER_MODES)
        self.suite = suite
        self._plays = suite
        self.split = split
        self.max_steps = max_steps
        self.pictures = pictures
        self.text = text
        self.interruptions = interruptions
        self.admissible = admissible
        self.render_mode = render_mode
        self.expert = known_expert(expert)
        image = gym.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(text=Utf8Text(), image=image) if pictures else Utf8Text()
        self.action_space = Utf8Text()
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(
                f"Suite {suite.name!r} has no such tasks in split {split.value!r}; choose others."
            )
        self._task: Task | None = None
        self._play: Play | None = None
        self._steps = self._seen = self._interrupted = 0
        self._answer = self._status = ""
        self._over = True
        self._left = (-1, 0)
        """The store's version, and how much is left to do in it."""

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id.
        """
        super().reset(seed=seed)
        self._begin(chosen_task(self, options, self._tasks, self._plays.task))
        return self._observation(first=True), self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        """Do an action. One that cannot be done changes nothing: the observation says why, `info["valid"]` is false.

        Raises `StepError` before the first `reset` and after the end of the episode.
        """
        play = self._playing()
        if self._over:
            raise StepError(f"The episode is over after {self._steps} steps; call reset() to begin another.")
        if not isinstance(action, str):
            raise UsageError(
                f"An action here is a text command such as 'tap 3', got {type(action).__name__}."
            )
        device, valid = play.device, True
        try:
            self._do(device, parse(action))
        except Refusal as refusal:
            device.message, valid = str(refusal), False
        self._steps += 1
        if valid and not self._status and self.interruptions:
            self._interrupted += interrupt(device, self.state_key(), self.interruptions)
        self._seen = oracle.look_around(play.goal, device, self._seen)
        terminated = bool(self._status)
        truncated = not terminated and self._steps >= self.max_steps
        self._over = terminated or truncated
        info = self._info(valid)
        return self._observation(), float(info["success"]), terminated, truncated, info

    def render(self) -> str | NDArray[np.uint8] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the screen as text or as a picture (uint8, height x width x 3), as `render_mode` says."""
        if self.render_mode is None:
            return None
        self._playing()
        return self._picture() if self.render_mode == "rgb_array" else self._text()

    def close(self) -> None:
        """Release the phone's database."""
        if self._play is not None:
            self._play.device.store.close()
            self._play = None

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        self._playing()
        assert self._task is not None
        return self._task

    def state_key(self) -> str:
        """Return a hash of the task, the database, the screens and the answer, without the number of steps."""
        device = self.device
        told = json.dumps([self.task.key, self._answer, self._status, self._interrupted, device.interface()])
        return hashlib.blake2b(told.encode() + device.store.digest(), digest_size=16).hexdigest()

    def snapshot(self) -> bytes:
        """Return the task, where the episode stands, the screens and the database."""
        device = self.device
        episode = [self._steps, self._seen, self._interrupted, self._answer, self._status, self._over]
        told = json.dumps([self.task.to_json(), episode, device.interface(), device.message]).encode()
        body = len(told).to_bytes(4, "big") + told + device.store.save()
        return seal(_KIND, body)

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot, of this or another environment over the same suite and split.

        Raises `UsageError` for bytes that are no such snapshot, `TaskError` for one of another environment or split.
        """
        told, database = _unpack(snapshot)
        task, episode, interface, message = json.loads(told)
        task = Task.from_json(task)
        if self._play is None or task != self._task:
            self._begin(fitting(self, task))
        device = self.device
        device.store.load(database)
        device.load(interface)
        device.message = message
        self._steps, self._seen, self._interrupted, self._answer, self._status, self._over = episode

    def oracle(self) -> str | None:
        """Return the expert's next action; None at the end, and where a mistake cannot be undone."""
        play = self._playing()
        if self._over:
            return None
        if self._steps >= oracle.PATIENCE and in_haste(self.expert, self.task):
            return "status complete"
        return oracle.next_action(play.goal, play.device, self._seen, self._answer)

    @property
    def device(self) -> Device:
        """The phone being played on; raises `StepError` before the first `reset`."""
        return self._playing().device

    def hierarchy(self) -> str:
        """Return the screen as `uiautomator dump` would write it."""
        return write_hierarchy(self.device.scene.root)

    # --- helpers ------------------------------------------------------------------------------------

    def _begin(self, task: Task) -> None:
        play = self._plays.play(task)
        self.close()
        self._task, self._play = task, play
        self._steps = self._seen = self._interrupted = 0
        self._answer = self._status = ""
        self._over = False
        self._left = (-1, 0)

    def _do(self, device: Device, command: Command) -> None:
        if command.verb == "status":
            device.message, self._status = "", command.text
        elif command.verb == "answer":
            if not 0 < len(command.text) <= LONGEST_TEXT:
                raise Refusal(f"An answer has 1 to {LONGEST_TEXT} characters, this one {len(command.text)}.")
            device.message, self._answer = "Answer noted", command.text
        else:
            device.do(command)

    def _observation(self, first: bool = False) -> Observation:
        text = self._text()
        if first:
            text = f"{text}\nYour task is to: {self._playing().goal.instruction}."
        return {"text": text, "image": self._picture()} if self.pictures else text

    def _text(self) -> str:
        device = self.device
        scene = device.scene
        lines = [f"({device.message})"] if device.message else []
        if self.text == "xml":
            return "\n".join([*lines, write_hierarchy(scene.root)])
        more = [
            f"more {way}"
            for way, there in (("above", scene.layout.more_above), ("below", scene.layout.more_below))
            if there
        ]
        return "\n".join([*lines, *scene.listing.lines, *(f"({each})" for each in more)])

    def _picture(self) -> NDArray[np.uint8]:
        from agentgym.environments.phone.ui.render import draw

        device = self.device
        return draw(device.scene.root, device.below(), device.message)

    def _info(self, valid: bool) -> dict[str, Any]:
        play = self._playing()
        store, goal = play.device.store, play.goal
        if self._left[0] != store.version:
            self._left = (store.version, effort(goal.remaining(store)))
        success = bool(self._status) and goal.solved(store, self._answer, self._status)
        left = self._left[1] + bool(goal.answer and not goal.is_answer(self._answer)) + (not success)
        info: dict[str, Any] = {
            "success": success,
            "progress": max(0.0, 1.0 - left / play.effort),
            "valid": valid,
            "task_id": self.task.id,
            "instruction": goal.instruction,
        }
        if self.admissible:
            ends = [] if self._over else ["status complete", "status infeasible"]
            info["admissible_actions"] = play.device.admissible() + ends
        return info

    def _playing(self) -> Play:
        if self._play is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._play


def _unpack(snapshot: bytes) -> tuple[bytes, bytes]:
    """Split a snapshot into what is told in JSON and the database."""
    body = unseal(_KIND, snapshot)
    length = int.from_bytes(body[:4], "big")
    return body[4 : 4 + length], body[4 + length :]
