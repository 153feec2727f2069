"""One episode: an agent plays a task in an environment, and every turn is recorded.

Each failure has an owner. What the agent's own code raises, and an action that the environment's
action space does not contain, end the episode as `agent_error`, which counts as a failure of the agent. What the environment, the policy or a sandbox raises ends it without a
score. A `UsageError` (a task of another environment, say) is the caller's mistake and is raised.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from agentgym.core.agent import Agent, AgentSession, Decision, EpisodeStart, RecitingSession
from agentgym.core.env import AgentEnv
from agentgym.core.errors import InferenceFault, InfrastructureError, SandboxFault, UsageError
from agentgym.core.policy import Completion, Dictation, FinishReason
from agentgym.core.task import Task
from agentgym.core.trace import Episode, Outcome, StopReason, Turn, Versions


async def run_episode(
    env: AgentEnv,
    agent: Agent,
    task: Task,
    *,
    episode_id: str,
    group_id: str,
    seed: int,
    max_turns: int,
    prefix: Sequence[Dictation] = (),
    agent_seed: int | None = None,
) -> Episode:
    """Play `task` from reset to end, at most `max_turns` turns.

    The first turns are those of `prefix`, answers that the agent finds in its conversation as its own; nothing
    of them is to be trained on. Then the agent acts. `seed` seeds the environment, and the agent too unless
    it has an `agent_seed`. Never raises for a failure during play: see the module's docstring for what
    becomes of it. Raises `UsageError` for a prefix that the agent cannot recite.
    """
    play = _Play(env)
    session: AgentSession | None = None
    stop = StopReason.ERROR
    try:
        observation, info = play.reset(task, seed)
        with _owned(Outcome.AGENT_ERROR):
            session = agent.start(
                EpisodeStart(episode_id, task, seed if agent_seed is None else agent_seed, env)
            )
        stop = await play.run(session, observation, info, max_turns, prefix)
        with _owned(Outcome.AGENT_ERROR):
            session.close()
    except _Failed as failure:
        stop, play.outcome, play.error = StopReason.ERROR, failure.outcome, failure.report
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
        versions=Versions(policy=_first_version(play.turns)),
        error=play.error,
        final_observation=play.observation,
    )


class _Failed(Exception):
    """A failure during play, already attributed to its owner."""

    def __init__(self, outcome: Outcome, error: Exception) -> None:
        self.outcome = outcome
        self.report = "".join(traceback.format_exception(error)).strip()
        super().__init__(str(error))


@dataclass
class _Play:
    """What has happened so far."""

    env: AgentEnv
    turns: list[Turn] = field(default_factory=list[Turn])
    score: float = 0.0
    outcome: Outcome = Outcome.TRUNCATED
    error: str | None = None
    observation: Any = None

    def reset(self, task: Task, seed: int) -> tuple[Any, dict[str, Any]]:
        with _owned(Outcome.ENV_ERROR):
            return self.env.reset(seed=seed, options={"task": task})

    async def run(
        self,
        session: AgentSession,
        observation: Any,
        info: Mapping[str, Any],
        max_turns: int,
        prefix: Sequence[Dictation],
    ) -> StopReason:
        self.observation = observation
        for position in range(max_turns):
            started = perf_counter()
            replayed = position < len(prefix)
            with _owned(Outcome.AGENT_ERROR):
                if replayed:
                    decision = await _reciting(session).recite(observation, info, prefix[position])
                else:
                    decision = await session.act(observation, info)
            if decision.completion and decision.completion.finish_reason is FinishReason.CONTEXT:
                return StopReason.CONTEXT_OVERFLOW
            turn, info = self._step(observation, decision, perf_counter() - started, replayed)
            observation = self.observation
            if turn.terminated or info.get("success", False):
                self.outcome = Outcome.SUCCESS if info.get("success", False) else Outcome.FAILURE
                return StopReason.COMPLETED
            if turn.truncated:
                return StopReason.ENV_TRUNCATED
        return StopReason.MAX_TURNS

    def _step(
        self, observation: Any, decision: Decision, policy_s: float, replayed: bool
    ) -> tuple[Turn, dict[str, Any]]:
        started = perf_counter()
        with _owned(Outcome.ENV_ERROR):
            state_key = self.env.state_key()
            if not self.env.action_space.contains(decision.action):
                raise _Failed(Outcome.AGENT_ERROR, UsageError(_not_an_action(self.env, decision.action)))
            self.observation, reward, terminated, truncated, info = self.env.step(decision.action)
        completion = decision.completion or _NO_COMPLETION
        turn = Turn(
            observation=observation,
            action=decision.action,
            reward=float(reward),
            terminated=terminated,
            truncated=truncated,
            valid=decision.valid and bool(info.get("valid", True)),
            state_key=state_key,
            policy_version=completion.version,
            prompt_start=completion.prompt_start,
            prompt_ids=completion.prompt_ids,
            completion_ids=completion.completion_ids,
            logprobs=completion.logprobs,
            loss_mask=np.full(len(completion.completion_ids), not replayed, np.int8),
            messages_delta=decision.messages_delta,
            timing={"policy": policy_s, "env": perf_counter() - started},
            policy_versions=completion.versions,
        )
        self.turns.append(turn)
        self.score += turn.reward
        return turn, info


_NO_COMPLETION = Completion(text="", finish_reason=FinishReason.STOP, version=-1)


@contextmanager
def _owned(boundary: Outcome) -> Generator[None]:
    """Attribute what is raised inside: to what the exception names, or else to the boundary it crossed."""
    try:
        yield
    except (UsageError, _Failed):
        raise
    except InferenceFault as error:
        raise _Failed(Outcome.INFERENCE_ERROR, error) from error
    except SandboxFault as error:
        raise _Failed(Outcome.SANDBOX_ERROR, error) from error
    except InfrastructureError as error:
        raise _Failed(Outcome.ENV_ERROR, error) from error
    except Exception as error:
        raise _Failed(boundary, error) from error


def _first_version(turns: Sequence[Turn]) -> int:
    """Return the version of the first turn that a policy sampled, or -1."""
    return next((turn.policy_version for turn in turns if turn.policy_version >= 0), -1)


def _reciting(session: AgentSession) -> RecitingSession:
    if not isinstance(session, RecitingSession):
        raise UsageError(
            f"An episode that begins with replayed turns needs an agent that can recite them; sessions of "
            f"type {type(session).__name__} have no `recite`. Use a ChatAgent, or plan it without a prefix."
        )
    return session


def _not_an_action(env: AgentEnv, action: object) -> str:
    return f"{action!r:.200} is no action of {env.task.env_id}, which takes {env.action_space}."
