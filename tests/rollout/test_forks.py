"""Forks: a branch is the trunk up to the fork, whichever way the environment came back, and its own from there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.agents.scripted import OracleAgent
from agentgym.core.env import AgentEnv, Stepping, StepResult
from agentgym.core.errors import NotForkableError, UsageError
from agentgym.core.policy import Sampling
from agentgym.core.task import Task
from agentgym.core.trace import Episode, Origin, Outcome, Thought, Turn
from agentgym.environments.household.env import HouseholdEnv
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import EpisodePlan, Trails, collect
from agentgym.rollout.episode import run_episode
from agentgym.rollout.forks import branch, branch_off, forkable
from agentgym.rollout.rules import Rules

TURNS = 6


household = partial(agentgym.make, "household", difficulty="easy", expert="searcher")


class CountsCalls(HouseholdEnv):
    """The household world, counting what it is asked."""

    steps = restores = 0

    def step(self, action: Any) -> StepResult:
        CountsCalls.steps += 1
        return super().step(action)

    def restore(self, snapshot: bytes) -> None:
        CountsCalls.restores += 1
        super().restore(snapshot)


def counting() -> AgentEnv:
    CountsCalls.steps = CountsCalls.restores = 0
    return CountsCalls(household().suite)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def task() -> Task:
    return household().suite.tasks("train")[3]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    env = household()
    texts = [str(env.reset(seed=0, options={"task": task})[0]) for task in env.suite.tasks("train")[:20]]
    return train_tokenizer(texts, 400)


@pytest.fixture(scope="module")
def policy(tokenizer: PreTrainedTokenizerFast) -> LocalPolicy:
    sizes = ModelConfig(
        hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp_size=48, max_context=2048
    )
    return LocalPolicy(make_model(sizes, tokenizer, seed=3, device="cpu"), tokenizer)


@pytest.fixture(scope="module")
def agent(policy: LocalPolicy) -> ChatAgent:
    return ChatAgent(policy, sampling=Sampling(max_tokens=6), show_admissible=True, restate_task=True)


def play(
    agent: ChatAgent,
    *plans: EpisodePlan,
    make_env: Callable[[], AgentEnv] = household,
    trails: Trails | None = None,
    rules: Rules | None = None,
) -> list[Episode]:
    return asyncio.run(
        collect(plans, agent, make_env, concurrency=4, max_turns=TURNS, trails=trails, rules=rules)
    )


@pytest.fixture(scope="module")
def trunk(agent: ChatAgent, task: Task) -> tuple[Episode, Trails]:
    trails: Trails = {}
    (episode,) = play(agent, EpisodePlan(task, "trunk", "g", 11), trails=trails)
    return episode, trails


def must_share(branched: Episode, trunk: Episode, turn: int) -> None:
    """The turns before the fork are the trunk's in all but what they are for."""
    for mine, theirs in zip(branched.turns[:turn], trunk.turns[:turn], strict=True):
        assert alike(mine, theirs)
        assert np.array_equal(mine.logprobs, theirs.logprobs)
        assert mine.replayed
        assert not mine.loss_mask.any()


def alike(one: Turn, other: Turn) -> bool:
    plain = (
        "observation",
        "action",
        "reward",
        "terminated",
        "truncated",
        "valid",
        "state_key",
        "prompt_start",
    )
    arrays = ("prompt_ids", "completion_ids")
    return (
        all(getattr(one, name) == getattr(other, name) for name in plain)
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and one.messages_delta == other.messages_delta
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turn=st.integers(0, TURNS - 1), n=st.integers(1, 3), seed=st.integers(0, 9))
def test_branches_are_the_trunk_and_then_their_own_by_snapshot_as_by_replay(
    agent: ChatAgent, trunk: tuple[Episode, Trails], turn: int, n: int, seed: int
) -> None:
    whole, trails = trunk
    restored = play(agent, *branch(whole, turn, n, trail=trails["trunk"], seed=seed))
    replayed = play(agent, *branch(whole, turn, n, seed=seed))
    for one, other in zip(restored, replayed, strict=True):
        must_share(one, whole, turn)
        assert one.origin == other.origin == (Origin("trunk", turn) if turn else None)
        assert (one.id, one.seed, one.group_id) == (other.id, whole.seed, whole.group_id)
        assert (one.outcome, one.score) == (other.outcome, other.score)
        assert len(one.turns) == len(other.turns)
        assert one.final_observation == other.final_observation
        for mine, theirs in zip(one.turns, other.turns, strict=True):
            assert alike(mine, theirs)
            assert np.array_equal(mine.loss_mask, theirs.loss_mask)
            assert np.allclose(mine.logprobs, theirs.logprobs, atol=1e-5)
        own = one.turns[turn:]
        assert own[0].observation == whole.turns[turn].observation
        assert own[0].state_key == whole.turns[turn].state_key
        assert own[0].prompt_start == whole.turns[turn].prompt_start
        assert np.array_equal(own[0].prompt_ids, whole.turns[turn].prompt_ids)
        assert all(step.loss_mask.all() and step.policy_version == 0 for step in own)
    said = {tuple(np.concatenate([t.completion_ids for t in one.turns]).tolist()) for one in restored}
    assert len(said) == n, "branches go their own ways"


