"""Episodes of the household world to imagine by."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agentgym.agents.scripted import OracleAgent
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.registry import factory, suite
from agentgym.rollout.collect import collect, plan_groups
from agentgym.training.imagination.buffer import ReplayBuffer

TASKS: Sequence[Task] = suite("household", difficulty="easy").tasks(Split.TRAIN)[:12]


def play(tasks: Sequence[Task], size: int, label: str, noise: float = 0.4) -> list[Episode]:
    """Play household tasks by its expert, which errs."""
    make_env = factory("household", "train", difficulty="easy", expert="searcher")
    plans = plan_groups(tasks, size, label=label, seed=1)
    return asyncio.run(collect(plans, OracleAgent(noise), make_env, concurrency=16, max_turns=25))


@pytest.fixture(scope="session")
def played() -> list[Episode]:
    """Six episodes of each of eight tasks."""
    return play(TASKS[:8], 6, "played")


@pytest.fixture
def buffer(played: list[Episode]) -> ReplayBuffer:
    buffer = ReplayBuffer()
    buffer.add(played)
    return buffer
