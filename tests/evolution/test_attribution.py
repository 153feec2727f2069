"""What success is owed to: known effects are found, and a run is taken apart by playing it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentgym
from agentgym.core.env import AgentEnv
from agentgym.core.errors import UsageError
from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem, Provenance, Source
from agentgym.core.task import Split, Task, TaskSuite
from agentgym.core.trace import Outcome, StopReason
from agentgym.evaluation.contamination import ContaminationError
from agentgym.evaluation.report import Evaluation
from agentgym.evaluation.results import EpisodeResult
from agentgym.evaluation.runs import load_evaluation
from agentgym.evolution.attribution import Combination, Component, attributed, every_combination, named
from agentgym.evolution.attribution_run import AttributionRun
from agentgym.evolution.attribution_shown import attribution_table, plot_attribution
from agentgym.memory.store.store import MemoryStore
from agentgym.store.store import Store
from agentgym.training.progress import Silent
from agentgym.training.recipe import Recipe
from agentgym.training.run import Run
from agentgym.training.state import TrainingState
from agentgym.training.trainer import Trainer
from tests.training.luck import Luck, LuckSpec, LuckSuite, luck_model, luck_recipe
from tests.training.remembering.locks import ANSWER, given_library, lock_recipe, taught_model

FAIR = "test/Fair-v0"


class FairSuite(LuckSuite):
    """Tasks whose content differs between the splits."""

    def tasks(self, split: Split | str) -> list[Task]:
        return [
            replace(task, env_id=FAIR, params={**task.params, "of": str(task.split)})
            for task in super().tasks(split)
        ]


class Fair(Luck):
    def __init__(self, split: Split) -> None:
        super().__init__(split)
        self.suite = FairSuite()


class FairSpec(LuckSpec):
    id, name = FAIR, "fair"

    def make(self, split: Split, **options: Any) -> AgentEnv:
        return Fair(split)

    def suite(self, **options: Any) -> TaskSuite:
        return FairSuite()


SPEC = FairSpec()


def fair_recipe(model: Path, *more: str) -> Recipe:
    agentgym.register(SPEC)
    return luck_recipe(model, f"environment.id={FAIR}", "iterations=1", "checkpoint.every=1", *more)


W, M = Component.WEIGHTS, Component.MEMORY


def result(task: int, outcome: Outcome, sample: int = 0) -> EpisodeResult:
    return EpisodeResult(
        episode_id=f"{task}/{sample}",
        task_id=f"t{task:03d}",
        task_key=f"t{task:03d}",
        task_type="",
        group="",
        sample=sample,
        seed=0,
        outcome=outcome,
        score=float(outcome is Outcome.SUCCESS) if outcome.scored else None,
        stop_reason=StopReason.COMPLETED,
        turns=1,
        invalid_turns=0,
        sampled_tokens=0,
        policy_version=0,
    )


def evaluation(outcomes: list[Outcome]) -> Evaluation:
    return Evaluation(
        env_id="e",
        suite="s",
        suite_version="1",
        split=Split.HELDOUT,
        agent="a",
        seed=0,
        samples=1,
        max_turns=1,
        options={},
        created="",
        results=tuple(result(task, outcome) for task, outcome in enumerate(outcomes)),
    )


def cells(solved: Mapping[Combination, list[bool]]) -> dict[Combination, Evaluation]:
    told = {True: Outcome.SUCCESS, False: Outcome.FAILURE}
    return {on: evaluation([told[each] for each in tasks]) for on, tasks in solved.items()}


def test_effects_are_those_that_made_the_figures() -> None:
    """Weights alone bring 40 points, memory alone 20, and both together another 30."""
    tasks = np.arange(100)
    rates = {(): 10, (W,): 50, (M,): 30, (W, M): 100}
    found, effects, lost = attributed(
        cells({on: (tasks < rate).tolist() for on, rate in rates.items()}), [W, M]
    )
    assert {cell.on: round(100 * cell.rate.estimate) for cell in found} == rates
    assert lost == 0
    told = {effect.of: round(100 * effect.estimate, 6) for effect in effects}
    assert told == {(W,): (40 + 70) / 2, (M,): (20 + 50) / 2, (W, M): 30}
    for effect in effects:
        assert effect.low < effect.estimate < effect.high
        assert effect.p_value < 0.05


@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=2, max_size=6), st.data())
def test_effects_are_differences_of_differences(tables: list[list[bool]], data: st.DataObject) -> None:
    present = [Component.WEIGHTS, Component.SKILLS, Component.TOOLS]
    combinations = every_combination(present)
    assert len(set(combinations)) == 8
    solved = {on: [table[place] for table in tables] for place, on in enumerate(combinations)}
    _, effects, _ = attributed(cells(solved), present)
    assert [len(effect.of) for effect in effects] == [1, 1, 1, 2, 2, 2, 3]
    chosen = data.draw(st.sampled_from(effects))
    others = [component for component in present if component not in chosen.of]
    differences: list[float] = []
    for rest in product((False, True), repeat=len(others)):
        around = {component for component, on in zip(others, rest, strict=True) if on}
        total = 0.0
        for own in product((False, True), repeat=len(chosen.of)):
            on = around | {component for component, is_on in zip(chosen.of, own, strict=True) if is_on}
            sign = (-1) ** (len(own) - sum(own))
            total += sign * float(np.mean(solved[tuple(sorted(on, key=list(Component).index))]))
        differences.append(total)
    assert chosen.estimate == pytest.approx(np.mean(differences))
    assert chosen.low - 1e-9 <= chosen.estimate <= chosen.high + 1e-9
    assert max(abs(chosen.low), abs(chosen.high)) <= 2 ** (len(chosen.of) - 1)


def test_episodes_without_a_score_are_left_out_everywhere() -> None:
    good, bad, gone = Outcome.SUCCESS, Outcome.FAILURE, Outcome.ENV_ERROR
    told = {(): evaluation([bad, bad, gone]), (W,): evaluation([good, bad, good])}
    found, (effect,), lost = attributed(told, [W])
    assert (lost, effect.estimate) == (1, 0.5)
    assert all(cell.rate.tasks == 2 for cell in found)
    with pytest.raises(UsageError, match="No episode has a score in every combination"):
        attributed({(): evaluation([gone]), (W,): evaluation([good])}, [W])


def test_one_task_gives_no_interval_but_all_that_is_possible() -> None:
    _, (effect,), _ = attributed(cells({(): [False], (W,): [True]}), [W])
    assert effect.standard_error is None
    assert effect.estimate == 1
    assert math.isclose(effect.high, 1)
    assert effect.low < 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with principles and a skill to show, and no tool."""
    folder = tmp_path_factory.mktemp("trained")
    with MemoryStore(folder / "given.sqlite") as store:
        for kind, name in ((ItemKind.PRINCIPLE, "third"), (ItemKind.SKILL, "turns")):
            item = MemoryItem(kind, name, "turn of heldout", "Turn 2 decides.")
            store.set_status(store.put(item), ItemStatus.ACTIVE, reason="given")
    recipe = fair_recipe(
        luck_model(folder / "model", max_context=1024),
        f"memory.library={folder / 'given.sqlite'}",
        "memory.shown=1",
    )
    run = Run.create(recipe, folder / "runs", "trained")
    Trainer(run).train()
    return run


