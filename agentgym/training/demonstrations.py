"""Demonstrations: the oracle's play as token episodes that a policy can be trained on.

`demonstrate` plays and notes the actions; `tokenise` replays them through the chat agent, so that a
demonstration has exactly the tokens the trained policy would see. Both are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from agentgym.agents.talking import TalkingAgent, write_action
from agentgym.core.env import Action, AgentEnv
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.policy import Completion, Dictation, FinishReason, GenerationRequest
from agentgym.core.task import Task
from agentgym.core.tool import ToolSpec
from agentgym.core.trace import Episode
from agentgym.policies.rendering import ChatRenderer, Exchange
from agentgym.policies.tokenizer import write_tool
from agentgym.policies.tool_calls import parse_answer
from agentgym.rollout.collect import EpisodePlan, collect


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What was done on a task, and which of it was the oracle's doing."""

    task: Task
    seed: int
    observations: tuple[str, ...]
    actions: tuple[Action, ...]
    expert: tuple[bool, ...]
    tools: tuple[ToolSpec, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What there is to read in it: the tools, the observations, then the actions as they stand in answers."""
        return (*map(write_tool, self.tools), *self.observations, *map(write_action, self.actions))


def demonstrate(
    env: AgentEnv, task: Task, *, noise: float, seed: int, max_turns: int, only_solved: bool = True
) -> Demonstration | None:
    """Play `task` by the oracle, straying with probability `noise`.

    A stray action is one that was admissible at some point of the episode so far: often it changes where
    the oracle goes on from, sometimes it is invalid by now, so that demonstrations show recovery from both.

    Returns None where the task is not solved within `max_turns`, and `only_solved` is asked for. Raises `UsageError` where the
    environment has no oracle.
    """
    random = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed, options={"task": task})
    observations, actions, expert = [str(observation)], list[Action](), list[bool]()
    if env.oracle() is None:
        raise UsageError(f"{task.env_id} has no oracle for task {task.id!r}; train without `warm_start`.")
    known: dict[str, Action] = {}
    for _ in range(max_turns):
        choice = env.oracle()
        if choice is None:
            break
        known |= {str(action): action for action in info.get("admissible_actions", ())}
        stray = bool(random.random() < noise)
        if stray:
            choice = _random_action(list(known.values()), random)
        observation, _, terminated, truncated, info = env.step(choice)
        observations.append(str(observation))
        actions.append(choice)
        expert.append(not stray)
        if info["success"] or terminated or truncated:
            break
    if only_solved and not info["success"]:
        return None
    return Demonstration(task, seed, tuple(observations), tuple(actions), tuple(expert), tuple(env.tools))


def _random_action(known: Sequence[Action], random: np.random.Generator) -> Action:
    if not known:
        raise ConfigError(
            "This environment does not tell its admissible actions, so demonstrations cannot stray; "
            "set `warm_start.noise = 0`."
        )
    return known[int(random.integers(len(known)))]


async def tokenise(
    demonstrations: Sequence[Demonstration],
    tokenizer: PreTrainedTokenizerBase,
    make_agent: Callable[[RecitingPolicy], TalkingAgent],
    make_env: Callable[[], AgentEnv],
) -> list[Episode]:
    """Return the demonstrations as episodes; the loss mask leaves out the random actions."""
    agent = make_agent(RecitingPolicy(tokenizer))
    plans = [
        EpisodePlan(item.task, str(n), "demonstration", item.seed, as_answers(item.actions, agent))
        for n, item in enumerate(demonstrations)
    ]
    longest = max((len(item.actions) for item in demonstrations), default=1)
    episodes = await collect(plans, agent, make_env, concurrency=1, max_turns=longest)
    return [to_teach(episode, item.expert) for episode, item in zip(episodes, demonstrations, strict=True)]


def as_answers(actions: Sequence[Action], agent: TalkingAgent) -> tuple[Dictation, ...]:
    """Return actions as the answers by which `agent` would have taken them, to be replayed."""
    return tuple(map(agent.write, actions))


def to_teach(episode: Episode, trained: Sequence[bool]) -> Episode:
    """Return a replayed episode with the turns marked that are to be trained on all the same."""
    turns = [
        replace(turn, loss_mask=np.full_like(turn.loss_mask, taught))
        for turn, taught in zip(episode.turns, trained, strict=True)
    ]
    return replace(episode, turns=tuple(turns))


class RecitingPolicy:
    """A policy without a model, for episodes in which every answer is dictated."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._renderer = ChatRenderer(tokenizer)
        self._exchanges: dict[str, Exchange] = {}

    @property
    def version(self) -> int:
        """Nothing is sampled here."""
        return -1

    async def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return what was dictated; raises `UsageError` for a request without it."""
        return [self._answer(request) for request in requests]

    def end_session(self, session_id: str) -> None:
        """Forget a conversation."""
        self._exchanges.pop(session_id, None)

    def _answer(self, request: GenerationRequest) -> Completion:
        if request.dictated is None:
            raise UsageError(f"Session {request.session_id!r} asks for an answer of its own; replay it all.")
        previous = self._exchanges.get(request.session_id)
        context = self._renderer.context(request.messages, request.tools, previous)
        spoken = self._renderer.dictated_ids(request.dictated)
        text = self._renderer.decode(spoken[:-1])
        kept = [] if previous is None else list(previous.ids[: context.prompt_start])
        ids = [*kept, *context.prompt_ids, *spoken]
        completion = Completion(
            text=text,
            finish_reason=FinishReason.STOP,
            version=-1,
            prompt_start=context.prompt_start,
            prompt_ids=np.array(context.prompt_ids, np.int32),
            completion_ids=np.array(spoken, np.int32),
            logprobs=np.zeros(len(spoken), np.float32),
            message=parse_answer(text, str(len(ids))) if request.tools else None,
        )
        self._exchanges[request.session_id] = context.answered(request.messages, ids, completion)
        return completion
