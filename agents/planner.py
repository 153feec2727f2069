"""Planner, executor, verifier and generator over a shared memory, in the manner of AgentFlow (arXiv 2510.05592).

Each module's call is a completion of the one policy, sampled for the memory and the module's own request under it. As
the memory only grows, a call has all of it in common with the calls before: a policy that keeps keys and values
computes each line once, and so does the trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from agentgym.agents.chat import ActionFormat, command_reader
from agentgym.agents.conversation import History, Voice
from agentgym.agents.pictures import pictures
from agentgym.agents.remembering import Remembrance
from agentgym.agents.reminding import Reminding
from agentgym.agents.talking import (
    ATTEMPTS,
    Reading,
    TalkingAgent,
    TalkingSettings,
    no_drift_here,
    tool_reader,
)
from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Completion, FinishReason, Policy
from agentgym.core.trace import Versions

PROMPT = "You solve a task step by step. The memory says what has been done; then you are told what to add."
PLANNER = "As the planner, say in one line what to do next, and why."
VERIFIER = "As the verifier, say whether the task is done. Begin with 'done' or 'go on'."
EXECUTOR = "As the executor, carry out the plan: answer with one {form}."
GENERATOR = "As the generator, bring the task to its end: answer with one {form}."
COMMAND, TAGGED_COMMAND, CALL = "command", "command inside <action> and </action>", "tool call"


class PlannerAgent(TalkingAgent):
    """Plans a step, carries it out, looks whether the task is done, and if so says the last word.

    The planner's plan is carried out by the executor, whose answer is the action. After the result the verifier
    says whether to go on; where not, the generator's answer is the action in place of the next plan. Works in text
    worlds and in worlds with tools. In AgentFlow only the planner is trained, beside fixed modules; here all four
    are the policy and share the credit of the decision.
    """

    def __init__(
        self, policy: Policy, *, action_format: ActionFormat = "plain", **settings: Unpack[TalkingSettings]
    ) -> None:
        super().__init__(policy, **settings)
        no_drift_here(self)
        self.action_format: ActionFormat = action_format

    def start(self, start: EpisodeStart) -> PlannerSession:
        """Begin an episode with an empty memory."""
        return PlannerSession(self, start)

    def write(self, action: Action) -> str:
        """Raise `UsageError`: what leads to an action here is more than one answer."""
        raise UsageError(
            f"The agent {self.name!r} takes several answers to an action, so {action!s:.80} cannot be dictated to it; "
            "use 'chat', 'react' or 'toolcalling' for demonstrations and replayed turns."
        )


class Memory:
    """What has been done so far, as text that only grows; shown are the step under way and `history` before it."""

    def __init__(self, history: History) -> None:
        self._history: History = history
        self._task = ""
        self._steps: list[list[str]] = []

    def begin(self, task: str) -> None:
        """Note the task."""
        self._task = task

    def step(self) -> None:
        """Begin a step."""
        self._steps.append([f"Step {len(self._steps) + 1}"])

    def note(self, kind: str, text: str) -> None:
        """Add a line to the step."""
        self._steps[-1].append(f"{kind}: {text}")

    def __str__(self) -> str:
        shown = self._steps if self._history == "full" else self._steps[-self._history - 1 :]
        return "\n".join([self._task, *(line for step in shown for line in step)])


class _NoRoom(Exception):
    """A module's call no longer fits the context."""


class PlannerSession:
    """The memory of one episode and the modules at work on it."""

    def __init__(self, agent: PlannerAgent, start: EpisodeStart) -> None:
        tools = start.env.tools
        self._agent = agent
        self._voice = Voice(agent.policy, agent.sampling, start, lambda: tools)
        self._read = tool_reader(start) if tools else command_reader(agent.action_format)
        self._form = CALL if tools else COMMAND if agent.action_format == "plain" else TAGGED_COMMAND
        prompt = PROMPT if agent.system_prompt is None else agent.system_prompt
        self._opening = [Message("system", prompt)] if prompt else []
        self._memory = Memory(agent.history)
        self._notes = Remembrance(agent.memory, start)
        self._reminding = Reminding(agent.reminders)
        self._begun = False
        self._pictures: tuple[str, ...] = ()
        """What is to be seen now: every module looks at it."""
        self._said: list[Completion] = []
        self._news: list[Message] = []

    @property
    def versions(self) -> Versions:
        """Which state of the agent's memory the episode is played with."""
        return self._notes.versions

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        """Look at the last step's result, plan the next step and carry it out."""
        self._said, self._news = [], [] if self._begun else [*self._opening]
        self._pictures = pictures(observation)
        try:
            told = self._agent.describe(observation, info, first=not self._begun)
            told = self._reminding.under(told, info)
            reading = await self._next(told if self._begun else await self._notes.before(told))
        except _NoRoom:
            reading = Reading("", False)
        *thoughts, completion = self._said
        said, news = tuple(self._news), self._notes.news()
        return Decision(reading.action, reading.valid, said, completion, tuple(thoughts), *news)

    def close(self) -> None:
        """End the policy's session."""
        self._voice.close()

    async def _next(self, told: str) -> Reading:
        memory = self._memory
        self._news.append(Message("user", told))
        done = False
        if self._begun:
            memory.note("Result", told)
            verdict = await self._ask(VERIFIER)
            memory.note("Verdict", verdict)
            done = verdict.lower().startswith("done")
        else:
            memory.begin(told)
            self._begun = True
        memory.step()
        if done:
            return await self._carry_out(GENERATOR)
        memory.note("Plan", await self._ask(PLANNER))
        return await self._carry_out(EXECUTOR)

    async def _carry_out(self, request: str) -> Reading:
        """Ask a module for an action until there is nothing to complain of, or it is enough."""
        attempts = 0
        while True:
            attempts += 1
            self._memory.note("Action", await self._ask(request.format(form=self._form)))
            reading = self._read(self._said[-1])
            if not reading.complaint or attempts == ATTEMPTS:
                return reading
            self._memory.note("Result", reading.complaint)

    async def _ask(self, request: str) -> str:
        """Return a module's answer to its request under the memory."""
        prompt = Message("user", f"{self._memory}\n\n{request}", images=self._pictures)
        completion = await self._voice.answer([*self._opening, prompt])
        self._said.append(completion)
        self._news += [Message("user", request), completion.as_message()]
        if completion.finish_reason is FinishReason.CONTEXT:
            raise _NoRoom
        return completion.text.strip()
