"""Second attempts: episodes played once more with advice in their context, and recorded as if without it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentgym.agents.talking import TalkingAgent
from agentgym.core.agent import AgentSession, Decision, EpisodeStart
from agentgym.core.env import AgentEnv
from agentgym.core.message import Message
from agentgym.core.trace import Episode
from agentgym.policies.rendering import ChatRenderer
from agentgym.rollout.collect import EpisodePlan, collect, derive_seed
from agentgym.rollout.monitor import Monitor
from agentgym.rollout.rules import Rules
from agentgym.training.conversations import in_context, inserted, task_message, without
from agentgym.training.critique import critique


@dataclass(frozen=True, slots=True)
class SecondTries:
    """Lets an agent try again."""

    agent: TalkingAgent
    renderer: ChatRenderer
    make_env: Callable[[], AgentEnv]
    max_turns: int
    concurrency: int
    rules: Rules
    monitor: Monitor

    def after(self, firsts: Sequence[Episode]) -> list[Episode]:
        """Return a second attempt for each episode, played with a critique of the first in its context and then
        put into the context without it: same answers, same ids. Their log-probabilities are the sampler's,
        with the critique in sight."""
        plans = [
            EpisodePlan(
                first.task,
                f"{first.id}/second",
                first.group_id,
                first.seed,
                agent_seed=derive_seed(first.seed, "second attempt"),
            )
            for first in firsts
        ]
        advice = {plan.episode_id: critique(first) for plan, first in zip(plans, firsts, strict=True)}
        played = asyncio.run(
            collect(
                plans,
                _Advised(self.agent, advice),
                self.make_env,
                concurrency=self.concurrency,
                max_turns=self.max_turns,
                rules=self.rules,
                monitor=self.monitor,
            )
        )
        return [self._unadvised(episode, advice[episode.id]) for episode in played]

    def _unadvised(self, episode: Episode, advice: str) -> Episode:
        def edit(position: int, messages: list[Message]) -> list[Message]:
            return without(messages, task_message(messages), advice)

        if not episode.turns:
            return episode
        stripped = in_context(episode, self.renderer, self.agent.history, edit, lasting=True)
        first, *others = stripped.turns
        told = first.messages_delta
        opened = replace(first, messages_delta=tuple(without(told, task_message(told), advice)))
        return replace(stripped, turns=(opened, *others))


@dataclass(frozen=True, slots=True)
class _Advised:
    """A chat agent that is told something with each task."""

    chat: TalkingAgent
    advice: Mapping[str, str]
    name: str = "second attempt"

    def start(self, start: EpisodeStart) -> AgentSession:
        return _AdvisedSession(self.chat.start(start), self.advice[start.session_id])


@dataclass(slots=True)
class _AdvisedSession:
    session: AgentSession
    advice: str

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        if self.advice:
            observation = _with_text(observation, self.advice)
            self.advice = ""
        return await self.session.act(observation, info)

    def close(self) -> None:
        self.session.close()


def _with_text(observation: Any, text: str) -> Any:
    """Return an observation with a paragraph more."""
    if isinstance(observation, str):
        return inserted([Message("user", observation)], 0, text)[0].content
    return {**observation, "text": _with_text(observation["text"], text)}
