"""Counterfactual values: in a world where they are known, they are found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from agentgym.core.agent import Decision, EpisodeStart
from agentgym.core.env import AgentEnv, StepResult
from agentgym.core.errors import EnvironmentFault, UsageError
from agentgym.core.message import Message
from agentgym.core.policy import Dictation
from agentgym.core.spaces import Utf8Text
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.rollout.collect import EpisodePlan, Trails, collect
from agentgym.rollout.counterfactual import TurnValues, turn_values
from agentgym.rollout.rules import Rules

TASK = Task("t", "test/Ladder-v0", Split.TRAIN)
RUNGS, UP = 3, 0.6
"""Turns, and the probability that the agent climbs at each: a fall earns nothing, the top 1, each rung 0.1."""


class Ladder(AgentEnv):
    """Climb or fall."""

    rung, over, broken = 0, False, False

    def __init__(self) -> None:
        self.action_space = self.observation_space = Utf8Text()

    @property
    def task(self) -> Task:
        return TASK

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.rung, self.over = 0, False
        return "You stand below.", {"success": False}

    def step(self, action: Any) -> StepResult:
        if self.broken and self.rung == 1:
            raise EnvironmentFault("The ladder broke.")
        self.rung += action == "up"
        top = self.rung == RUNGS
        self.over = action != "up" or top
        reward = 1.0 if top else 0.1 if action == "up" else 0.0
        return f"Rung {self.rung}.", reward, self.over, False, {"success": top}

    def state_key(self) -> str:
        return f"{self.rung} {self.over}"

    def snapshot(self) -> bytes:
        return bytes([self.rung, self.over])

    def restore(self, snapshot: bytes) -> None:
        self.rung, self.over = snapshot[0], bool(snapshot[1])


class Climber:
    """Climbs with probability `UP`, and can be told what it did."""

    name = "climber"

    def start(self, start: EpisodeStart) -> Climber:
        climber = Climber()
        climber.random = np.random.default_rng(start.seed)
        return climber

    random: np.random.Generator

    async def act(self, observation: Any, info: Mapping[str, Any]) -> Decision:
        return self._decided("up" if self.random.random() < UP else "down")

    async def recite(self, observation: Any, info: Mapping[str, Any], answer: Dictation) -> Decision:
        return self._decided(str(answer))

    def _decided(self, action: str) -> Decision:
        return Decision(action, messages_delta=(Message("user", "?"), Message("assistant", action)))

    def close(self) -> None:
        pass


def worth(rung: int, gamma: float) -> float:
    """The value of standing on a rung."""
    if rung == RUNGS:
        return 0.0
    reward = 1.0 if rung == RUNGS - 1 else 0.1
    return UP * (reward + gamma * worth(rung + 1, gamma))


def play(trails: Trails | None = None) -> list[Episode]:
    plans = [EpisodePlan(TASK, f"e{number}", "g", number) for number in range(6)]
    return asyncio.run(collect(plans, Climber(), Ladder, concurrency=3, max_turns=RUNGS, trails=trails))


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_known_values_are_found_within_sampling_error(gamma: float) -> None:
    trails: Trails = {}
    episodes, n = play(trails), 150
    assert {len(episode.turns) for episode in episodes} > {1, RUNGS}
    found = asyncio.run(
        turn_values(
            episodes, Climber(), Ladder, n=n, max_turns=RUNGS, concurrency=8, gamma=gamma, trails=trails
        )
    )
    again = asyncio.run(
        turn_values(episodes, Climber(), Ladder, n=n, max_turns=RUNGS, concurrency=3, gamma=gamma)
    )
    for episode, values, replayed in zip(episodes, found, again, strict=True):
        assert np.array_equal(values.return_TN, replayed.return_TN), "snapshots and replay tell the same"
        states = [worth(rung, gamma) for rung in range(len(episode.turns))]
        np.testing.assert_allclose(values.states(), states, atol=4 * 0.55 / np.sqrt(n))
        after = [worth(n + 1, gamma) if turn.action == "up" else 0.0 for n, turn in enumerate(episode.turns)]
        gained = np.array([turn.reward for turn in episode.turns]) + gamma * np.array(after) - states
        np.testing.assert_allclose(values.turns(), gained, atol=4 * 0.8 / np.sqrt(n))
        assert ((values.turns() > 0) == [turn.action == "up" for turn in episode.turns]).all()


def test_halves_make_up_the_whole() -> None:
    values = TurnValues(np.array([[1.0, 0.0, np.nan, 2.0], [np.nan, np.nan, 1.0, 3.0]]), np.zeros(2), 0.5)
    assert values.states().tolist() == [1.0, 2.0]
    assert values.states(slice(0, None, 2)).tolist() == [1.0, 1.0]
    assert values.turns().tolist() == [0.0, -2.0]
    assert np.isnan(values.turns(slice(0, 2))).tolist() == [True, True]


def test_continuations_lost_to_a_fault_are_no_zeros() -> None:
    class Breaks(Ladder):
        broken = True

    episodes = [episode for episode in play() if len(episode.turns) == RUNGS]
    rules = Rules(retries=0)
    (values, *_) = asyncio.run(
        turn_values(episodes, Climber(), Breaks, n=40, max_turns=RUNGS, concurrency=4, rules=rules)
    )
    assert np.isnan(values.return_TN[1:]).all()
    fell = ~np.isnan(values.return_TN[0])
    assert 0 < fell.sum() < 40
    assert (values.return_TN[0][fell] == 0.0).all()


def test_episodes_longer_than_the_limit_are_refused() -> None:
    with pytest.raises(UsageError, match="has 3 turns, more than max_turns=2"):
        asyncio.run(turn_values(play(), Climber(), Ladder, n=1, max_turns=2, concurrency=1))
