"""A bench from its plan to its files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError, UsageError
from agentgym.training.bench.compare import Row
from agentgym.training.bench.plan import Plan, compose
from agentgym.training.bench.runner import Bench
from agentgym.training.progress import Silent
from agentgym.training.recipe import load_recipe, part_fields, read_table
from agentgym.training.run import Run
from tests.training.bench.conftest import tiny_plan


def test_parts_come_from_the_recipe_and_conditions_from_the_base(tmp_path: Path) -> None:
    plan = Plan(tmp_path, "quickstart", ("grpo",), (3,))
    base, algorithm, composed = load_recipe("quickstart"), load_recipe("grpo"), plan.recipe("grpo", 3)
    for key in set(part_fields()) - {"schedule"}:
        assert getattr(composed, key) == getattr(algorithm, key), key
    for key in ("environment", "rollout", "agent", "optimiser", "iterations"):
        assert getattr(composed, key) == getattr(base, key), key
    assert composed.schedule == base.schedule, "steps per batch belong to the conditions"
    assert (composed.seed, composed.model.path) == (3, str(tmp_path / "warm_start"))
    assert composed.evaluation.every == base.iterations // 8


def test_the_bases_parts_do_not_leak_into_a_recipe_that_says_nothing_of_them() -> None:
    base = {**read_table("quickstart"), "shaping": ["x"], "sampling": "uniform"}
    composed = compose(base, read_table("grpo"))
    assert "shaping" not in composed
    assert "sampling" not in composed
    assert compose(base, {"schedule": {"name": "other"}})["schedule"] == {"name": "other"}


def test_a_teacher_goes_to_the_recipes_that_learn_from_one(tmp_path: Path) -> None:
    plan = Plan(tmp_path, "quickstart", ("grpo", "tcod_f2b"), (0,), teacher="runs/longer")
    assert plan.recipe("tcod_f2b", 0).teacher.model_dump()["path"] == "runs/longer"
    assert plan.recipe("grpo", 0).teacher.name == "none"
    with pytest.raises(
        UsageError, match="'tcod_f2b' learns from a teacher: give a trained run with --teacher"
    ):
        replace(plan, teacher="").recipe("tcod_f2b", 0)


def test_a_file_is_a_recipe_with_settings_of_its_own(tmp_path: Path) -> None:
    variant = tmp_path / "faster.toml"
    variant.write_text('extends = "hgpo"\n[advantage]\nalpha = 2.0\n', "utf-8")
    plan = Plan(tmp_path, "quickstart", ("hgpo", str(variant)), (0,))
    assert plan.labels == ("hgpo", "faster")
    assert plan.recipe(str(variant), 0).advantage.model_dump()["alpha"] == 2.0


def test_all_runs_start_alike_and_play_the_same_tasks(bench: tuple[Plan, list[Row]]) -> None:
    plan, _ = bench
    runs = [Run(plan.out / "runs" / f"{label}-seed0") for label in plan.labels]
    assert len({(run.warm_start / "model.safetensors").read_bytes() for run in runs}) == 1
    first = [run.lines()[0] for run in runs]
    assert first[0]["sampled_tokens"] == first[1]["sampled_tokens"]
    assert first[0]["success"] == first[1]["success"]


def test_the_results_are_whole(bench: tuple[Plan, list[Row]]) -> None:
    plan, rows = bench
    assert [row.recipe for row in rows] == ["gigpo", "grpo"]
    assert rows[0].success.difference is None
    assert rows[1].success.difference is not None
    assert rows[1].success.interval is not None
    assert rows[0].kl.mean is not None
    assert abs(rows[0].kl.mean) < 1
    results = json.loads((plan.out / "objectives.json").read_text("utf-8"))
    assert len(results["runs"]) == 4
    assert [point["iteration"] for point in results["runs"][0]["curve"]] == [0, 1, 2]
    assert results["runs"][0]["curve"][0]["tokens"] == 0
    page = (plan.out / "objectives.md").read_text("utf-8")
    assert page.count("| gigpo |") == page.count("| grpo |") == 2
    assert "--recipes gigpo grpo --seeds 0 1" in page
    assert (plan.out / "objectives.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_done_is_not_done_again(bench: tuple[Plan, list[Row]], tmp_path: Path) -> None:
    plan, rows = bench
    shutil.copytree(plan.out, tmp_path / "bench")
    again = replace(plan, out=tmp_path / "bench")
    moved = [run for run in (again.out / "runs").iterdir() if (run / "recipe.toml").is_file()]
    for run in moved:  # the copy's recipes name the copy's warm start
        text = (run / "recipe.toml").read_text("utf-8")
        (run / "recipe.toml").write_text(text.replace(str(plan.start), str(again.start)), "utf-8")
    shutil.rmtree(again.out / "runs" / "grpo-seed1")
    kept = again.out / "runs" / "gigpo-seed0" / "store.sqlite"
    touched = kept.stat().st_mtime_ns
    redone = Bench(again, Silent()).carry_out()
    assert kept.stat().st_mtime_ns == touched
    assert [row.success for row in redone] == [row.success for row in rows]
    assert [row.kl for row in redone] == [row.kl for row in rows]


def test_runs_of_another_plan_are_not_mixed_in(bench: tuple[Plan, list[Row]]) -> None:
    plan, _ = bench
    other = replace(plan, settings=(*plan.settings, "optimiser.lr=1e-5"))
    with pytest.raises(UsageError, match=r"made with other settings.*choose another --out"):
        Bench(other, Silent()).carry_out()


def test_mistakes_are_told_before_any_training(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path / "out")
    with pytest.raises(ConfigError, match="no such key"):
        Bench(replace(plan, settings=("rollout.taks=1",)), Silent()).carry_out()
    with pytest.raises(UsageError, match="Did you mean 'gigpo'"):
        Bench(replace(plan, recipes=("gigpoo",)), Silent()).carry_out()
    with pytest.raises(UsageError, match="is there twice"):
        replace(plan, recipes=("gigpo", "gigpo"))
    with pytest.raises(UsageError, match="no model directory"):
        Bench(replace(plan, warm_start=str(tmp_path / "nowhere")), Silent()).carry_out()
