"""The mail room as an environment: commands in, sentences out, 1.0 when every letter is in its hole."""

from __future__ import annotations

import json
from typing import Any

from agentgym.cli.starters.environment.starter_world.tasks import HOLES, StarterWorldSuite
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import StepError, TaskError, UsageError
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task, content_hash


class StarterWorldEnv(AgentEnv):
    """Plays the tasks of one split. An episode ends when all letters are sorted, at the first letter in a wrong
    hole, or after `max_steps` commands."""

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        suite: StarterWorldSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 12,
        render_mode: str | None = None,
    ) -> None:
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        if render_mode not in (None, "ansi"):
            raise UsageError(f"render_mode must be 'ansi' or None, got {render_mode!r}.")
        self.suite = suite
        self._find = suite.task
        self.split = split
        self.render_mode = render_mode
        self.max_steps = max_steps
        self.observation_space = Utf8Text()
        self.action_space = Utf8Text(4096)
        self._task: Task | None = None
        self._over = True

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError("No task yet: call reset() first.")
        return self._task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin a task: the one in `options["task"]` (a `Task` or an id), or one drawn from the seed."""
        super().reset(seed=seed)
        task = self._chosen((options or {}).get("task"))
        self._task = task
        self._people: list[str] = list(task.params["people"])
        self._waiting: list[str] = list(task.params["letters"])
        self._held = ""
        self._informed = False
        self._failed = False
        self._steps = 0
        self._over = False
        self._said = f"On the table: {self._on_table()}. Holes are numbered 1 to {HOLES}."
        return self._said, self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        """Carry out a command. What cannot be done is said, and changes nothing."""
        if self._over:
            raise StepError("The episode is over: call reset() first.")
        self._steps += 1
        done = self._obey(action.split()) if isinstance(action, str) else None
        self._said = done or f"Nothing happens. You can: {', '.join(self._admissible())}."
        terminated = self._failed or self._solved
        truncated = not terminated and self._steps >= self.max_steps
        self._over = terminated or truncated
        return self._said, float(self._solved), terminated, truncated, self._info(valid=done is not None)

    def state_key(self) -> str:
        """Return a hash of the task and of all that still matters about its state."""
        return content_hash([self.task.key, self._waiting, self._held, self._informed, self._failed])

    def snapshot(self) -> bytes:
        """Return everything needed to come back here."""
        state = [self._waiting, self._held, self._informed, self._failed, self._steps, self._over, self._said]
        return json.dumps([self.task.to_json(), state]).encode()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot; raises `UsageError` for one of another kind."""
        try:
            task, state = json.loads(snapshot)
        except (ValueError, TypeError) as error:
            raise UsageError(f"Not a snapshot of {type(self).__name__}: {error}.") from error
        self.reset(options={"task": Task.from_json(task)})
        self._waiting, self._held, self._informed, self._failed, self._steps, self._over, self._said = state

    def oracle(self) -> str | None:
        """Return the expert's next command."""
        if self._over:
            return None
        if not self._informed:
            return "read board"
        if self._held:
            return f"put in {self._people.index(self._held) + 1}"
        return f"take {self._waiting[0]}"

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what was said last."""
        return self._said if self.render_mode == "ansi" else None

    def _chosen(self, wanted: Any) -> Task:
        """Return the task that was asked for, or one drawn from the seed; raises `TaskError`."""
        if wanted is None:
            tasks = self.suite.tasks(self.split)
            return tasks[int(self.np_random.integers(len(tasks)))]
        task = self._find(wanted) if isinstance(wanted, str) else wanted
        if not isinstance(task, Task) or task.env_id != self.suite.env_id:
            raise TaskError(f"{self.suite.name} plays tasks of its own suite or their ids, got {task!r:.80}.")
        if task.split is not self.split:
            raise TaskError(
                f"Task {task.id!r} is of split {task.split.value!r}, and this environment plays {self.split.value!r}; "
                f"make one with split={task.split.value!r}."
            )
        return task

    @property
    def _solved(self) -> bool:
        return not self._waiting and not self._held and not self._failed

    def _obey(self, words: list[str]) -> str | None:
        """Carry out a command and say what happened; None where it cannot be done."""
        match words:
            case ["read", "board"]:
                self._informed = True
                seats = ", ".join(f"{name} {hole}" for hole, name in enumerate(self._people, 1))
                return f"The board says: {seats}."
            case ["take", name] if name in self._waiting and not self._held:
                self._waiting.remove(name)
                self._held = name
                return f"You hold the letter to {name}."
            case ["put", "in", hole] if self._held and hole in map(str, range(1, HOLES + 1)):
                return self._put(int(hole))
            case _:
                return None

    def _put(self, hole: int) -> str:
        name, self._held = self._held, ""
        self._failed = self._people[hole - 1] != name
        if self._failed:
            return f"That was not {name}'s hole. You are sent home."
        return "All letters are sorted." if self._solved else f"Sorted. On the table: {self._on_table()}."

    def _on_table(self) -> str:
        return ", ".join(f"a letter to {name}" for name in self._waiting) or "nothing"

    def _admissible(self) -> list[str]:
        if self._over:
            return []
        if self._held:
            return ["read board", *(f"put in {hole}" for hole in range(1, HOLES + 1))]
        return ["read board", *(f"take {name}" for name in self._waiting)]

    def _info(self, *, valid: bool) -> dict[str, Any]:
        letters = len(self.task.params["letters"])
        left = len(self._waiting) + bool(self._held)
        return {
            "admissible_actions": self._admissible(),
            "success": self._solved,
            "progress": 0.0 if self._failed else 1.0 - left / letters,
            "valid": valid,
            "task_id": self.task.id,
            "instruction": f"put the letters to {' and '.join(self.task.params['letters'])} in their holes",
        }
