"""A tiny bench, trained once in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.training.bench.compare import Row
from agentgym.training.bench.plan import Plan
from agentgym.training.bench.runner import Bench
from agentgym.training.progress import Silent
from tests.training.test_trainer import TINY

SETTINGS = (*TINY, "iterations=2", "evaluation.select_tasks=3", "evaluation.heldout_tasks=2")


def tiny_plan(out: Path, seeds: tuple[int, ...] = (0, 1)) -> Plan:
    return Plan(out, "quickstart", ("gigpo", "grpo"), seeds, SETTINGS)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, list[Row]]:
    """Look, do not touch: tests share it."""
    plan = tiny_plan(tmp_path_factory.mktemp("bench"))
    return plan, Bench(plan, Silent()).carry_out()
