"""Episodes of the household's searching expert, who errs: what models of a world and world laws are learned from."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from agentgym.agents.scripted import ScriptedSession
from agentgym.core.agent import EpisodeStart
from agentgym.core.env import Action
from agentgym.core.errors import UsageError
from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.registry import factory
from agentgym.rollout.collect import collect, plan_groups

WORLD = {"difficulty": "easy", "expert": "searcher"}
MAX_TURNS = 30


class Erring:
    """Does half of the time as the expert says, else what was possible at some time of the episode, and may not be now."""

    name = "erring"

    def start(self, start: EpisodeStart) -> ScriptedSession:
        """Begin an episode; its seed decides where it errs."""
        rng = random.Random(start.seed)
        ever: set[str] = set()

        async def choose(info: Mapping[str, Any]) -> Action:
            ever.update(info["admissible_actions"])
            expert = await start.oracle()
            if expert is None:
                raise UsageError("The expert has nothing to do.")
            return expert if rng.random() < 0.5 else rng.choice(sorted(ever))

        return ScriptedSession(choose)


def play(tasks: Sequence[Task], repeats: int, label: str, split: Split = Split.TRAIN) -> list[Episode]:
    """Play tasks of a split, so often each; the label decides the seeds."""
    plans = plan_groups(tasks, repeats, label=label, seed=1)
    return asyncio.run(
        collect(plans, Erring(), factory("household", split, **WORLD), concurrency=32, max_turns=MAX_TURNS)
    )
