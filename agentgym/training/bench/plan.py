"""What a bench trains: the parts of each recipe, in the conditions of one common base recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentgym.core.errors import UsageError
from agentgym.training.recipe import Recipe, apply_overrides, parse_recipe, part_fields, read_table
from agentgym.training.recipe_tables import merge_tables

DESCRIPTION = ("name", "summary", "paper", "departures", "provenance", "as_published")
"""What an algorithm's recipe says besides its parts."""
POINTS = 8
"""Evaluations over a training, where the base recipe asks for none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train and compare."""

    out: Path
    """Everything goes here."""
    base: str
    """Recipe of the conditions: environment, model, optimiser, rollouts, evaluation."""
    recipes: tuple[str, ...]
    """Names or TOML files; the first is what the others are compared with."""
    seeds: tuple[int, ...]
    settings: tuple[str, ...] = ()
    """`key=value` changes to the base and to every recipe."""
    warm_start: str = ""
    """Model directory that all start from; empty: made as the base recipe says, in `out`."""
    teacher: str = ""
    """Run or model directory, for the recipes that have a teacher."""

    def __post_init__(self) -> None:
        if not self.recipes or not self.seeds:
            raise UsageError("A bench needs at least one recipe and one seed.")
        labels = [label_of(source) for source in self.recipes]
        if len({*labels}) < len(labels) or len({*self.seeds}) < len(self.seeds):
            raise UsageError(f"A recipe or seed is there twice: {', '.join(labels)}; seeds {self.seeds}.")

    @property
    def labels(self) -> tuple[str, ...]:
        """What the recipes are called in results."""
        return tuple(label_of(source) for source in self.recipes)

    @property
    def start(self) -> Path:
        """The model directory that all start from."""
        return Path(self.warm_start) if self.warm_start else self.out / "warm_start"

    def base_recipe(self) -> Recipe:
        """Return the conditions, as a recipe of their own."""
        parts = part_fields()
        common = [setting for setting in self.settings if _key(setting) not in parts]
        return parse_recipe(read_table(self.base, common), self.base)

    def recipe(self, source: str, seed: int) -> Recipe:
        """Return one recipe of the bench: its own parts, the base's conditions, the common warm start."""
        table = compose(read_table(self.base), read_table(source))
        if asks_for_teacher(table) and not self.teacher:
            raise UsageError(
                f"The recipe {source!r} learns from a teacher: give a trained run with --teacher RUN, such as one "
                f"made by `agentgym train {self.base} --set iterations=100`."
            )
        table = apply_overrides(with_teacher(table, self.teacher), self.settings)
        model = {key: value for key, value in table.get("model", {}).items() if key != "scratch"}
        table["model"] = {**model, "path": str(self.start)}
        table.pop("warm_start", None)
        table["seed"] = seed
        evaluation = dict(table.get("evaluation", {}))
        iterations = int(table.get("iterations", Recipe.model_fields["iterations"].default))
        evaluation["every"] = evaluation.get("every") or max(1, iterations // POINTS)
        return parse_recipe({**table, "evaluation": evaluation}, source)


def label_of(source: str) -> str:
    """Return what a recipe, a name or a file, is called."""
    return Path(source).stem if source.endswith(".toml") else source


def compose(base: Mapping[str, Any], algorithm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of a recipe with the parts of `algorithm` and everything else from `base`.

    Parts that the algorithm does not mention are the defaults, not the base's. One exception: where both
    have the same schedule, the settings that the algorithm leaves open are the base's, for how many
    optimiser steps a batch gets belongs to the conditions.
    """
    parts = part_fields()
    table = {key: value for key, value in base.items() if key not in (*parts, *DESCRIPTION)}
    table |= {key: value for key, value in algorithm.items() if key in (*parts, *DESCRIPTION)}
    schedule = merge_tables(
        {"schedule": {"name": "simultaneous", **_as_table(base.get("schedule", {}))}},
        {"schedule": _as_table(algorithm.get("schedule", {"name": "simultaneous"}))},
    )
    return {**table, **schedule}


def asks_for_teacher(table: Mapping[str, Any]) -> bool:
    """Whether a recipe's table has another model as its teacher or guide."""
    return with_teacher(table, "") != dict(table)


def with_teacher(table: Mapping[str, Any], teacher: str) -> dict[str, Any]:
    """Return a recipe's table with `teacher`, a run or model, in the place of the models it learns from."""
    changed = dict(table)
    if _name(table, "teacher") == "model":
        changed["teacher"] = {**table["teacher"], "path": teacher}
    if _name(table, "guidance") == "teacher":
        changed["guidance"] = {**table["guidance"], "teachers": [teacher]}
    return changed


def _name(table: Mapping[str, Any], key: str) -> str:
    return str(_as_table(table.get(key, {})).get("name", ""))


def _as_table(part: Any) -> dict[str, Any]:
    return {"name": part} if isinstance(part, str) else dict(part)


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip().partition(".")[0]


def describe(plan: Plan) -> dict[str, Any]:
    """Return the plan as data, for the results."""
    return {
        "base": plan.base,
        "recipes": list(plan.recipes),
        "seeds": list(plan.seeds),
        "settings": list(plan.settings),
        "warm_start": plan.warm_start,
        "teacher": plan.teacher,
    }


def runs_of(plan: Plan) -> Sequence[tuple[str, int]]:
    """Return every recipe with every seed, seed by seed, so that an early stop leaves whole comparisons."""
    return [(source, seed) for seed in plan.seeds for source in plan.recipes]
