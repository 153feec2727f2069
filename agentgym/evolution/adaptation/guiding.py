"""Guides: what an agent is told of its earlier attempts at the task. A guide lives as long as the attempts do, and is kept
nowhere: so it may be made of tasks that nothing may be learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from agentgym.agents.follower.procedure import STEPS, WHEN, wish_of
from agentgym.core.agent import EpisodeStart
from agentgym.core.asking import Questions
from agentgym.core.memory import Memory, Recollection
from agentgym.core.policy import Policy, Sampling
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Versions
from agentgym.memory.rendering import neutral
from agentgym.memory.transcripts import Transcript

OPENING = "<guide>\nWritten after your earlier attempts at this task."
CLOSING = "</guide>"

WORKED = "Write down the steps that solved the task, so that they can be taken again."
FAILED = "Write down what was not possible, so that it is not tried again."


class GuideWriter(Protocol):
    """Turns an attempt into a guide for the next."""

    async def write(self, prompt: str, attempt: Transcript, guide: str) -> str:
        """Return the guide that `prompt` asks for; it replaces `guide`, the last one."""
        ...


class PolicyGuides:
    """Asks a policy. Raises `InferenceFault` where it does not answer."""

    def __init__(self, policy: Policy, *, max_tokens: int = 500) -> None:
        self._questions = Questions(policy, "guide", Sampling(temperature=0.0, max_tokens=max_tokens))

    async def write(self, prompt: str, attempt: Transcript, guide: str) -> str:
        """Return the policy's answer to the prompt, the last guide and the attempt; see `GuideWriter`."""
        parts = [prompt, f"The guide so far:\n{guide}" if guide else "", f"The attempt:\n{attempt}"]
        parts.append(f"It {'solved' if attempt.success else 'did not solve'} the task.")
        return (await self._questions.ask("\n\n".join(filter(None, parts)))).strip()


class ScriptedGuides:
    """Does what `WORKED` and `FAILED` ask for, without a model, and knows no other prompts."""

    async def write(self, prompt: str, attempt: Transcript, guide: str) -> str:
        """Return the steps of a success as a procedure, or what was not possible; else the guide as it was."""
        if prompt == WORKED and attempt.success:
            done = [step.action for step in attempt.steps if step.valid]
            steps = [f"{number}. {action}" for number, action in enumerate(done, 1)]
            return "\n".join([f"{WHEN}{wish_of(attempt.situation)}", STEPS, *steps])
        if prompt == FAILED:
            wrong = dict.fromkeys(step.action for step in attempt.steps if not step.valid)
            return "\n".join(["Not possible:", *wrong]) if wrong else guide
        return guide


class Guided:
    """A memory, or none, with guides for some tasks before it; implements `agentgym.core.memory.Memory`."""

    def __init__(self, memory: Memory | None, guides: Mapping[str, str]) -> None:
        """Take guides by the key of their task."""
        self._memory = memory
        self._guides = guides

    @property
    def versions(self) -> Versions:
        """Those of the memory."""
        return self._memory.versions if self._memory is not None else Versions()

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Those of the memory."""
        return self._memory.tools if self._memory is not None else ()

    async def recall(self, start: EpisodeStart, situation: str) -> Recollection:
        """Return the guide of the task and what the memory has."""
        guide = self._guides.get(start.task.key, "")
        found = Recollection() if self._memory is None else await self._memory.recall(start, situation)
        block = "\n".join([OPENING, neutral(guide), CLOSING]) if guide else ""
        return replace(found, text="\n\n".join(filter(None, [block, found.text])))

    async def call(self, start: EpisodeStart, name: str, arguments: Mapping[str, Any]) -> Recollection:
        """Let the memory answer."""
        return Recollection() if self._memory is None else await self._memory.call(start, name, arguments)
