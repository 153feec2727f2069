"""The point of it all: reinforcement raises success, through the whole path from tokens to credit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agentgym.agents.chat import ChatAgent
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.policy import Sampling
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.policies.local import LocalPolicy
from agentgym.policies.models import ModelConfig, make_model
from agentgym.policies.tokenizer import train_tokenizer
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.step import StepGroup
from agentgym.training.demonstrations import Demonstration, RecitingPolicy, tokenise
from agentgym.training.learner import Learner
from agentgym.training.recipe import OptimiserSection, WarmStartSection
from agentgym.training.schedules.base import Simultaneous
from agentgym.training.turns import TurnTable
from agentgym.training.update import Update
from agentgym.training.warm_start import warm_start

COLOURS = ("red", "green", "blue")
LAMPS = 3
"""Lamps that light up one after another in an episode."""


class Suite:
    """Sequences of colours."""

    name, version, env_id = "lamps", "1", "test/Lamps-v0"
    heldout_differs = "other sequences"

    def tasks(self, split: Split | str) -> Sequence[Task]:
        sequences = [(a, b, c) for a in COLOURS for b in COLOURS for c in COLOURS]
        return [
            Task("-".join(sequence), self.env_id, Split.parse(split), params={"colours": list(sequence)})
            for sequence in sequences
        ]


class Lamps(AgentEnv):
    """A lamp lights up; pressing the button of its colour brings the next, another button nothing."""

    suite = Suite()
    split = Split.TRAIN
    observation_space = Utf8Text()
    action_space = Utf8Text()
    _task: Task

    @property
    def task(self) -> Task:
        return self._task

    def state_key(self) -> str:
        return f"{self._task.id} {self._lit}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        self._task, self._lit = options["task"], 0
        return self._shown(), {"success": False}

    def step(self, action: Any) -> StepResult:
        right = action == f"press {self._colour()}"
        won = right and self._lit == LAMPS - 1
        self._lit += right and not won
        return self._shown(), right / LAMPS, won, False, {"success": won, "valid": True}

    def _colour(self) -> str:
        return self._task.params["colours"][self._lit]

    def _shown(self) -> str:
        return f"The {self._colour()} lamp is on."


def agent(policy: LocalPolicy | RecitingPolicy) -> ChatAgent:
    return ChatAgent(policy, system_prompt="", sampling=Sampling(max_tokens=6))


def play(policy: LocalPolicy, members: int, label: str) -> list[Episode]:
    plans = plan_groups(Suite().tasks("train"), members, label=label, seed=0)
    return asyncio.run(collect(plans, agent(policy), Lamps, concurrency=64, max_turns=LAMPS))


def success(episodes: Sequence[Episode]) -> float:
    return float(np.mean([episode.success for episode in episodes]))


def guesser() -> LocalPolicy:
    """A policy that has learned to press buttons, any buttons."""
    random = np.random.default_rng(0)
    tasks = Suite().tasks("train")
    presses = [tuple(f"press {COLOURS[n]}" for n in random.integers(0, 3, LAMPS)) for _ in range(150)]
    shown = tuple(f"The {colour} lamp is on." for colour in COLOURS)
    guesses = [
        Demonstration(tasks[n % len(tasks)], n, shown, actions, (True,) * LAMPS)
        for n, actions in enumerate(presses)
    ]
    tokenizer = train_tokenizer([text for one in guesses for text in one.texts], 300)
    sizes = ModelConfig(hidden_size=64, layers=2, heads=2, kv_heads=1, head_dim=32, mlp_size=128)
    model = make_model(sizes, tokenizer, device="cpu")
    episodes = asyncio.run(tokenise(guesses, tokenizer, agent, Lamps))
    warm_start(model, episodes, WarmStartSection(epochs=6, lr=3e-3, tokens_per_step=512), seed=0)
    return LocalPolicy(model, tokenizer)


@pytest.mark.parametrize("advantage", [StepGroup(), GroupMean(std=True)], ids=lambda part: part.name)
def test_reinforcement_raises_success(advantage: Advantage) -> None:
    policy = guesser()
    before = success(play(policy, 16, "before"))
    learner = Learner(policy.model, OptimiserSection(lr=1e-3), Update(schedule=Simultaneous(minibatches=4)))
    for iteration in range(25):
        episodes = play(policy, 8, f"train-{iteration}")
        turns = TurnTable.from_episodes(episodes)
        learner.learn(episodes, turns, advantage(turns))
        policy.set_version(learner.iteration)
    after = success(play(policy, 16, "after"))
    assert 0.005 < before < 0.2, f"guessing solves one task in 27, not {before:.0%}"
    assert after > 0.8, (before, after)
