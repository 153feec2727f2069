"""A recipe: everything a training run is made of, as data.

    recipe = load_recipe("gigpo", ["optimiser.lr=1e-4", "advantage.weight=0.5"])

Recipes are TOML. A file may name another recipe to start from with `extends`. What is wrong in one is
reported as a `ConfigError` that names the field, the value and what is allowed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import tomlkit
from pydantic import Field, SerializeAsAny, ValidationError, model_validator

import agentgym.training.catalog  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers every part)
from agentgym.core.errors import ConfigError, UnknownNameError, did_you_mean
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean
from agentgym.training.branching import Branching, NoBranching
from agentgym.training.critics.base import Critic, NoCritic
from agentgym.training.critics.extraction import AsRecorded, Extraction
from agentgym.training.curricula import Curriculum, WholeEpisodes
from agentgym.training.data import Data, Played
from agentgym.training.guidance import Guidance, NoGuidance
from agentgym.training.losses.aggregations import Aggregation, TokenMean
from agentgym.training.losses.clips import Clip, PpoClip
from agentgym.training.losses.corrections import Correction
from agentgym.training.losses.ratios import Ratio, TokenRatio
from agentgym.training.losses.regularisers import Regulariser
from agentgym.training.parts import Part, Settings
from agentgym.training.proximal import Proximal, Sampler
from agentgym.training.recording import with_recorded_settings
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
    data: SerializeAsAny[Data] = Played()
    critic: SerializeAsAny[Critic] = NoCritic()
    extraction: SerializeAsAny[Extraction] = AsRecorded()
    replay: SerializeAsAny[Replay] = NoReplay()

    environment: EnvironmentSection = EnvironmentSection()
    model: ModelSection
    warm_start: WarmStartSection | None = None
    rollout: RolloutSection = RolloutSection()
    agent: AgentSection = AgentSection()
    optimiser: OptimiserSection = OptimiserSection()
    evaluation: EvaluationSection = EvaluationSection()
    checkpoint: CheckpointSection = CheckpointSection()

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


def shipped_recipes() -> list[str]:
    """Return the names of the recipes that come with agentgym."""
    folder = files("agentgym.training") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by shipped name or from a TOML file, and apply `key.path=value` overrides.

    Raises `UnknownNameError` when there is neither such a recipe nor such a file, and `ConfigError` for
    anything wrong inside.
    """
    return parse_recipe(read_table(source, overrides), str(source))


def read_table(source: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return a recipe's table, merged over those it extends, with the settings of the recording that it learns
    from, and with overrides, before it is validated."""
    table = apply_overrides(_read(str(source)), overrides)
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
    for override in overrides:
        _apply(changed, override)
    if released and changed.get("as_published") is True:
        return apply_overrides(merge_tables(own, released), overrides)
    return changed


def parse_recipe(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Validate a recipe given as data; raises `ConfigError` naming every wrong field."""
    named = _with_part_names(table)
    try:
        return Recipe.model_validate(named)
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(dict(problem), named)}" for problem in error.errors())
        raise ConfigError(f"The recipe {source!r} cannot be used:\n{problems}") from None


def _read(source: str, folder: Path = Path(), extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a recipe's table, merged over those it extends; files are looked for from `folder`."""
    file = folder / source
    if source in extended_by:
        raise ConfigError(f"Recipes extend each other in a circle: {' -> '.join((*extended_by, source))}.")
    if source in shipped_recipes():
        text = (files("agentgym.training") / "recipes" / f"{source}.toml").read_text("utf-8")
    elif file.is_file():
        text = file.read_bytes().decode("utf-8", "replace")
        folder = file.parent
    else:
        raise UnknownNameError("recipe", source, shipped_recipes(), "Or give the path of a TOML file.")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe {source!r} is not valid TOML: {error}.") from None
    base = table.pop("extends", None)
    return table if base is None else merge_tables(_read(str(base), folder, (*extended_by, source)), table)


def merge_tables(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` changed by `over`, table by table; a table that names another part replaces the old one."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge_tables(merged[key], value) if _extends(merged.get(key), value) else value
    return merged


def part_fields() -> dict[str, type[Part]]:
    """Return the keys of a recipe that hold a part or a list of parts, each with the kind of part."""
    fields = {key: _kind_in(field.annotation) for key, field in Recipe.model_fields.items()}
    return {key: kind for key, kind in fields.items() if kind is not None}


def _kind_in(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    return next((kind for arg in get_args(annotation) if (kind := _kind_in(arg))), None)


def _with_part_names(table: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a table that sets something of a part without naming it: the default part is meant."""
    completed = dict(table)
    for key, field in Recipe.model_fields.items():
        given = completed.get(key)
        if isinstance(field.default, Part) and isinstance(given, dict):
            completed[key] = {"name": field.default.name, **cast("dict[str, Any]", given)}
    return completed


def _extends(old: Any, new: Any) -> bool:
    """Whether both are tables of the same part: a table that names another part replaces the old one."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    tables = cast("tuple[dict[str, Any], dict[str, Any]]", (old, new))
    return "name" not in tables[1] or tables[0].get("name") == tables[1]["name"]


def _apply(table: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set takes key=value or section.key=value, got {override!r}.")
    value: Any = _toml_value(text.strip())
    for key in reversed(keys[1:]):
        value = {key: value}
    field = Recipe.model_fields.get(keys[0])
    if field is not None and isinstance(field.default, tuple) and isinstance(value, str | dict):
        value = [value]  # one part where a list of them is meant
    if isinstance(value, str) and field is not None and isinstance(field.default, Part):
        value = {"name": value}
    table.update(merge_tables(table, {keys[0]: value}))


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _explain(problem: dict[str, Any], table: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such key.{did_you_mean(path[-1], _known_keys(path[:-1], table))}"
    if problem["type"] == "missing":
        return f"{where}: is missing."
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: got {problem['input']!r}. {message}" if path else message


def _known_keys(path: Sequence[str], table: Any) -> list[str]:
    """Return the keys of the section or part at `path` in a recipe's table."""
    section: Any = Recipe
    for key in path:
        table = table[int(key)] if key.isdecimal() else table[key]
        if key.isdecimal():
            continue  # a place in a list of parts: the kind is known already
        annotation = section.model_fields[key].annotation
        candidates = (annotation, *get_args(annotation))
        section = _kind_in(annotation) or next(one for one in candidates if hasattr(one, "model_fields"))
    if issubclass(section, Part):
        section = section.registry[str(table["name"])]
    return list(section.model_fields)


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
