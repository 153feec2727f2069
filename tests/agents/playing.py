"""A policy that says what it is told to, and plays with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from agentgym.agents.talking import TalkingAgent
from agentgym.core.message import Message
from agentgym.core.policy import Completion, Dictation, FinishReason, GenerationRequest
from agentgym.core.trace import Episode
from agentgym.policies.tool_calls import parse_answer
from agentgym.rollout.episode import run_episode
from tests.agents.boxes import ToolBoxes, task


class Parrot:
    """Says the given answers in turn and remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.requests: list[GenerationRequest] = []
        self.ended: list[str] = []

    @property
    def version(self) -> int:
        return 7

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        return [self._answer(request) for request in requests]

    def end_session(self, session_id: str) -> None:
        self.ended.append(session_id)

    def _answer(self, request: GenerationRequest) -> Completion:
        self.requests.append(request)
        text = self.answers.pop(0) if request.dictated is None else str(request.dictated)
        message = parse_answer(text, f"{len(self.requests)}") if request.tools else None
        return Completion(text, FinishReason.STOP, self.version, message=message)


def call(name: str, arguments: Any = None, **more: Any) -> str:
    """What a model writes to call a tool."""
    data = {"name": name, "arguments": more if arguments is None else arguments}
    return f"<tool_call>\n{json.dumps(data)}\n</tool_call>"


def play(
    agent: TalkingAgent,
    env: type[ToolBoxes],
    *,
    prize: int = 2,
    prefix: Sequence[Dictation] = (),
    max_turns: int = 8,
) -> Episode:
    playing = run_episode(
        env(),
        agent,
        task(env, prize),
        episode_id="episode",
        group_id="group",
        seed=5,
        max_turns=max_turns,
        prefix=prefix,
    )
    return asyncio.run(playing)


def script(messages: Sequence[Message]) -> list[str]:
    """Messages as lines, with the calls they make and the answers to calls marked."""
    lines: list[str] = []
    for message in messages:
        calls = "".join(f" [{call}]" for call in message.tool_calls)
        result = f" ({message.tool_call_id})" if message.tool_call_id else ""
        lines.append(f"{message.role}{result}: {message.content}{calls}")
    return lines