def test_a_run_is_taken_apart_and_can_be_gone_on_with(trained: Run, tmp_path: Path) -> None:
    begun = AttributionRun.create(trained, tmp_path, "why", tasks=3, temperature=1.0)
    played: list[Combination] = []

    def stops_halfway(on: Combination):
        def told(episode: object, done: int, total: int) -> None:
            if on == (M,) and done == 2:
                raise KeyboardInterrupt

        return told

    with pytest.raises(KeyboardInterrupt):
        begun.play(stops_halfway)
    again = AttributionRun(tmp_path / "why")
    found = again.play(lambda on: lambda episode, done, total: played.append(on))
    whole = AttributionRun.create(trained, tmp_path, "whole", tasks=3, temperature=1.0).play()
    assert found == whole
    skills = Component.SKILLS
    assert [cell.on for cell in found.cells] == [
        *((), (W,), (M,), (skills,)),
        *((W, M), (W, skills), (M, skills), (W, M, skills)),
    ]
    assert set(played) == {cell.on for cell in found.cells} - {(), (W,)}
    assert played.count((M,)) < 3, "what was played is not played again"
    assert found.lacking == {Component.TOOLS: "its memory shows no tools"}
    assert json.loads((again.path / "attribution.json").read_text())["tasks"] == 3
    everything = load_evaluation(str(again.path / "cells" / named((W, M, skills))))
    assert {each.policy_version for each in everything.results} == {1}
    plot_attribution(found, tmp_path / "why.png")
    assert (tmp_path / "why.png").read_bytes()[:4] == b"\x89PNG"
    assert attribution_table(found)


