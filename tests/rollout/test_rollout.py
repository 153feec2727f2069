"""Episodes: what is recorded, whose failure a failure is, and that concurrency changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import agentgym
from agentgym.agents.scripted import OracleAgent, RandomAgent, ScriptedAgent
from agentgym.core.agent import AgentSession, Decision, EpisodeStart
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import EnvironmentFault, InferenceFault, SandboxFault, TaskError, UsageError
from agentgym.core.policy import Completion, FinishReason
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode, Outcome, StopReason
from agentgym.rollout.collect import collect, plan_groups
from agentgym.rollout.episode import run_episode


def make_env() -> AgentEnv:
    return agentgym.make("household", difficulty="easy")


def play(
    agent: Any, env: AgentEnv | None = None, *, task: Task | None = None, max_turns: int = 30
) -> Episode:
    env = env or make_env()
    return asyncio.run(
        run_episode(
            env,
            agent,
            task or env.suite.tasks("train")[5],
            episode_id="e",
            group_id="g",
            seed=1,
            max_turns=max_turns,
        )
    )


def test_a_solved_episode_is_recorded_turn_by_turn() -> None:
    episode = play(OracleAgent())
    assert (episode.outcome, episode.score, episode.stop_reason) == (
        Outcome.SUCCESS,
        1.0,
        StopReason.COMPLETED,
    )
    assert [turn.reward for turn in episode.turns] == [0.0] * (len(episode.turns) - 1) + [1.0]
    env = make_env()
    observation, _ = env.reset(seed=1, options={"task": episode.task})
    for turn in episode.turns:  # replaying the record gives the record
        assert (turn.observation, turn.state_key) == (observation, env.state_key())
        observation, reward, terminated, truncated, info = env.step(turn.action)
        assert (turn.reward, turn.terminated, turn.truncated) == (reward, terminated, truncated)
        assert turn.valid == info["valid"]
    assert episode.final_observation == observation


def test_the_limit_on_turns_truncates() -> None:
    episode = play(ScriptedAgent(["look"] * 5), max_turns=3)
    assert (episode.outcome, episode.score) == (Outcome.TRUNCATED, 0.0)
    assert (episode.stop_reason, len(episode.turns)) == (StopReason.MAX_TURNS, 3)


def test_the_environments_own_limit_truncates() -> None:
    env = agentgym.make("household", difficulty="easy", max_steps=2)
    episode = play(ScriptedAgent(["look"] * 5), env)
    assert (episode.outcome, episode.stop_reason) == (Outcome.TRUNCATED, StopReason.ENV_TRUNCATED)


class Misbehaving:
    """An agent that looks around once and then does something else."""

    name = "misbehaving"

    def __init__(self, then: Exception | FinishReason) -> None:
        self.then = then
        self.closed = 0

    def start(self, start: EpisodeStart) -> AgentSession:
        self.turn = 0
        return self

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        self.turn += 1
        if self.turn == 1:
            return Decision("look")
        if isinstance(self.then, Exception):
            raise self.then
        return Decision("look", completion=Completion("", self.then, 0))

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("error", "outcome", "scored"),
    [
        (ZeroDivisionError("in the agent"), Outcome.AGENT_ERROR, True),
        (InferenceFault("server gone"), Outcome.INFERENCE_ERROR, False),
        (SandboxFault("no sandbox"), Outcome.SANDBOX_ERROR, False),
        (EnvironmentFault("world gone"), Outcome.ENV_ERROR, False),
    ],
)
def test_each_failure_has_an_owner(error: Exception, outcome: Outcome, scored: bool) -> None:
    agent = Misbehaving(error)
    episode = play(agent)
    assert (episode.outcome, episode.stop_reason) == (outcome, StopReason.ERROR)
    assert episode.score == (0.0 if scored else None)
    assert str(error) in (episode.error or "")
    assert len(episode.turns) == 1
    assert agent.closed == 1


def test_a_context_that_overflows_truncates() -> None:
    episode = play(Misbehaving(FinishReason.CONTEXT))
    assert (episode.outcome, episode.stop_reason) == (Outcome.TRUNCATED, StopReason.CONTEXT_OVERFLOW)
    assert len(episode.turns) == 1


class CutShort(Misbehaving):
    """The context ends in the middle of its second answer."""

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        decision = await super().act(observation, info)
        if decision.completion is None:
            return decision
        ids = np.arange(3, dtype=np.int32)
        cut = replace(decision.completion, completion_ids=ids, logprobs=np.zeros(3, np.float32))
        return replace(decision, completion=cut)


def test_an_answer_that_the_context_cuts_short_is_a_turn_like_others() -> None:
    episode = play(CutShort(FinishReason.CONTEXT))
    assert (episode.outcome, episode.score) == (Outcome.TRUNCATED, 0.0)
    assert (episode.stop_reason, len(episode.turns)) == (StopReason.CONTEXT_OVERFLOW, 2)
    cut = episode.turns[-1]
    assert (cut.trained_tokens, cut.reward, cut.valid, cut.terminated) == (3, 0.0, False, False)
    assert cut.state_key == episode.turns[0].state_key  # looking around changes nothing
    assert (episode.sampled_tokens, episode.usage.completion) == (3, 3)


class Crashing(agentgym.AgentEnv):
    """A household that breaks in its second step."""

    def __init__(self) -> None:
        self.inner = make_env()
        self.suite, self.split = self.inner.suite, Split.TRAIN
        self.action_space = self.inner.action_space
        self.steps = 0

    @property
    def task(self) -> Task:
        return self.inner.task

    def state_key(self) -> str:
        return self.inner.state_key()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.inner.reset(seed=seed, options=options)

    def step(self, action: Any) -> StepResult:
        self.steps += 1
        if self.steps == 2:
            raise RuntimeError("a bug in the world")
        observation, reward, terminated, truncated, info = self.inner.step(action)
        return observation, float(reward), terminated, truncated, info


def test_a_broken_environment_is_not_a_zero() -> None:
    episode = play(ScriptedAgent(["look"] * 5), Crashing())
    assert (episode.outcome, episode.score) == (Outcome.ENV_ERROR, None)
    assert "a bug in the world" in (episode.error or "")


def test_a_task_of_another_environment_is_the_callers_mistake() -> None:
    task = Task("x", "other/Env-v0", Split.TRAIN)
    with pytest.raises(TaskError, match="other/Env-v0"):
        play(OracleAgent(), task=task)
    plans = plan_groups([task] * 3, 1, label="l", seed=0)
    with pytest.raises(TaskError, match="other/Env-v0"):
        asyncio.run(collect(plans, OracleAgent(), make_env, concurrency=2, max_turns=5))


def essence(episode: Episode) -> Any:
    return (
        episode.id,
        episode.outcome,
        [(turn.action, turn.state_key, turn.reward) for turn in episode.turns],
    )


def test_concurrency_changes_nothing_but_the_order_of_ending() -> None:
    tasks = [make_env().suite.tasks("train")[index] for index in range(6)]
    plans = plan_groups(tasks, 3, label="l", seed=0)
    found: list[list[Any]] = []
    for concurrency in (1, 7, 100):
        ended: list[Episode] = []
        episodes = asyncio.run(
            collect(
                plans, RandomAgent(), make_env, concurrency=concurrency, max_turns=8, on_episode=ended.append
            )
        )
        assert sorted(map(id, ended)) == sorted(map(id, episodes))
        assert [episode.id for episode in episodes] == [plan.episode_id for plan in plans]
        found.append([essence(episode) for episode in episodes])
    assert found[0] == found[1] == found[2]


def test_members_of_a_group_share_the_task_and_differ_in_seed() -> None:
    tasks = list(make_env().suite.tasks("train")[:2])
    plans = plan_groups(tasks, 4, label="l", seed=0)
    assert [plan.task for plan in plans] == [tasks[0]] * 4 + [tasks[1]] * 4
    assert [plan.group_id for plan in plans] == ["l/0000"] * 4 + ["l/0001"] * 4
    assert len({plan.seed for plan in plans}) == len({plan.episode_id for plan in plans}) == 8
    assert plans == plan_groups(tasks, 4, label="l", seed=0)
    assert not {plan.seed for plan in plans} & {
        plan.seed for plan in plan_groups(tasks, 4, label="l", seed=1)
    }


def test_senseless_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="group_size=0"):
        plan_groups([], 0, label="l", seed=0)
    with pytest.raises(UsageError, match="concurrency"):
        asyncio.run(collect([], OracleAgent(), make_env, concurrency=0, max_turns=1))


def test_scripted_turns_carry_no_tokens() -> None:
    turn = play(ScriptedAgent(["look"]), max_turns=1).turns[0]
    assert turn.completion_ids.dtype == np.int32
    assert len(turn.completion_ids) == len(turn.loss_mask) == 0