@pytest.mark.parametrize("history", ["full", 2])
def test_a_snapshot_saves_the_steps(policy: LocalPolicy, task: Task, history: Literal["full"] | int) -> None:
    agent = ChatAgent(policy, sampling=Sampling(max_tokens=6), history=history)
    trails: Trails = {}
    (whole,) = play(agent, EpisodePlan(task, "trunk", "g", 11), make_env=counting, trails=trails)
    (plan,) = branch(whole, 4, 1, trail=trails["trunk"])
    (one,) = play(agent, plan, make_env=counting)
    assert (CountsCalls.steps, CountsCalls.restores) == (TURNS - 4, 1)
    (again,) = play(agent, replace(plan, start=None), make_env=counting)
    assert (CountsCalls.steps, CountsCalls.restores) == (TURNS, 0)
    assert [turn.action for turn in one.turns] == [turn.action for turn in again.turns]


@pytest.mark.parametrize("stepping", [Stepping.THREAD, Stepping.PROCESS])
def test_snapshots_travel(
    agent: ChatAgent, trunk: tuple[Episode, Trails], task: Task, stepping: Stepping
) -> None:
    rules, trails, (inline, kept) = Rules(stepping=stepping), Trails(), trunk
    (whole,) = play(agent, EpisodePlan(task, "trunk", "g", 11), trails=trails, rules=rules)
    assert [turn.action for turn in whole.turns] == [turn.action for turn in inline.turns]
    assert [stop.snapshot for stop in trails["trunk"]] == [stop.snapshot for stop in kept["trunk"]]
    plans = branch(whole, 3, 2, trail=trails["trunk"])
    for one, other in zip(play(agent, *plans, rules=rules), play(agent, *plans), strict=True):
        must_share(one, whole, 3)
        assert [turn.action for turn in one.turns] == [turn.action for turn in other.turns]


def test_branches_of_branches_name_who_owns_each_turn(
    agent: ChatAgent, trunk: tuple[Episode, Trails]
) -> None:
    whole, trails = trunk
    kept: Trails = {}
    (one,) = play(agent, *branch(whole, 2, 1, trail=trails["trunk"]), trails=kept)
    assert len(kept[one.id]) == len(one.turns)
    assert [stop.snapshot for stop in kept[one.id][:3]] == [stop.snapshot for stop in trails["trunk"][:3]]
    for turn, owner in ((1, "trunk"), (2, "trunk"), (3, one.id)):
        (two,) = play(agent, *branch(one, turn, 1, trail=kept[one.id], label=f"second-{turn}"))
        must_share(two, one, turn)
        assert two.origin == Origin(owner, turn)


class Changed(HouseholdEnv):
    """The household world after a change of its rules: it gives another answer, or is in another state, from the
    third command on."""

    what = "reward"

    def step(self, action: Any) -> StepResult:
        observation, reward, terminated, truncated, info = super().step(action)
        if self._steps == 3 and self.what == "reward":
            reward = 0.5
        if self._steps == 3 and self.what == "observation":
            observation = "It is dark."
        return observation, reward, terminated, truncated, info

    def state_key(self) -> str:
        other = self._steps >= 3 and self.what == "state_key"
        return super().state_key() + ("!" if other else "")


@pytest.mark.parametrize("what", ["reward", "observation", "state_key"])
def test_an_environment_that_does_not_do_what_it_did_is_a_fault_that_names_the_turn(
    agent: ChatAgent, trunk: tuple[Episode, Trails], what: str
) -> None:
    whole, trails = trunk

    def changed() -> AgentEnv:
        env = Changed(household().suite)  # type: ignore[arg-type]
        env.what = what
        return env

    def must_fault(plans: list[EpisodePlan], turn: int) -> None:
        (one,) = play(agent, *plans, make_env=changed, rules=Rules(retries=0))
        assert (one.outcome, one.score) == (Outcome.ENV_ERROR, None)
        assert one.error is not None
        assert f"turn {turn}: {what} was recorded as" in one.error

    # What an action brings belongs to the turn that it was taken in.
    must_fault(branch(whole, 4, 1), 2 if what == "reward" else 3)
    if what == "state_key":
        must_fault(branch(whole, 3, 1, trail=trails["trunk"]), 3)
    (early,) = play(agent, *branch(whole, 2, 1), make_env=changed)
    assert early.outcome.scored, "the change comes later"


