"""From nothing to a library that raises held-out success, in two worlds, without a model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentgym.agents.follower.agent import FollowerAgent
from agentgym.core.memory import ItemStatus
from agentgym.core.task import Split
from agentgym.evaluation.compare import Verdict
from agentgym.evolution.growing import worth
from tests.evolution.growth import carry_on, new_run


@pytest.mark.parametrize(
    ("world", "turns", "tasks"), [("household", 40, 28), ("backoffice", 16, 24)], ids=lambda value: str(value)
)
def test_the_library_of_a_few_batches_helps_on_held_out_tasks(
    world: str, turns: int, tasks: int, tmp_path: Path
) -> None:
    run = new_run(tmp_path, world, {"batches": 3, "tasks": tasks, "max_turns": turns, "tools": False})
    figures = carry_on(run)
    comparison = asyncio.run(worth(run, FollowerAgent, 25))
    assert comparison.verdict is Verdict.BETTER
    assert comparison.difference.low > 0.05
    first, last = (figures[place]["success"] or 0.0 for place in (0, -1))
    assert last > first, "it helps where it grew, too"
    library = run.library(run.settings(), create=False)
    members = library.snapshot(figures[-1]["library"])
    assert members
    for version in members:
        sources = library.provenance(version).sources
        assert sources
        assert all(source.split is Split.TRAIN for source in sources)
        log = library.status_log(version)
        assert log[0].status is ItemStatus.CANDIDATE
        assert log[-1].status is ItemStatus.ACTIVE
        assert any(change.author == "gate" for change in log), "nothing is used that has not passed the gate"
    library.close()
