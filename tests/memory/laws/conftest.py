"""Household episodes of a player that errs, with what they did to the state of the game."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from agentgym.agents.scripted import ScriptedSession
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import Action
from agentgym.core.task import Split
from agentgym.core.trace import Episode
from agentgym.memory.laws.watching import Change, watch_all
from agentgym.registry import factory, make, suite
from agentgym.rollout.collect import collect, plan_groups


class Curious:
    """Does half of the time as the expert says, else something that was possible at some time of the episode."""

    name = "curious"

    def start(self, start: EpisodeStart) -> ScriptedSession:
        rng = random.Random(start.seed)
        ever: set[str] = set()

        async def choose(info: Mapping[str, Any]) -> Action:
            ever.update(info["admissible_actions"])
            expert = await start.oracle()
            assert expert is not None
            return expert if rng.random() < 0.5 else rng.choice(sorted(ever))

        return ScriptedSession(choose)


def play(split: Split, count: int, first: int = 0) -> list[Episode]:
    tasks = suite("household", difficulty="easy").tasks(split)[first : first + count]
    make_env = factory("household", split, difficulty="easy", expert="searcher")
    plans = plan_groups(tasks, 1, label=f"{split.value}-{first}", seed=1)
    return asyncio.run(collect(plans, Curious(), make_env, concurrency=16, max_turns=30))


def watched(split: Split, episodes: Sequence[Episode]) -> list[Change]:
    with closing(make("household", split=split, difficulty="easy")) as env:
        return watch_all(episodes, env)


@pytest.fixture(scope="session")
def episodes() -> list[Episode]:
    """Of train tasks."""
    return play(Split.TRAIN, 60)


@pytest.fixture(scope="session")
def unseen() -> list[Change]:
    """What happened in episodes of other tasks, of the split `select`."""
    return watched(Split.SELECT, play(Split.SELECT, 12))
