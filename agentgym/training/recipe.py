"""A recipe: everything a training run is made of, as data.

    recipe = load_recipe("gigpo", ["optimiser.lr=1e-4", "advantage.weight=0.5"])

Recipes are TOML. A file may name another recipe to start from with `extends`. What is wrong in one is
reported as a `ConfigError` that names the field, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import tomlkit
from pydantic import Field, SerializeAsAny, ValidationError, model_validator

import agentgym.training.catalog  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers every part)
from agentgym.core.errors import ConfigError
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean
from agentgym.training.branching import Branching, NoBranching
from agentgym.training.critics.base import Critic, NoCritic
from agentgym.training.critics.extraction import AsRecorded, Extraction
from agentgym.training.curricula import Curriculum, WholeEpisodes
from agentgym.training.data import Data, Played
from agentgym.training.guidance import Guidance, NoGuidance
from agentgym.training.imagination.parts import Imagination, NoImagination
from agentgym.training.losses.aggregations import Aggregation, TokenMean
from agentgym.training.losses.clips import Clip, PpoClip
from agentgym.training.losses.corrections import Correction
from agentgym.training.losses.ratios import Ratio, TokenRatio
from agentgym.training.losses.regularisers import Regulariser
from agentgym.training.parts import Part, Settings
from agentgym.training.proximal import Proximal, Sampler
from agentgym.training.recipe_problems import explain
from agentgym.training.recipe_tables import kind_in, merge_tables, override, read_recipe, with_part_names
from agentgym.training.recording import with_recorded_settings
from agentgym.training.remembering.section import MemorySection
from agentgym.training.replay import NoReplay, Replay
from agentgym.training.rewards.base import Reward
from agentgym.training.rules import broken_rules
from agentgym.training.schedules.base import Schedule, Simultaneous
from agentgym.training.sections import (
    AgentSection,
    CheckpointSection,
    EnvironmentSection,
    EvaluationSection,
    ModelSection,
    OptimiserSection,
    RolloutSection,
    TrackingSection,
    WarmStartSection,
)
from agentgym.training.shaping.base import Shaping
from agentgym.training.side_task import NoSideTask, SideTask
from agentgym.training.task_sampling import TaskSampling, Uniform
from agentgym.training.teachers.base import NoTeacher, Teacher

GapAction: TypeAlias = Literal["stop", "correct"]


class Recipe(Settings):
    """A training run as data: an algorithm (advantage x ratio x clip x ...) and where it is applied."""

    name: str = "custom"
    summary: str = ""
    paper: str = ""
    departures: str = ""
    """Where the defaults differ from the released code, and why."""
    provenance: Literal["published", "reconstructed"] = "published"
    """`reconstructed`: known from an abstract or a note only; not the authors' definition."""
    as_published: bool = False
    """Set every part as the authors' released code has it (`Part.published`), for reproducing their numbers."""
    seed: int = Field(default=0, ge=0)
    iterations: int = Field(default=100, ge=1)
    tokens_per_microbatch: int = Field(default=16384, ge=64)
    """Tokens in one forward and backward pass; changes memory, not results."""
    gap_limit: float = Field(default=0.05, gt=0)
    """Largest mean absolute gap, in nats, between the sampler's and the trainer's log-probabilities of
    the same tokens; beyond it the run would train on something it did not do."""
    gap_action: GapAction = "stop"
    """What happens then: the run stops, or the iteration is learned from with the proximal policy recomputed
    and its ratio to the sampler as weight, truncated at 2 (`truncated_importance`), and says so."""

    rewards: tuple[SerializeAsAny[Reward], ...] = ()
    """Shaping of the rewards, before the advantage; metrics are about the rewards as they were earned."""
    advantage: SerializeAsAny[Advantage] = GroupMean(std=True)
    shaping: tuple[SerializeAsAny[Shaping], ...] = ()
    proximal: SerializeAsAny[Proximal] = Sampler()
    ratio: SerializeAsAny[Ratio] = TokenRatio()
    clip: SerializeAsAny[Clip] = PpoClip()
    corrections: tuple[SerializeAsAny[Correction], ...] = ()
    regularisers: tuple[SerializeAsAny[Regulariser], ...] = ()
    aggregation: SerializeAsAny[Aggregation] = TokenMean()
    schedule: SerializeAsAny[Schedule] = Simultaneous()
    teacher: SerializeAsAny[Teacher] = NoTeacher()
    side_task: SerializeAsAny[SideTask] = NoSideTask()
    sampling: SerializeAsAny[TaskSampling] = Uniform()
    curriculum: SerializeAsAny[Curriculum] = WholeEpisodes()
    branching: SerializeAsAny[Branching] = NoBranching()
    guidance: SerializeAsAny[Guidance] = NoGuidance()
    imagination: SerializeAsAny[Imagination] = NoImagination()
    data: SerializeAsAny[Data] = Played()
    critic: SerializeAsAny[Critic] = NoCritic()
    extraction: SerializeAsAny[Extraction] = AsRecorded()
    replay: SerializeAsAny[Replay] = NoReplay()

    environment: EnvironmentSection = EnvironmentSection()
    model: ModelSection
    warm_start: WarmStartSection | None = None
    rollout: RolloutSection = RolloutSection()
    agent: AgentSection = AgentSection()
    memory: MemorySection | None = None
    optimiser: OptimiserSection = OptimiserSection()
    evaluation: EvaluationSection = EvaluationSection()
    checkpoint: CheckpointSection = CheckpointSection()
    tracking: TrackingSection = TrackingSection()

    @model_validator(mode="after")
    def _publish(self) -> Recipe:
        if not self.as_published:
            return self
        return self.model_copy(
            update={key: _published(getattr(self, key)) for key in type(self).model_fields}
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if problems := broken_rules(self):
            raise ValueError("\n  ".join(problems))
        return self

    @property
    def needs(self) -> frozenset[str]:
        """What its parts ask to be computed: see `LossPart.needs` and `Shaping.needs`."""
        parts = (*self.shaping, self.ratio, self.clip, *self.corrections, *self.regularisers)
        return frozenset(need for part in parts for need in part.needs)

    def to_toml(self) -> str:
        """Return the whole recipe as TOML that `load_recipe` reads back to an equal recipe."""
        return tomlkit.dumps(_without_none(self.model_dump(mode="json")))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or from a TOML file, and apply `key.path=value` overrides.

    Raises `UnknownNameError` when there is neither such a recipe nor such a file, and `ConfigError` for
    anything wrong inside.
    """
    return parse_recipe(read_table(source, overrides), str(source))


def read_table(source: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return a recipe's table, merged over those it extends, with the settings of the recording that it learns
    from, and with overrides, before it is validated."""
    table = apply_overrides(read_recipe(str(source)), overrides)
    recorded = with_recorded_settings(table)
    return table if recorded is None else apply_overrides(recorded, overrides)


def apply_overrides(table: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a recipe's table with `key.path=value` overrides applied, one after another.

    A recipe's table `published` names the parts that the released code has in place of its own: they come
    before the overrides if `as_published` is set.
    """
    changed = dict(table)
    released = changed.pop("published", {})
    own = dict(changed)
    for assignment in overrides:
        override(changed, assignment, Recipe.model_fields)
    if released and changed.get("as_published") is True:
        return apply_overrides(merge_tables(own, released), overrides)
    return changed


def parse_recipe(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Validate a recipe given as data; raises `ConfigError` naming every wrong field."""
    named = with_part_names(table, Recipe.model_fields)
    try:
        return Recipe.model_validate(named)
    except ValidationError as error:
        problems = "\n".join(f"  {explain(problem, named, Recipe)}" for problem in error.errors())
        raise ConfigError(f"The recipe {source!r} cannot be used:\n{problems}") from None


def part_fields() -> dict[str, type[Part]]:
    """Return the keys of a recipe that hold a part or a list of parts, each with the kind of part."""
    fields = {key: kind_in(field.annotation) for key, field in Recipe.model_fields.items()}
    return {key: kind for key, kind in fields.items() if kind is not None}


def _published(value: Any) -> Any:
    if isinstance(value, Part):
        return value.as_published()
    if isinstance(value, tuple):
        return tuple(_published(item) for item in cast("tuple[Any, ...]", value))
    return value


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_without_none(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
