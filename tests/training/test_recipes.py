"""Every shipped recipe, and every part, from its name to a training that ran on the household world."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from agentgym.training.bench.plan import with_teacher
from agentgym.training.parts import Part
from agentgym.training.recipe import (
    Recipe,
    apply_overrides,
    load_recipe,
    parse_recipe,
    part_fields,
    read_table,
)
from agentgym.training.recipe_tables import shipped_recipes
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.test_trainer import TINY

HOUSE = [
    "iterations=2",
    "environment.id=agentgym/Household-v0",
    "environment.options={difficulty = 'easy', task_types = ['place'], expert = 'searcher'}",
    "environment.max_turns=5",
    "agent={system_prompt = '', restate_task = true}",
    "rollout.tasks=2",
    "rollout.max_tokens=8",
    "optimiser.lr=1e-3",
    "optimiser.warmup=0",
    "evaluation.heldout_tasks=0",
    "checkpoint={every = 1, keep = 3}",
    "rewards=[{name = 'overlong', limit = 40, buffer = 40}]",
]
"""Two iterations of a few short episodes; every token has a price, a signal even where no task is solved."""


WITHOUT_SIGNAL = {"a_lol", "bnpo", "dapo", "digi_q", "iql", "spo"}
"""They learn from successes alone, and so small a model has none: their steps are without update."""


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose warm start the recipes begin with; it is their teacher and their recording as well."""
    sizes = [*TINY, *HOUSE, "rollout.group_size=4", "regularisers=[]"]
    run = Run.create(load_recipe("quickstart", sizes), tmp_path_factory.mktemp("other"), "other")
    Trainer(run).train()
    return run


def tiny(name: str, other: Run) -> Recipe:
    """A shipped recipe with its own parts, on a few short episodes of a tiny model."""
    if name == "quickstart":
        return load_recipe(name, [*TINY, *HOUSE, "rollout.group_size=3"])
    table = with_teacher(read_table(name), str(other.path))
    size = min(3, int(table.get("rollout", {}).get("group_size", 3)))
    overrides = [*HOUSE, f"rollout.group_size={size}", f"model.path={other.warm_start}"]
    named = {key: table.get(key, {}).get("name") for key in ("data", "sampling")}
    if named["data"] == "recorded":
        overrides.append(f"data.path={other.path}")
    if named["data"] == "demonstrations":
        overrides.append("environment.max_turns=20")  # an expert needs them
    if named["sampling"] == "dynamic":
        overrides.append("sampling.rounds=2")
    return parse_recipe(apply_overrides(table, overrides), name)


def weights(run: Run, iteration: int) -> bytes:
    return (run.checkpoints / f"{iteration:06d}" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_trains(name: str, other: Run, tmp_path: Path) -> None:
    run = Run.create(tiny(name, other), tmp_path, name)
    Trainer(run).train()
    lines = run.lines()
    assert len(lines) == 2
    assert all(math.isfinite(value) for line in lines for value in line.values())
    assert all(line["steps"] + line["steps_without_update"] > 0 for line in lines)
    assert name in WITHOUT_SIGNAL or sum(line["steps"] for line in lines) > 0
    for line in lines:
        before, after = int(line["iteration"]), int(line["iteration"]) + 1
        assert (weights(run, before) != weights(run, after)) == (line["steps"] > 0)


def registered() -> list[tuple[str, type[Part]]]:
    return [(key, part) for key, kind in part_fields().items() for part in kind.registry.values()]


@pytest.mark.parametrize(("key", "part"), registered(), ids=lambda value: getattr(value, "part_name", value))
def test_what_is_published_are_settings_of_the_part(key: str, part: type[Part]) -> None:
    required = {name for name, field in part.model_fields.items() if field.is_required()}
    assert set(part.published) <= set(part.model_fields)
    if not required:
        assert part(**part.published) == part().as_published()


def test_any_part_can_be_swapped_from_the_command_line() -> None:
    swaps = {
        "rewards": "overlong",
        "advantage": "leave_one_out",
        "shaping": "adora",
        "proximal": "recomputed",
        "ratio": "turn",
        "clip": "cispo",
        "corrections": "left_behind",
        "regularisers": "{name = 'entropy', coefficient = 0.1}",
        "aggregation": "rollout_mean",
        "schedule": "sequential",
        "sampling": "dynamic",
        "curriculum": "f2b",
        "branching": "random_turn",
        "replay": "recent",
    }
    plain = load_recipe("grpo")
    for key, value in swaps.items():
        swapped = load_recipe("grpo", [f"{key}={value}"])
        name = value.split("'")[1] if "'" in value else value
        part = getattr(swapped, key)
        assert (part[0] if isinstance(part, tuple) else part).name == name
        same = {field for field in Recipe.model_fields if getattr(swapped, field) == getattr(plain, field)}
        assert same == set(Recipe.model_fields) - {key}
