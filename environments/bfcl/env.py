"""BFCL's multi-turn problems as an environment: calls and messages in, responses and requests out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.core.choosing import chosen_task, fitting
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import StepError, UsageError
from agentgym.core.spaces import DialogueSpace, Utf8Text
from agentgym.core.task import Split, Task, content_hash
from agentgym.core.tool import ToolCall, ToolSpec
from agentgym.environments.bfcl.oracle import next_action
from agentgym.environments.bfcl.problem import Problem
from agentgym.environments.bfcl.tasks import BfclSuite

_RULES = "(Call tools, one at a time, until this is done. A plain message to the user ends your turn.)"
_KIND = "agentgym bfcl 1"
"""What a snapshot begins with."""


class BfclEnv(AgentEnv):
    """Plays the problems of one split of a suite.

    An action is a call of a tool, or a message to the user (any text), which ends the turn; then the user asks for
    the next thing. The observation is what the call returned, or the user's request. Each ended turn is checked as
    the official checker does; a turn that fails ends the episode, for nothing could mend it. The reward is 1.0
    when the last turn has passed, 0.0 on every other step. After `max_steps` actions the episode is cut off.

    `info["verdict"]`, at the end of an episode, is `valid` or the official type of the error.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        suite: BfclSuite,
        split: Split = Split.TRAIN,
        *,
        max_steps: int = 100,
        render_mode: str | None = None,
    ) -> None:
        if max_steps < 1:
            raise UsageError(f"max_steps must be at least 1, got {max_steps}.")
        if render_mode not in (None, "ansi"):
            raise UsageError(f"render_mode must be 'ansi' or None, got {render_mode!r}.")
        self.suite = suite
        self._problems = suite
        self.split = split
        self.max_steps = max_steps
        self.render_mode = render_mode
        self._tasks = suite.tasks(split)
        if not self._tasks:
            raise UsageError(f"Suite {suite.name!r} has no tasks in split {split.value!r}; choose another.")
        self.observation_space = Utf8Text()
        self._task: Task | None = None
        self._begin(suite.problem(self._tasks[0]))

    # --- Gymnasium ----------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin a task: `options["task"]` (a `Task` or an id), else one drawn from the split by the seed.

        Raises `TaskError` for a task of another environment or split, or an unknown id.
        """
        super().reset(seed=seed)
        return self._start(chosen_task(self, options, self._tasks, self._problems.task))

    def step(self, action: Any) -> StepResult:
        """Call a tool, or say something to the user.

        A call that cannot be made returns what is wrong with it, and `info["valid"]` is false. Raises `StepError`
        before the first `reset` and after the end of the episode.
        """
        if self._task is None or self._over:
            raise StepError(self._why_no_step())
        if not isinstance(action, str | ToolCall):
            raise UsageError(
                f"An action here is a ToolCall or a message to the user, got {type(action).__name__}."
            )
        self._actions.append(action)
        observation, valid = self._call(action) if isinstance(action, ToolCall) else (self._end_turn(), True)
        self._seen = observation
        truncated = not self._over and len(self._actions) >= self.max_steps
        self._over = self._over or truncated
        success = self._verdict == "valid"
        return observation, float(success), bool(self._verdict), truncated, self._info(valid)

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return where the conversation stands, when made with `render_mode="ansi"`."""
        if self.render_mode is None:
            return None
        turn = f"Turn {min(self._turn + 1, self._problem.turns)} of {self._problem.turns} of {self.task.id}"
        return f"{turn}, {len(self._made)} calls in it.\n{self._seen}"

    # --- agentgym -----------------------------------------------------------------------------------

    @property
    def tools(self) -> Sequence[ToolSpec]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What is offered now: without the functions that the problem reveals in a later turn."""
        return self._tools

    @property
    def task(self) -> Task:
        """The task being played; raises `StepError` before the first `reset`."""
        if self._task is None:
            raise StepError(self._why_no_step())
        return self._task

    def state_key(self) -> str:
        """Return a hash of the problem, the turn, the APIs' states, and what the checks to come need to know.

        That is whether this turn has had a call, and which responses they look for have been given already.
        """
        key = self.task.key
        if self._over:
            return content_hash([key, self._turn, self._verdict])
        needed = self._problem.needed[self._turn]
        given = Counter(self._responses) & needed
        return content_hash([key, self._turn, bool(self._made), sorted(given.items()), self._apis.state()])

    def snapshot(self) -> bytes:
        """Return the task and the actions taken: they are played again by `restore`, in about a millisecond."""
        actions = [
            each if isinstance(each, str) else {"name": each.name, "arguments": dict(each.arguments)}
            for each in self._actions
        ]
        return json.dumps({"kind": _KIND, "task": self.task.id, "actions": actions}).encode()

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot, of this or another environment over the same suite and split.

        Raises `UsageError` for bytes that are no such snapshot, `TaskError` for one of another split.
        """
        try:
            saved: Any = json.loads(snapshot)
            if saved["kind"] != _KIND:
                raise ValueError(saved["kind"])
            actions = [each if isinstance(each, str) else ToolCall(**each) for each in saved["actions"]]
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"These {len(snapshot)} bytes are no snapshot of a BFCL environment ({error!r:.80}); restore one in "
                "an environment of the kind that made it."
            ) from None
        self._start(fitting(self, self._problems.task(str(saved["task"]))))
        for action in actions:
            self.step(action)

    def oracle(self) -> ToolCall | str | None:
        """Return the benchmark's next right call, or the message that ends the turn; None after the end."""
        return None if self._over else next_action(self._problem.right_calls[self._turn], self._made)

    # --- helpers ------------------------------------------------------------------------------------

    def _begin(self, problem: Problem) -> None:
        self._problem = problem
        self._apis = problem.start()
        self._tools = problem.tools(0)
        self.action_space = DialogueSpace(self._tools)
        self._actions: list[str | ToolCall] = []
        self._turn = 0
        self._made: list[ToolCall] = []
        """The calls of this turn."""
        self._responses: list[str] = []
        """What the calls of all turns returned."""
        self._verdict = ""
        self._over = False
        self._seen = ""

    def _start(self, task: Task) -> tuple[str, dict[str, Any]]:
        self._begin(self._problems.problem(task))
        self._task = task
        self._seen = f"{self._problem.request(0)}\n{_RULES}"
        return self._seen, self._info(valid=True)

    def _call(self, call: ToolCall) -> tuple[str, bool]:
        response = self._apis.call(call, [tool.name for tool in self._tools])
        # The official checker counts a call that fails like any other.
        self._made.append(call)
        self._responses.append(response.text)
        return response.text, response.reached

    def _end_turn(self) -> str:
        verdict = self._problem.check(self._turn, self._apis, bool(self._made), self._responses)
        if not verdict["valid"]:
            self._verdict = verdict["error_type"]
            self._over = True
            return f"The conversation ends here: {verdict['error_message']}"
        self._turn += 1
        self._made = []
        if self._turn == self._problem.turns:
            self._verdict = "valid"
            self._over = True
            return "The conversation is over. Everything asked for has been done."
        return self._next_request()

    def _next_request(self) -> str:
        new = self._problem.appearing(self._turn)
        if not new:
            return self._problem.request(self._turn)
        self._tools = self._problem.tools(self._turn)
        # Whoever was told of the tools at the beginning of the episode learns of the new ones here.
        docs = [json.dumps(tool.to_openai()["function"]) for tool in new]
        return "\n".join([*docs, self._problem.request(self._turn)])

    def _info(self, valid: bool) -> dict[str, Any]:
        info: dict[str, Any] = {
            "success": self._verdict == "valid",
            "progress": self._turn / self._problem.turns,
            "valid": valid,
            "task_id": self.task.id,
            "instruction": self._problem.request(min(self._turn, self._problem.turns - 1)),
        }
        if self._verdict:
            info["verdict"] = self._verdict
        return info

    def _why_no_step(self) -> str:
        if self._task is None:
            return "No episode has begun; call reset() first."
        return f"The episode is over after {len(self._actions)} actions; call reset() to begin another."
