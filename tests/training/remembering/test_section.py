"""What a recipe can say of a memory, and what it is told where that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError, UsageError
from agentgym.training.recipe import load_recipe
from agentgym.training.remembering.section import MemorySection
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.training.luck import luck_model
from tests.training.remembering.worlds import remembering


def test_a_recipe_keeps_its_memory() -> None:
    recipe = load_recipe("grpo", ["model.path=x", "memory.k=2"])
    assert recipe.memory == MemorySection(k=2)
    assert "[memory]" in recipe.to_toml()
    assert load_recipe("grpo", ["model.path=x"]).memory is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["memory.shown=0.9"], "at most 0.8"),
        (["memory.library=postgresql://me:secret@host/db", "memory.shown=1"], "PGPASSWORD"),
        (["memory.shown=1", "memory.support=0.01"], "sets 0 of 16 groups aside"),
        (["memory.shown=1", "memory.support=0.99"], "sets 16 of 16 groups aside"),
        (["memory.k=1", "branching=entropy"], "`memory.shown` to 1"),
        (["memory.shown=1", "data=demonstrations"], "memory would change how episodes are played"),
        (["memory.support=0.5", "imagination=counted"], "remembered as if it had happened"),
        (["memory.shwon=1"], "Did you mean 'shown'"),
    ],
)
def test_what_does_not_fit_is_told(settings: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as found:
        load_recipe("grpo", ["model.path=x", *settings])
    assert "secret" not in str(found.value)


def test_a_library_that_is_not_there_is_told_before_anything_is_learned(tmp_path: Path) -> None:
    recipe = remembering(luck_model(tmp_path / "model"), tmp_path / "none.sqlite")
    run = Run.create(recipe, tmp_path, "run")
    with pytest.raises(UsageError, match=r"There is no memory at .*none.sqlite"):
        Trainer(run).train()
    assert not (tmp_path / "none.sqlite").exists()
