"""The searching expert: solves everything, and goes nowhere it could not know to go."""

from __future__ import annotations

import pytest

import agentgym
from agentgym.core.errors import UnknownNameError


@pytest.mark.parametrize("difficulty", ["easy", "hard"])
def test_it_takes_only_from_where_it_has_looked(difficulty: str) -> None:
    env = agentgym.make("household", difficulty=difficulty, expert="searcher", max_steps=120)
    longer = 0
    for seed in range(150):
        observation, info = env.reset(seed=seed)
        shown = observation
        steps = 0
        while not info["success"]:
            action = env.oracle()
            assert isinstance(action, str)
            if action.startswith("take"):
                assert f"{action.split(' from ')[0].removeprefix('take ')}" in shown
            observation, _, _, truncated, info = env.step(action)
            assert info["valid"], action
            assert not truncated
            shown += observation
            steps += 1
        longer += steps
    planner = agentgym.make("household", difficulty=difficulty)
    for seed in range(150):
        _, info = planner.reset(seed=seed)
        while not info["success"]:
            *_, info = planner.step(planner.oracle())
            longer -= 1
    assert longer > 150  # searching costs more than a step a task


def test_what_was_seen_travels_with_the_snapshot() -> None:
    env = agentgym.make("household", difficulty="hard", expert="searcher")
    env.reset(seed=4)
    for _ in range(3):
        env.step(env.oracle())
    saved, expected = env.snapshot(), env.oracle()
    other = agentgym.make("household", difficulty="hard", expert="searcher")
    other.restore(saved)
    assert other.oracle() == expected


def test_unknown_experts() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'searcher'"):
        agentgym.make("household", expert="search")
