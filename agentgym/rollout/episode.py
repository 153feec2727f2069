"""One episode: an agent plays a task in an environment, and every turn is recorded.

Each failure has an owner. What the agent's own code raises, and an action that the environment's
action space does not contain, end the episode as `agent_error`, which counts as a failure of the agent; the turn with
such an action is recorded, without a reward. What the environment, the policy or a sandbox raises, or does not do
within its time, ends it without a score. A `UsageError` (a task of another environment, say) is the caller's mistake
and is raised.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np

from agentgym.core.agent import (
    Agent,
    AgentSession,
    Decision,
    EpisodeStart,
    RecitingSession,
    RememberingSession,
)
from agentgym.core.env import AgentEnv
from agentgym.core.errors import InferenceFault, InfrastructureError, SandboxFault, UsageError
from agentgym.core.policy import Completion, Dictation, FinishReason, TokenCount
from agentgym.core.task import Task
from agentgym.core.trace import Episode, Outcome, StopReason, Thought, Turn, Versions
from agentgym.rollout.hosts import EnvHost, InlineHost
from agentgym.rollout.monitor import Monitor, Place
from agentgym.rollout.rules import Limits
from agentgym.rollout.seat import Begun, NotAnActionError, Taken
from agentgym.rollout.start import Start, Stop, World


async def run_episode(
    env: AgentEnv | EnvHost,
    agent: Agent,
    task: Task,
    *,
    episode_id: str,
    group_id: str,
    seed: int,
    max_turns: int,
    max_tokens: int | None = None,
    prefix: Sequence[Dictation] = (),
    agent_seed: int | None = None,
    start: Start | None = None,
    trail: list[Stop] | None = None,
    monitor: Monitor | None = None,
) -> Episode:
    """Play `task` from reset to end, at most `max_turns` turns, each wait within the host's limits.

    With `max_tokens` no further decision is taken once its own turns have sampled so many tokens, as the policy
    counts them.

    The first turns are those of `prefix`, answers that the agent finds in its conversation as its own; nothing
    of them is to be trained on. Then the agent acts. `seed` seeds the environment, and the agent too unless
    it has an `agent_seed`. A `start` says what came of the first turns and where to go on from; in `trail` the
    states on the way are kept, for the episode to be forked (`agentgym.rollout.forks`). An environment without a
    host is stepped inline. Never raises for a failure during play: see the module's docstring for what becomes of
    it. Raises `UsageError` for a prefix that the agent cannot recite, or recites otherwise than it was recorded.
    """
    host = InlineHost(lambda: env, Limits(), env) if isinstance(env, AgentEnv) else env
    monitor = monitor or Monitor()
    play = _Play(host, monitor, monitor.begin(episode_id), start, trail)
    session: AgentSession | None = None
    stop = StopReason.ERROR
    try:
        begun = await play.reset(task, seed)
        with _AGENT:
            session = agent.start(
                EpisodeStart(episode_id, task, seed if agent_seed is None else agent_seed, host)
            )
        if isinstance(session, RememberingSession):
            play.versions = session.versions
        stop = await play.run(session, begun, max_turns, max_tokens, prefix)
        ended, session = session, None
        with _AGENT:
            ended.close()
    except _Failed as failure:
        stop, play.outcome, play.error = StopReason.ERROR, failure.outcome, failure.report
    finally:
        monitor.end(play.place)
        if session is not None:
            with suppress(Exception):  # the failure that came first is the one to report
                session.close()
    return Episode(
        id=episode_id,
        task=task,
        group_id=group_id,
        turns=tuple(play.turns),
        outcome=play.outcome,
        score=play.score if play.outcome.scored else None,
        stop_reason=stop,
        seed=seed,
        versions=replace(play.versions, policy=_first_version(play.turns)),
        error=play.error,
        final_observation=play.observation,
        origin=None if start is None else start.origin,
    )


class _Failed(Exception):
    """A failure during play, already attributed to its owner."""

    def __init__(self, outcome: Outcome, error: BaseException) -> None:
        self.outcome = outcome
        self.report = "".join(traceback.format_exception(error)).strip()
        super().__init__(str(error))


class _Owned:
    """Attributes what is raised inside: to what the exception names, or else to the boundary it crossed."""

    def __init__(self, boundary: Outcome) -> None:
        self._boundary = boundary

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        match error:
            case None | UsageError() | _Failed():
                return
            case NotAnActionError():
                raise _Failed(Outcome.AGENT_ERROR, error) from error
            case InferenceFault():
                raise _Failed(Outcome.INFERENCE_ERROR, error) from error
            case SandboxFault():
                raise _Failed(Outcome.SANDBOX_ERROR, error) from error
            case InfrastructureError():
                raise _Failed(Outcome.ENV_ERROR, error) from error
            case Exception() | SystemExit():  # neither an agent nor a world ends the run
                raise _Failed(self._boundary, error) from error
            case _:
                return


_AGENT = _Owned(Outcome.AGENT_ERROR)
_ENVIRONMENT = _Owned(Outcome.ENV_ERROR)


@dataclass
class _Play:
    """What has happened so far."""

    host: EnvHost
    monitor: Monitor
    place: Place
    start: Start | None
    trail: list[Stop] | None
    turns: list[Turn] = field(default_factory=list[Turn])
    score: float = 0.0
    outcome: Outcome = Outcome.TRUNCATED
    error: str | None = None
    versions: Versions = field(default_factory=Versions)
    observation: Any = None
    began: float = field(default_factory=perf_counter)
    completion_tokens: int = 0
    """That its own turns have sampled, as the policy counts."""

    def __post_init__(self) -> None:
        self.world: World = self.host if self.start is None else self.start.enter(self.host)
        if self.trail is not None:
            self.trail.clear()  # of an attempt that failed

    async def reset(self, task: Task, seed: int) -> Begun:
        self.monitor.enter(self.place, "environment", "reset", blocking=self.host.blocking)
        with _ENVIRONMENT:
            begun = await self.world.reset(task, seed)
        self.monitor.leave(self.place)
        return begun

    async def run(
        self,
        session: AgentSession,
        begun: Begun,
        max_turns: int,
        max_tokens: int | None,
        prefix: Sequence[Dictation],
    ) -> StopReason:
        self.observation, info = begun.observation, begun.info
        for position in range(max_turns):
            answer = prefix[position] if position < len(prefix) else None
            if max_tokens is not None and self.completion_tokens >= max_tokens:
                return StopReason.TOKEN_LIMIT
            if perf_counter() - self.began >= self.host.limits.episode_s:
                return StopReason.TIME_LIMIT
            await self._keep_state(info)
            decision = await self._decide(session, info, answer)
            if decision.completion and decision.completion.finish_reason is FinishReason.CONTEXT:
                await self._keep_cut(decision, replayed=answer is not None)
                return StopReason.CONTEXT_OVERFLOW
            turn, info = await self._step(decision, replayed=answer is not None)
            if turn.terminated or info.get("success", False):
                self.outcome = Outcome.SUCCESS if info.get("success", False) else Outcome.FAILURE
                return StopReason.COMPLETED
            if turn.truncated:
                return StopReason.ENV_TRUNCATED
        return StopReason.MAX_TURNS

    async def _keep_state(self, info: Mapping[str, Any]) -> None:
        if self.trail is None:
            return
        self.monitor.enter(self.place, "environment", "snapshot", blocking=self.host.blocking)
        with _ENVIRONMENT:
            self.trail.append(await Stop.at(self.world, info))
        self.monitor.leave(self.place)

    async def _decide(
        self, session: AgentSession, info: Mapping[str, Any], answer: Dictation | None
    ) -> Decision:
        """Return what the agent does next."""
        patience = self.host.limits.policy_s
        self.monitor.enter(self.place, "policy", "act")
        timeout = asyncio.timeout(patience)
        try:
            async with timeout:
                with _AGENT:
                    if answer is not None:
                        return await _reciting(session).recite(self.observation, info, answer)
                    decision = await session.act(self.observation, info)
                    self.monitor.decided(self.place, _usage(decision))
                    return decision
        except TimeoutError as error:
            if not timeout.expired():
                raise
            fault = InferenceFault(f"The agent's decision took longer than {patience:g} s.")
            raise _Failed(Outcome.INFERENCE_ERROR, fault) from error
        finally:
            self.policy_s = self.monitor.leave(self.place)

    async def _keep_cut(self, decision: Decision, *, replayed: bool) -> None:
        """Record a decision that the end of the context cut short, where anything was sampled for it."""
        if replayed or not _usage(decision).completion:
            return
        with _ENVIRONMENT:
            state_key = await self.host.state_key()
        cut = Taken(state_key, self.observation, 0.0, False, False, {"valid": False})
        self.turns.append(self._turn(decision, cut, 0.0, replayed=False))

    async def _step(self, decision: Decision, *, replayed: bool) -> tuple[Turn, Mapping[str, Any]]:
        self.monitor.enter(self.place, "environment", "step", blocking=self.host.blocking)
        with _ENVIRONMENT:
            try:
                taken = await self.world.step(decision.action)
            except NotAnActionError as error:  # what was sampled for it is to be learned from
                refused = Taken(error.state_key, self.observation, 0.0, False, False, {"valid": False})
                self.turns.append(self._turn(decision, refused, 0.0, replayed=replayed))
                raise
        turn = self._turn(decision, taken, self.monitor.leave(self.place), replayed=replayed)
        if replayed and self.start is not None:
            turn = self.start.recorded(len(self.turns), turn)
        self.turns.append(turn)
        self.score += turn.reward
        self.observation = taken.observation
        sampled = sum(len(part.completion_ids) for part in turn.completions)
        self.completion_tokens += 0 if replayed else turn.usage.completion
        self.monitor.turn(self.place, 0 if replayed else sampled)
        return turn, taken.info

    def _turn(self, decision: Decision, taken: Taken, env_s: float, *, replayed: bool) -> Turn:
        completion = decision.completion or _NO_COMPLETION
        return Turn(
            observation=self.observation,
            action=decision.action,
            reward=taken.reward,
            terminated=taken.terminated,
            truncated=taken.truncated,
            valid=decision.valid and bool(taken.info.get("valid", True)),
            state_key=taken.state_key,
            policy_version=completion.version,
            prompt_start=completion.prompt_start,
            prompt_ids=completion.prompt_ids,
            completion_ids=completion.completion_ids,
            logprobs=completion.logprobs,
            loss_mask=np.full(len(completion.completion_ids), not replayed, np.int8),
            messages_delta=decision.messages_delta,
            shown_items=decision.shown_items,
            withheld_items=decision.withheld_items,
            timing={"policy": self.policy_s, "env": env_s},
            policy_versions=completion.versions,
            thoughts=tuple(map(_thought, decision.thoughts)),
            usage=_usage(decision),
        )


_NO_COMPLETION = Completion(text="", finish_reason=FinishReason.STOP, version=-1)


def _usage(decision: Decision) -> TokenCount:
    counts = [part.usage for part in (*decision.thoughts, decision.completion or _NO_COMPLETION)]
    return TokenCount(sum(count.prompt for count in counts), sum(count.completion for count in counts))


def _thought(completion: Completion) -> Thought:
    return Thought(
        completion.version,
        completion.prompt_start,
        completion.prompt_ids,
        completion.completion_ids,
        completion.logprobs,
        np.ones(len(completion.completion_ids), np.int8),
        completion.versions,
    )


def _first_version(turns: Sequence[Turn]) -> int:
    """Return the version of the first turn that a policy sampled, or -1."""
    return next((turn.policy_version for turn in turns if turn.policy_version >= 0), -1)


def _reciting(session: AgentSession) -> RecitingSession:
    if not isinstance(session, RecitingSession):
        raise UsageError(
            f"An episode that begins with replayed turns needs an agent that can recite them; sessions of "
            f"type {type(session).__name__} have no `recite`. Use an agent that answers a decision at once, such as a "
            "ChatAgent, or plan it without a prefix."
        )
    return session
