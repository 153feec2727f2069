"""The back office as an environment: calls of tools in, results and the user's words out, 1.0 for success."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, Stepping, StepResult
from agentgym.core.errors import StepError, UsageError
from agentgym.core.haste import known_expert
from agentgym.core.sealing import seal, unseal
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall
from agentgym.environments.backoffice import oracle
from agentgym.environments.backoffice.actions import AnyCallSpace
from agentgym.environments.backoffice.counter import Counter
from agentgym.environments.backoffice.facts import values
from agentgym.environments.backoffice.plain_text import teach
from agentgym.environments.backoffice.tasks import BackofficeSuite
from agentgym.environments.backoffice.user import Voice

_KIND = "backoffice 1"
"""Of snapshots."""


class BackofficeEnv(AgentEnv):
    """Plays the tasks of one split of a suite.

    The first observation is the policy and what the user says; after it, the result of each call as JSON, or what
    the user answers to a `reply`. What cannot be done is an observation that begins with `Error:` and says which
    argument was wrong and what was expected. The episode ends when the user goes: reward 1.0 where the database is as
    the policy wants it and all that was asked for has been told, 0.0 otherwise and on every other step; or after
    `max_steps` steps. `expert` says whose play `oracle` gives: `careful` solves every task, `hasty` looks nothing up on
    three in five of them. `voice` puts the user's lines in other words; what loses or adds a figure is said as the script has
    it.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        suite: BackofficeSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 60,
        voice: Voice | None = None,
        render_mode: str | None = None,
        expert: str = "careful",
    ) -> None:
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        if render_mode not in (None, "ansi"):
            raise UsageError(f"render_mode must be 'ansi' or None, got {render_mode!r}.")
        if not (voice is None or callable(voice)):
            raise UsageError(
                f"voice must be a function of a line and the talk so far, or None, got {voice!r:.60}."
            )
        self.suite = suite
        self._scripts = suite
        self.split = split
        self.max_steps = max_steps
        self.render_mode = render_mode
        self.expert = known_expert(expert)
        self._voice = voice
        if voice is not None:  # a model takes its time
            self.stepping = Stepping.THREAD
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(
                f"Suite {suite.name!r} has no such tasks in split {split.value!r}; choose another."
            )
        self.observation_space = Utf8Text()
        self._counter = Counter(self._tasks[0], suite.script(self._tasks[0]))
        self.tools = self._counter.tools.specs
        self.action_space = AnyCallSpace(self.tools)
        self._task: Task | None = None
        self._talk: list[tuple[str, str]] = []
        self._steps = 0
        self._over = True

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id.
        """
        super().reset(seed=seed)
        self._enter(chosen_task(self, options, self._tasks, self._scripts.task))
        self._talk, self._steps, self._over = [], 0, False
        opening = f"{self._counter.policy}\nUser: {self._said(self._counter.user.wants)}"
        return opening, self._info(valid=True)

    def step(self, action: Any) -> StepResult:
        """Make a call. A text, or a call that cannot be made, is answered with what to do instead, and
        `info["valid"]` is false.

        Raises `StepError` before the first `reset` and after the end of the episode.
        """
        if self._task is None or self._over:
            raise StepError(self._why_no_step())
        if isinstance(action, str):
            observation, valid = (
                teach(action, self._counter.reply_name, [spec.name for spec in self.tools]),
                False,
            )
        elif isinstance(action, ToolCall):
            observation, valid = self._called(action)
        else:
            raise UsageError(f"An action here is a ToolCall, or a text, got {type(action).__name__}.")
        self._steps += 1
        ended = self._counter.user.over
        won = ended and self._counter.success
        self._over = ended or self._steps >= self.max_steps
        return observation, float(won), ended, self._over and not ended, self._info(valid)

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what the user wants and what has changed so far, when made with `render_mode="ansi"`."""
        if self.render_mode is None:
            return None
        counter = self._playing()
        changed = [
            f"{what} {table}: {', '.join(map(str, row))}"
            for what, table, row in sorted(counter.changed, key=str)
        ]
        return "\n".join([f"Task {self.task.id}, step {self._steps}. User: {counter.user.wants}", *changed])

    def close(self) -> None:
        """Free the database."""
        self._counter.desk.close()

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError(self._why_no_step())
        return self._task

    def state_key(self) -> str:
        """Return a hash of the task, what has changed in its database, and where the user is."""
        return self._playing().key()

    def snapshot(self) -> bytes:
        """Return the task, the database, where the user is and what has been looked up."""
        counter = self._playing()
        state = [self.task.to_json(), self._steps, self._over, self._talk, counter.save_talk()]
        body = zlib.compress(json.dumps(state).encode() + b"\0" + counter.desk.save(), 1)
        return seal(_KIND, body)

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot, of this or another environment over the same suite and split.

        Raises `UsageError` for bytes that are no such snapshot, `TaskError` for one of another environment or split.
        """
        state, database = _unpack(snapshot)
        task, steps, over, talk, place = json.loads(state)
        self._enter(fitting(self, Task.from_json(task)))
        self._counter.desk.load(database)
        self._counter.load_talk(place)
        self._talk = [(who, what) for who, what in talk]
        self._steps, self._over = steps, over

    def oracle(self) -> ToolCall | None:
        """Return the expert's next call; None when the user has gone."""
        counter = self._playing()
        guess = oracle.guess_of(self.expert, self.task)
        found = oracle.next_call(counter.script, counter.user, counter.changed, counter.looked_up, guess)
        return None if found is None else counter.tools.translate(found)

    # --- helpers ------------------------------------------------------------------------------------

    def _called(self, call: ToolCall) -> tuple[str, bool]:
        """Make a call; return what is observed, and whether it could be made."""
        result = self._counter.call(call)
        if result.answer is None:
            return result.text, result.valid
        self._talk.append(("agent", result.text))
        return f"User: {self._said(result.answer)}", True

    def _said(self, line: str) -> str:
        """Return a line as the user says it: in the voice's words where they tell the same figures, else as it is."""
        if self._voice is not None:
            said = self._voice(line, tuple(self._talk))
            line = said if said and values(said) == values(line) else line
            self._talk.append(("user", line))
        return line

    def _enter(self, task: Task) -> None:
        """Open the database of `task` anew."""
        if task != self._counter.task:
            script = self._scripts.script(task)
            self._counter.desk.close()
            self._counter = Counter(task, script)
            self.tools = self._counter.tools.specs
            self.action_space = AnyCallSpace(self.tools)
        else:
            self._counter.reset()
        self._task = task

    def _info(self, valid: bool) -> dict[str, Any]:
        counter = self._counter
        return {
            "success": counter.user.over and counter.success,
            "progress": counter.progress,
            "valid": valid,
            "task_id": self.task.id,
            "instruction": counter.user.wants.rstrip("."),
        }

    def _playing(self) -> Counter:
        if self._task is None:
            raise StepError(self._why_no_step())
        return self._counter

    def _why_no_step(self) -> str:
        if self._task is None:
            return "No episode has begun; call reset() first."
        return f"The episode is over after {self._steps} steps; call reset() to begin another."


def _unpack(snapshot: bytes) -> tuple[bytes, bytes]:
    """Split a snapshot into its state as JSON and its database."""
    state, _, database = zlib.decompress(unseal(_KIND, snapshot)).partition(b"\0")
    return state, database