def test_whoever_cannot_go_on_is_told_so(
    agent: ChatAgent, policy: LocalPolicy, trunk: tuple[Episode, Trails], task: Task
) -> None:
    whole, trails = trunk
    for turn in (-1, TURNS):
        with pytest.raises(
            UsageError, match=f"has {TURNS} turns; fork it at one from 0 to {TURNS - 1}, not at"
        ):
            branch(whole, turn, 1)
    with pytest.raises(UsageError, match="at least one branch"):
        branch(whole, 1, 0)
    scripted = asyncio.run(
        run_episode(household(), OracleAgent(), task, episode_id="o", group_id="g", seed=0, max_turns=4)
    )
    with pytest.raises(NotForkableError, match="Turn 0 of episode o cannot be told again"):
        branch(scripted, 2, 1)
    other = ChatAgent(policy, system_prompt="Be brief.", sampling=Sampling(max_tokens=6))
    for trail in ((), trails["trunk"]):
        with pytest.raises(UsageError, match="Turn 0 does not have the tokens that it was recorded with"):
            play(other, *branch(whole, 2, 1, trail=trail))
    misread = replace(whole, turns=(replace(whole.turns[0], action="jump"), *whole.turns[1:]))
    with pytest.raises(UsageError, match="Turn 0 was recorded with the action 'jump'"):
        play(agent, *branch(misread, 2, 1))


class WithoutSnapshots(HouseholdEnv):
    def snapshot(self) -> bytes:
        return AgentEnv.snapshot(self)


def test_without_snapshots_the_actions_are_replayed(
    agent: ChatAgent, trunk: tuple[Episode, Trails], task: Task
) -> None:
    def plain() -> AgentEnv:
        return WithoutSnapshots(household().suite)  # type: ignore[arg-type]

    trails: Trails = {}
    (whole,) = play(agent, EpisodePlan(task, "trunk", "g", 11), make_env=plain, trails=trails)
    assert [stop.snapshot for stop in trails["trunk"]] == [None] * TURNS
    (one,) = play(agent, *branch(whole, 3, 1, trail=trails["trunk"]), make_env=plain)
    (other,) = play(agent, *branch(trunk[0], 3, 1, trail=trunk[1]["trunk"]))
    must_share(one, whole, 3)
    assert [turn.action for turn in one.turns] == [turn.action for turn in other.turns]


def test_a_plan_keeps_its_own_name_and_seed(trunk: tuple[Episode, Trails], task: Task) -> None:
    plan = EpisodePlan(task, "mine", "ours", 5)
    forked = branch_off(plan, trunk[0], 2)
    assert (forked.episode_id, forked.group_id, forked.seed, forked.agent_seed) == ("mine", "ours", 11, 5)
    assert branch_off(replace(plan, agent_seed=0), trunk[0], 2).agent_seed == 0
    assert [len(answer) for answer in forked.prefix] == [len(t.completion_ids) for t in trunk[0].turns[:2]]


def test_a_turn_of_several_completions_ends_what_can_be_forked(trunk: tuple[Episode, Trails]) -> None:
    whole, _ = trunk
    assert forkable(whole) == TURNS
    first = whole.turns[0]
    thought = Thought(0, 0, first.prompt_ids, first.completion_ids, first.logprobs, first.loss_mask)
    turns = list(whole.turns)
    turns[3] = replace(turns[3], thoughts=(thought,))
    retried = replace(whole, turns=turns)
    assert forkable(retried) == 4
    assert len(branch(retried, 3, 2)) == 2, "before that turn"
    with pytest.raises(NotForkableError, match=r"Turn 3 .* several completions"):
        branch(retried, 4, 1)
    last = replace(whole, turns=[*whole.turns[:-1], replace(whole.turns[-1], thoughts=(thought,))])
    assert forkable(last) == TURNS
    assert forkable(replace(whole, turns=())) == 0


def test_branches_share_their_keys_and_values(
    agent: ChatAgent, policy: LocalPolicy, trunk: tuple[Episode, Trails]
) -> None:
    whole, trails = trunk
    turn = TURNS - 1  # each branch has one turn of its own
    prefilled: list[int] = []
    for n in (1, 4):
        before = policy.stats.prefilled_tokens
        policy.set_version(policy.version)  # what was computed before is dropped
        play(agent, *branch(whole, turn, n, trail=trails["trunk"], label=f"shared-{n}"))
        prefilled.append(policy.stats.prefilled_tokens - before)
    assert prefilled[1] <= prefilled[0] + 4 * TURNS, "what is common to the branches is computed once"
