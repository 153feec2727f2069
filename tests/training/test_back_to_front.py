"""Back to front: the policy begins behind an expert, from a snapshot or by replay, and plays the same either way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

import agentgym
from agentgym.agents.chat import ChatAgent
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.policy import Sampling
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.environments.household.env import HouseholdEnv
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import EpisodePlan, Trails, collect
from agentgym.store.store import Store
from agentgym.training.branching import Played
from agentgym.training.demonstrations import as_answers
from agentgym.training.experts import Experts, go_on
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.luck import Luck, LuckSpec, luck_model, luck_recipe


def household() -> AgentEnv:
    return agentgym.make("household", difficulty="easy")


class CountsSteps(HouseholdEnv):
    steps = 0

    def step(self, action: Any) -> StepResult:
        CountsSteps.steps += 1
        return super().step(action)


def must_be_equal(ones: Sequence[Episode], others: Sequence[Episode]) -> None:
    for one, other in zip(ones, others, strict=True):
        assert (one.id, one.seed, one.outcome, one.score) == (
            other.id,
            other.seed,
            other.outcome,
            other.score,
        )
        assert one.origin is None
        for mine, theirs in zip(one.turns, other.turns, strict=True):
            for name in ("observation", "action", "reward", "valid", "state_key", "prompt_start", "replayed"):
                assert getattr(mine, name) == getattr(theirs, name)
            for name in ("prompt_ids", "completion_ids", "loss_mask"):
                assert np.array_equal(getattr(mine, name), getattr(theirs, name))
            assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)


@pytest.fixture(scope="module")
def agent() -> ChatAgent:
    env = household()
    texts = [str(env.reset(seed=0, options={"task": task})[0]) for task in env.suite.tasks("train")[:20]]
    tokenizer: PreTrainedTokenizerFast = train_tokenizer(texts, 400)
    sizes = ModelConfig(
        hidden_size=32, layers=1, heads=2, kv_heads=1, head_dim=16, mlp_size=48, max_context=2048
    )
    policy = LocalPolicy(make_model(sizes, tokenizer, seed=3, device="cpu"), tokenizer)
    return ChatAgent(policy, sampling=Sampling(max_tokens=6), restate_task=True)


def test_the_same_episodes_from_a_snapshot_as_by_replay(agent: ChatAgent) -> None:
    def play(plans: Sequence[EpisodePlan], trails: Trails | None = None) -> list[Episode]:
        made = collect(
            plans,
            agent,
            lambda: CountsSteps(household().suite),  # type: ignore[arg-type]
            concurrency=4,
            max_turns=12,
            trails=trails,
        )
        CountsSteps.steps = 0
        return asyncio.run(made)

    task = household().suite.tasks("train")[4]
    solution = Experts("oracle", household, 30).solution(task)
    assert solution is not None
    answers = as_answers(solution.actions, agent)
    told, trails = EpisodePlan(task, "expert", "g", solution.seed, answers), Trails()
    (whole,) = play([told], trails)
    assert whole.success
    way = Played(whole, trails["expert"])
    members = [EpisodePlan(task, f"m{number}", "g", 40 + number) for number in range(2)]
    for length in range(1, len(answers)):
        started = play([go_on(member, told, way, length) for member in members])
        own = sum(len(episode.turns) - length for episode in started)
        assert CountsSteps.steps == own
        begun_again = play(
            [
                replace(member, seed=solution.seed, agent_seed=member.seed, prefix=answers[:length])
                for member in members
            ]
        )
        assert CountsSteps.steps == own + 2 * length
        must_be_equal(started, begun_again)
        assert [sum(turn.replayed for turn in episode.turns) for episode in started] == [length] * 2


def test_a_way_that_broke_off_is_replayed_as_far_as_it_goes(agent: ChatAgent) -> None:
    task = household().suite.tasks("train")[4]
    told = EpisodePlan(task, "expert", "g", 3, ("look", "look", "look"))
    (short,) = asyncio.run(collect([told], agent, household, concurrency=1, max_turns=2))
    plan = go_on(EpisodePlan(task, "m", "g", 40), told, Played(short, ()), 2)
    assert (plan.start, plan.prefix, plan.seed, plan.agent_seed) == (None, ("look", "look"), 3, 40)


class Remembered(Luck):
    """The world of luck with snapshots."""

    def snapshot(self) -> bytes:
        return f"{self._task.id}/{self._turn}".encode()

    def restore(self, snapshot: bytes) -> None:
        name, turn = snapshot.decode().split("/")
        self._task = next(task for task in self.suite.tasks(self.split) if task.id == name)
        self._turn = int(turn)


class RememberedSpec(LuckSpec):
    id, name = "test/RememberedLuck-v0", "remembered-luck"

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return Remembered(split)


def test_runs_play_the_same_with_snapshots_as_without(tmp_path: Path) -> None:
    agentgym.register(SPEC)
    model = luck_model(tmp_path / "student")
    curriculum = "curriculum={name = 'b2f', every = 1}"
    played: list[list[Episode]] = []
    for name, env in (("with", f"environment.id={SPEC.id}"), ("without", "environment.id=test/Luck-v0")):
        recipe = luck_recipe(model, curriculum, env, "iterations=3")
        run = Run.create(recipe, tmp_path / name, "run")
        Trainer(run).train()
        with Store(run.store) as store:
            played.append(sorted(store.episodes(run.name), key=lambda episode: episode.id))
    must_be_equal(*played)
    replayed = {episode.id[:12]: sum(turn.replayed for turn in episode.turns) for episode in played[0]}
    assert list(replayed.values()) == [2, 1, 0]
    assert len(played[0]) == 27, "what the expert played is no episode of the run"


SPEC = RememberedSpec()
