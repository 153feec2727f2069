"""Demonstrations: the oracle's play as token episodes that a policy can be trained on.

`demonstrate` plays and notes the actions; `tokenise` plays them again through the chat agent, with a
policy that says what it is told to, so that a demonstration has exactly the tokens the trained policy
would see. Both are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from agentgym.agents.chat import ChatAgent, format_action
from agentgym.core.agent import AgentSession, Decision, EpisodeStart
from agentgym.core.env import AgentEnv
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.policy import Completion, FinishReason, GenerationRequest
from agentgym.core.task import Task
from agentgym.core.trace import Episode
from agentgym.policies.rendering import ChatRenderer, Exchange
from agentgym.rollout.collect import EpisodePlan, collect


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What was done on a task, and which of it was the oracle's doing."""

    task: Task
    seed: int
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    expert: tuple[bool, ...]


def demonstrate(
    env: AgentEnv, task: Task, *, noise: float, seed: int, max_turns: int
) -> Demonstration | None:
    """Play `task` by the oracle, straying with probability `noise`.

    A stray action is one that was admissible at some point of the episode so far: often it changes where
    the oracle goes on from, sometimes it is invalid by now, so that demonstrations show recovery from both.

    Returns None where the task is not solved within `max_turns`. Raises `UsageError` where the
    environment has no oracle.
    """
    random = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed, options={"task": task})
    observations, actions, expert = [str(observation)], list[str](), list[bool]()
    if env.oracle() is None:
        raise UsageError(f"{task.env_id} has no oracle for task {task.id!r}; train without `warm_start`.")
    known: dict[str, None] = {}
    for _ in range(max_turns):
        choice = env.oracle()
        if choice is None:
            break
        known |= dict.fromkeys(info.get("admissible_actions", ()))
        stray = bool(random.random() < noise)
        if stray:
            choice = _random_action(list(known), random)
        observation, _, terminated, truncated, info = env.step(choice)
        observations.append(str(observation))
        actions.append(str(choice))
        expert.append(not stray)
        if info["success"]:
            return Demonstration(task, seed, tuple(observations), tuple(actions), tuple(expert))
        if terminated or truncated:
            break
    return None


def _random_action(known: Sequence[str], random: np.random.Generator) -> str:
    if not known:
        raise ConfigError(
            "This environment does not tell its admissible actions, so demonstrations cannot stray; "
            "set `warm_start.noise = 0`."
        )
    return known[int(random.integers(len(known)))]


async def tokenise(
    demonstrations: Sequence[Demonstration],
    tokenizer: PreTrainedTokenizerBase,
    make_agent: Callable[[RecitingPolicy], ChatAgent],
    make_env: Callable[[], AgentEnv],
) -> list[Episode]:
    """Return the demonstrations as episodes; the loss mask leaves out the random actions."""
    policy = RecitingPolicy(tokenizer)
    agent = _Reciter(
        make_agent(policy), policy, {str(n): item.actions for n, item in enumerate(demonstrations)}
    )
    plans = [
        EpisodePlan(item.task, str(n), "demonstration", item.seed) for n, item in enumerate(demonstrations)
    ]
    longest = max((len(item.actions) for item in demonstrations), default=1)
    episodes = await collect(plans, agent, make_env, concurrency=1, max_turns=longest)
    return [_masked(episode, item.expert) for episode, item in zip(episodes, demonstrations, strict=True)]


def _masked(episode: Episode, expert: Sequence[bool]) -> Episode:
    turns = [
        turn if trained else replace(turn, loss_mask=np.zeros_like(turn.loss_mask))
        for turn, trained in zip(episode.turns, expert, strict=True)
    ]
    return replace(episode, turns=tuple(turns))


class RecitingPolicy:
    """A policy that says what it was told to say next; probabilities are not known (all 0 nats)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._renderer = ChatRenderer(tokenizer)
        self._end = int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
        self._exchanges: dict[str, Exchange] = {}
        self._lines: dict[str, str] = {}

    @property
    def version(self) -> int:
        """Nothing is learned here."""
        return 0

    def tell(self, session_id: str, line: str) -> None:
        """Set what the session's next answer will be."""
        self._lines[session_id] = line

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Answer each request with the line its session was told."""
        return [self._answer(request) for request in requests]

    def end_session(self, session_id: str) -> None:
        """Forget a conversation."""
        self._exchanges.pop(session_id, None)
        self._lines.pop(session_id, None)

    def _answer(self, request: GenerationRequest) -> Completion:
        line = self._lines[request.session_id]
        previous = self._exchanges.get(request.session_id)
        context = self._renderer.context(request.messages, request.tools, previous)
        spoken = [*self._renderer.encode(line), self._end]
        kept = [] if previous is None else list(previous.ids[: context.prompt_start])
        ids = [*kept, *context.prompt_ids, *spoken]
        self._exchanges[request.session_id] = Exchange(
            tuple(request.messages), context.text, ids, line, ended=True
        )
        return Completion(
            text=line,
            finish_reason=FinishReason.STOP,
            version=0,
            prompt_start=context.prompt_start,
            prompt_ids=np.array(context.prompt_ids, np.int32),
            completion_ids=np.array(spoken, np.int32),
            logprobs=np.zeros(len(spoken), np.float32),
        )


@dataclass(frozen=True, slots=True)
class _Reciter:
    """A chat agent whose answers are dictated."""

    chat: ChatAgent
    policy: RecitingPolicy
    scripts: Mapping[str, Sequence[str]]
    name: str = "demonstration"

    def start(self, start: EpisodeStart) -> AgentSession:
        lines = [format_action(action, self.chat.action_format) for action in self.scripts[start.session_id]]
        return _Recital(self.chat.start(start), self.policy, start.session_id, iter(lines))


@dataclass(slots=True)
class _Recital:
    session: AgentSession
    policy: RecitingPolicy
    session_id: str
    script: Any

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        self.policy.tell(self.session_id, next(self.script))
        return await self.session.act(observation, info)

    def close(self) -> None:
        self.session.close()
