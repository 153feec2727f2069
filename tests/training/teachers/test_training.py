"""Every recipe with a teacher trains on the household world, towards its teacher, and resumes exactly."""

from __future__ import annotations

import math
import shutil
from copy import deepcopy
from pathlib import Path

import pytest

from agentgym.core.errors import ConfigError
from agentgym.policies.models import LoadedModel
from agentgym.training.bench.plan import compose
from agentgym.training.learner import Learner
from agentgym.training.losses.distillation import Distillation
from agentgym.training.losses.objective import Objective
from agentgym.training.recipe import Recipe, apply_overrides, load_recipe, parse_recipe, read_table
from agentgym.training.run import Run
from agentgym.training.sections import OptimiserSection
from agentgym.training.teachers.model import ModelTeacher
from agentgym.training.trainer import Trainer
from agentgym.training.turns import TurnTable
from agentgym.training.update import Update
from tests.training.teachers.conftest import Player, around
from tests.training.teachers.test_teachers import other_weights, with_model
from tests.training.test_trainer import TINY

SMALL = [
    *(setting for setting in TINY if not setting.startswith(("regularisers", "advantage"))),
    "iterations=2",
    "rollout.tasks=2",
    "rollout.max_tokens=8",
    "rollout.group_size=2",
    "evaluation.heldout_tasks=0",
    "optimiser.lr=1e-3",
    "checkpoint.keep=9",
]
RECIPES = [
    "opd",
    "opd_exact",
    "opsd",
    "sdpo",
    "hindsight",
    "tcod_f2b",
    "tcod_b2f",
    "rltf_sd",
    "one_token_rollout",
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose newest checkpoint can teach, and whose first model students start from."""
    recipe = load_recipe("quickstart", [*SMALL, "advantage.invalid_action_penalty=0.1"])
    run = Run.create(recipe, tmp_path_factory.mktemp("runs"), "teacher")
    Trainer(run).train()
    return run


def student_recipe(name: str, teacher: Run, *settings: str) -> Recipe:
    """Return a recipe's parts in the small conditions, for a student that starts where the teacher did."""
    table = compose(read_table("quickstart"), read_table(name))
    table = apply_overrides(table, [*SMALL, *settings])
    if table.get("teacher", {}).get("name") == "model":
        table["teacher"]["path"] = str(teacher.path)
    table["model"] = {"path": str(teacher.warm_start)}
    del table["warm_start"]
    return parse_recipe(table)


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipe_trains(name: str, teacher: Run, tmp_path: Path) -> None:
    turns = 20 if name in ("opsd", "one_token_rollout") else 3  # the expert must get to the end
    settings = [f"environment.max_turns={turns}"]
    if name == "rltf_sd":  # a gradient even where every attempt fails
        settings.append("advantage.invalid_action_penalty=0.1")
    run = Run.create(student_recipe(name, teacher, *settings), tmp_path, name)
    Trainer(run).train()
    lines = run.lines()
    assert len(lines) == 2
    assert all(line["grad_norm"] > 0 for line in lines)
    if name == "rltf_sd":
        assert all(line["guided_episodes"] == 4 for line in lines)
    if "teacher" in run.recipe.needs:
        assert all(line["teacher_share"] == 1.0 and math.isfinite(line["teacher_kl"]) for line in lines)
        assert any(line["teacher_kl"] != 0.0 for line in lines)


def test_an_expert_that_solves_nothing_teaches_nothing(teacher: Run, tmp_path: Path) -> None:
    run = Run.create(
        student_recipe("one_token_rollout", teacher, "environment.max_turns=1"), tmp_path, "none"
    )
    Trainer(run).train()
    assert [line["steps_without_update"] for line in run.lines()] == [1, 1]


@pytest.mark.parametrize("weights", ["average", "initial"])
def test_a_teacher_of_the_policys_own_is_resumed_exactly(teacher: Run, tmp_path: Path, weights: str) -> None:
    settings = ["iterations=3", f"teacher.weights={weights}", "teacher.decay=0.5", "environment.max_turns=3"]
    run = Run.create(student_recipe("hindsight", teacher, *settings), tmp_path, "resumed")
    Trainer(run).train()
    whole = run.lines()
    assert len({line["teacher_kl"] for line in whole}) == 3
    shutil.rmtree(max(run.checkpoints.iterdir()))
    Trainer(run).train()
    assert run.lines() == whole


def test_a_teacher_that_nobody_asks_is_refused(teacher: Run) -> None:
    with pytest.raises(ConfigError, match=r"nothing asks the teacher 'self': add the shaping"):
        student_recipe("hindsight", teacher, "shaping=[]")
    with pytest.raises(ConfigError, match=r"`teacher` is 'none': set `teacher.name` to 'model'"):
        student_recipe("hindsight", teacher, "teacher=none")


def test_exact_distillation_comes_closer_to_the_teacher(student: LoadedModel, play: Player) -> None:
    episodes = play(student)
    turns = TurnTable.from_episodes(episodes)
    part = Distillation(coefficient=1.0)
    tutor = ModelTeacher(path="there").tutor(with_model(around(student, exact=True), other_weights(student)))
    update = Update(Objective(regularisers=(part,)))
    losses: dict[int, float] = {}
    for tokens_per_microbatch in (60, 16384):
        learner = Learner(
            student.model,
            OptimiserSection(lr=1e-9),
            update,
            tutor=tutor,
            tokens_per_microbatch=tokens_per_microbatch,
        )
        losses[tokens_per_microbatch] = learner.learn(episodes, turns, turns.reward_R * 0)["loss"]
    assert losses[60] == pytest.approx(losses[16384], rel=1e-4)
    learner = Learner(student.model, OptimiserSection(lr=3e-3), update, tutor=tutor)
    seen = [learner.learn(episodes, turns, turns.reward_R * 0)["loss"] for _ in range(12)]
    assert seen[0] == pytest.approx(losses[60], rel=1e-3)
    assert seen[-1] < 0.7 * seen[0]


def test_what_the_student_already_thinks_teaches_nothing(student: LoadedModel, play: Player) -> None:
    twin = LoadedModel(deepcopy(student.model), student.tokenizer)
    episodes = play(student)
    turns = TurnTable.from_episodes(episodes)
    tutor = ModelTeacher(path="there").tutor(with_model(around(student, exact=True), twin))
    update = Update(Objective(regularisers=(Distillation(coefficient=1.0),)))
    learner = Learner(student.model, OptimiserSection(lr=1e-9), update, tutor=tutor)
    metrics = learner.learn(episodes, turns, turns.reward_R * 0)
    assert metrics["loss"] == pytest.approx(0.0, abs=1e-5)
    assert metrics["grad_norm"] == pytest.approx(0.0, abs=1e-4)