def test_what_tools_bring_is_played_with_them_and_without(tmp_path: Path) -> None:
    library = given_library(tmp_path / "given.sqlite")
    model = taught_model(tmp_path / "model", library)
    recipe = lock_recipe(model, library, "memory.shown=1", "iterations=1")
    run = Run.create(recipe, tmp_path, "trained")
    Trainer(run).train()
    attribution = AttributionRun.create(run, tmp_path, "why", tasks=3, samples=2, temperature=1.0)
    found = attribution.play()
    assert found.lacking.keys() == {Component.MEMORY, Component.SKILLS}
    told: dict[Combination, int] = {}
    for cell in found.cells:
        with Store(attribution.path / "cells" / named(cell.on) / "store.sqlite", create=False) as store:
            (row,) = store.runs()
            turns = [turn for episode in store.episodes(row.id) for turn in episode.turns]
            told[cell.on] = sum(
                message.content == ANSWER for turn in turns for message in turn.messages_delta
            )
    tools = Component.TOOLS
    assert [told[()], told[(W,)]] == [0, 0]
    assert told[(tools,)] > 0
    assert told[(W, tools)] > 0


def test_an_item_that_rests_on_an_evaluated_task_is_refused(trained: Run, tmp_path: Path) -> None:
    task = FairSuite().tasks(Split.HELDOUT)[0]
    with MemoryStore(tmp_path / "leaky.sqlite") as store:
        # Told under a false split: the content of the task gives it away.
        item = MemoryItem(ItemKind.PRINCIPLE, "leak", "turn", "Say win.")
        version = store.put(item, Provenance(sources=(Source("run/e", task.key, Split.TRAIN),)))
        store.set_status(version, ItemStatus.ACTIVE, reason="not looked at")
    recipe = fair_recipe(
        Path(trained.recipe.model.path),
        f"memory.library={tmp_path / 'leaky.sqlite'}",
        "memory.shown=1",
    )
    run = Run.create(recipe, tmp_path, "leaky")
    Trainer(run).train()
    with pytest.raises(ContaminationError, match=f"'leak'.* rests on the held-out task '{task.id}'"):
        AttributionRun.create(run, tmp_path, "why")
    assert not (tmp_path / "why").exists()


def test_a_run_that_has_learned_nothing_is_told_so(tmp_path: Path) -> None:
    run = Run.create(fair_recipe(luck_model(tmp_path / "model")), tmp_path, "young")

    TrainingState.begin(run, run.recipe, [], Silent())
    with pytest.raises(
        UsageError, match="no iteration of reinforcement is finished; its recipe has no `memory`"
    ):
        AttributionRun.create(run, tmp_path, "why")
    assert not (tmp_path / "why").exists()
