"""An environment on a device that you have: the phone's actions and observations over `adb` and `uiautomator`.

    from agentgym.environments.phone.adb import AdbEnv, DeviceTasks

    tasks = DeviceTasks.from_params([{
        "instruction": "turn Wi-Fi off",
        "setup": ["svc wifi enable"],
        "check": "settings get global wifi_on",
        "expect": "0",
    }])
    env = AdbEnv(tasks, serial="emulator-5554")

A task's `setup` are shell commands that run on the device before it begins; it is a success when what `check` writes
matches the regular expression `expect` as a whole, after the agent has said `status complete`. A task with an `answer`
asks for that answer, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from agentgym.core.env import AgentEnv, Observation, Stepping, StepResult
from agentgym.core.errors import StepError, TaskError, UsageError, did_you_mean
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task
from agentgym.environments.phone.actions import Command, Refusal, parse
from agentgym.environments.phone.adb_device import AdbDevice
from agentgym.environments.phone.adb_wire import AdbServer
from agentgym.environments.phone.ui.listing import Listing

ENV_ID = "agentgym/AndroidDevice-v0"
_PARAMS = {"instruction", "setup", "check", "expect", "answer", "task_type"}


class DeviceTasks:
    """A suite of tasks on a device, given as data; those of a split are the ones that say so."""

    name = "android_device"
    version = "1"
    env_id = ENV_ID

    def __init__(self, tasks: Iterable[Task], heldout_differs: str = "As their author says.") -> None:
        self.heldout_differs = heldout_differs
        self._tasks = list(tasks)
        for task in self._tasks:
            unknown = sorted(set(task.params) - _PARAMS)
            if (
                "instruction" not in task.params
                or unknown
                or ("check" in task.params) != ("expect" in task.params)
            ):
                raise TaskError(
                    f"Task {task.id!r} needs an instruction, and both or none of check and expect; it has unknown "
                    f"params {unknown}. Known: {sorted(_PARAMS)}."
                )

    @classmethod
    def from_params(cls, params: Iterable[Mapping[str, Any]], split: Split = Split.TRAIN) -> DeviceTasks:
        """Return a suite with a task of `split` for each of the params, called `device-000` and so on."""
        return cls(Task(f"device-{n:03d}", ENV_ID, split, params=each) for n, each in enumerate(params))

    def tasks(self, split: Split | str) -> Sequence[Task]:
        """Return the tasks of a split."""
        return [task for task in self._tasks if task.split is Split.parse(split)]


class AdbEnv(AgentEnv):
    """Plays tasks on a device behind an `adb` server. It cannot be forked, and knows no expert.

    `pictures` makes the observation a dict with the `text` and a screenshot as `image`. Raises `EnvironmentFault`
    where the device is not to be had.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it
    stepping = Stepping.THREAD

    def __init__(
        self,
        suite: DeviceTasks,
        split: Split = Split.TRAIN,
        *,
        serial: str = "",
        host: str = "127.0.0.1",
        port: int | None = None,
        max_steps: int = 50,
        pictures: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.suite = suite
        self.split = split
        self.max_steps = max_steps
        self.pictures = pictures
        self.render_mode = render_mode
        self.device = AdbDevice(AdbServer(host, port, serial))
        _, _, width, height = self.device.screen
        image = gym.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = gym.spaces.Dict(text=Utf8Text(), image=image) if pictures else Utf8Text()
        self.action_space = Utf8Text()
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(f"The suite has no tasks in split {split.value!r}; choose another.")
        self._task: Task | None = None
        self._shown = Listing([], [])
        self._answer = self._status = ""
        self._steps = 0
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Run a task's set-up and go to the home screen. `options["task"]` is a `Task` or an id."""
        super().reset(seed=seed)
        task = self._chosen(dict(options or {}))
        for command in task.params.get("setup", ()):
            self.device.shell(command)
        self.device.do(Command("home"), self._shown)
        self._task = task
        self._answer = self._status = ""
        self._steps, self._over = 0, False
        observation = self._observe(f"Your task is to: {task.params['instruction']}.")
        return observation, self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        """Do an action on the device. One that cannot be done is told, with `info["valid"]` false."""
        if self._over:
            raise StepError("No episode is being played; call reset() to begin one.")
        if not isinstance(action, str):
            raise UsageError(
                f"An action here is a text command such as 'tap 3', got {type(action).__name__}."
            )
        message, valid = "", True
        try:
            self._do(parse(action))
        except Refusal as refusal:
            message, valid = f"({refusal})", False
        self._steps += 1
        terminated = bool(self._status)
        truncated = not terminated and self._steps >= self.max_steps
        self._over = terminated or truncated
        observation, info = self._observe(message), self._info(valid)
        return observation, float(info["success"]), terminated, truncated, info

    def render(self) -> Any:
        """Return a screenshot, when made with `render_mode="rgb_array"`."""
        return None if self.render_mode is None else self.device.screenshot()

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError("No episode has begun; call reset() first.")
        return self._task

    def state_key(self) -> str:
        """Return a hash of the task, of what the screen says, and of the answer: more of a device is not known."""
        told = "\n".join([self.task.key, self._answer, self._status, *self._shown.lines])
        return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=16).hexdigest()

    # --- helpers ------------------------------------------------------------------------------------

    def _chosen(self, options: dict[str, Any]) -> Task:
        chosen = options.pop("task", None)
        if options:
            unknown = sorted(options)
            raise UsageError(
                f"Unknown reset options {unknown}.{did_you_mean(unknown[0], ['task'])} Known: task."
            )
        if chosen is None:
            return self._tasks[int(self.np_random.integers(len(self._tasks)))]
        for task in self._tasks:
            if chosen in (task, task.id):
                return task
        ids = [task.id for task in self._tasks]
        raise TaskError(f"No such task in split {self.split.value!r}: {chosen!r:.80}. Known: {ids[:8]}.")

    def _do(self, command: Command) -> None:
        if command.verb == "status":
            self._status = command.text
        elif command.verb == "answer":
            self._answer = command.text
        else:
            self.device.do(command, self._shown)

    def _observe(self, line: str) -> Observation:
        _, self._shown = self.device.read()
        first = self._steps == 0
        lines = [*self._shown.lines, line] if first else [*([line] if line else []), *self._shown.lines]
        text = "\n".join(lines)
        return {"text": text, "image": self.device.screenshot()} if self.pictures else text

    def _info(self, valid: bool) -> dict[str, Any]:
        success = self._status == "complete" and self._holds()
        return {
            "success": success,
            "progress": float(success),
            "valid": valid,
            "task_id": self.task.id,
            "instruction": self.task.params["instruction"],
        }

    def _holds(self) -> bool:
        params = self.task.params
        wanted = str(params.get("answer", ""))
        if wanted and self._answer.strip().casefold() != wanted.strip().casefold():
            return False
        if "check" not in params:
            return True
        return (
            re.fullmatch(params["expect"], self.device.shell(params["check"]).strip(), re.DOTALL) is not None
        )
