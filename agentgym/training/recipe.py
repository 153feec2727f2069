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
from typing import Annotated, Any, Literal, cast, get_args

import tomlkit
from pydantic import Field, PositiveInt, SerializeAsAny, ValidationError, model_validator
from pydantic.fields import FieldInfo

import agentgym.training.catalog  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers every part)
from agentgym.core.errors import ConfigError, UnknownNameError, did_you_mean
from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.group import GroupMean
from agentgym.training.losses.aggregations import Aggregation, TokenMean
from agentgym.training.losses.clips import Clip, PpoClip
from agentgym.training.losses.corrections import Correction
from agentgym.training.losses.ratios import Ratio, TokenRatio
from agentgym.training.losses.regularisers import Regulariser
from agentgym.training.parts import Part, Settings
from agentgym.training.proximal import Proximal, Sampler
from agentgym.training.schedules.base import Schedule, Simultaneous
from agentgym.training.shaping.base import Shaping
from agentgym.training.task_sampling import TaskSampling, Uniform

Share = Annotated[float, Field(ge=0, lt=1)]


class EnvironmentSection(Settings):
    """Where the policy acts."""

    id: str = "agentgym/Household-v0"
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Passed to `agentgym.make`, such as `{difficulty = "easy"}`."""
    max_turns: int = Field(default=30, ge=1)


class ScratchModel(Settings):
    """A Qwen3-shaped model with random weights, and its own tokenizer trained on the demonstrations."""

    vocab_size: int = Field(default=1024, ge=300)
    hidden_size: int = Field(default=128, ge=8)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    kv_heads: int = Field(default=2, ge=1)
    head_dim: int = Field(default=32, ge=8)
    mlp_size: int = Field(default=384, ge=8)
    max_context: int = Field(default=2048, ge=64)
    """Most tokens in one conversation."""
    init_std: float = Field(default=0.05, gt=0)
    """Standard deviation of the initial weights."""

    @model_validator(mode="after")
    def _shapes_fit(self) -> ScratchModel:
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ValueError("`heads` must be a multiple of `kv_heads`, and `head_dim` even")
        return self


class ModelSection(Settings):
    """What is trained: `path` (a directory or hub name), or `scratch`."""

    path: str = ""
    scratch: ScratchModel | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the trained weights. AdamW's small steps are lost in bfloat16 unless the learning rate is large."""

    @model_validator(mode="after")
    def _one_source(self) -> ModelSection:
        if bool(self.path) == (self.scratch is not None):
            raise ValueError("give either `path` (a directory or hub name) or a table `scratch`")
        return self


class WarmStartSection(Settings):
    """Supervised training on the oracle's demonstrations before the reinforcement learning."""

    demonstrations: int = Field(default=500, ge=1)
    noise: float = Field(default=0.2, ge=0, lt=1)
    """Probability that a demonstration takes a random action, from which the oracle then recovers; the
    random actions are not trained on."""
    epochs: int = Field(default=10, ge=1)
    lr: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    tokens_per_step: int = Field(default=8192, ge=64)
    train_on: Literal["all", "completions"] = "completions"
    """`all` also learns to predict observations, which a model without pre-training needs."""


class RolloutSection(Settings):
    """How episodes are played."""

    tasks: int = Field(default=16, ge=1)
    """Tasks per iteration."""
    group_size: int = Field(default=8, ge=1)
    """Rollouts of each task."""
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Below 1 the sampled tokens follow another distribution than the one trained: fine for play, biased
    for training."""
    max_tokens: int = Field(default=32, ge=1)
    """Most tokens in one answer."""
    concurrency: int = Field(default=128, ge=1)
    """Most episodes in flight."""


class AgentSection(Settings):
    """How observations become messages and answers become actions."""

    system_prompt: str | None = None
    """Unset: a short one that names the action format. Empty: none."""
    action_format: Literal["plain", "tagged"] = "plain"
    history: Literal["full"] | PositiveInt = "full"
    """How many of the last exchanges the agent sees besides the first observation."""
    show_admissible: bool = False
    """List the admissible actions under each observation."""
    restate_task: bool = False
    """Repeat the instruction under each observation: a small model need not look for it far back."""


class OptimiserSection(Settings):
    """AdamW and its schedule over iterations."""

    lr: float = Field(default=1e-6, gt=0)
    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: float = Field(default=0.0, ge=0)
    grad_clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    warmup: int = Field(default=0, ge=0)
    """Iterations over which the learning rate rises from 0."""
    decay: Literal["constant", "linear", "cosine"] = "constant"
    """How it falls from there; `linear` and `cosine` reach a tenth at the last iteration."""


class EvaluationSection(Settings):
    """Evaluations: before and after on held-out tasks, and during training on `select` tasks."""

    heldout_tasks: int = Field(default=100, ge=0)
    """Tasks of each held-out part; 0 leaves the held-out evaluations out."""
    samples: int = Field(default=1, ge=1)
    """Episodes of each task."""
    temperature: float = Field(default=0.0, ge=0)
    every: int = Field(default=0, ge=0)
    """Iterations between evaluations on `select`; 0 for none."""
    select_tasks: int = Field(default=64, ge=1)


class CheckpointSection(Settings):
    """When to save, and how much to keep."""

    every: int = Field(default=1, ge=1)
    keep: int = Field(default=2, ge=1)


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
    the same tokens; beyond it the run stops, for it would train on something it did not do."""

    advantage: SerializeAsAny[Advantage] = GroupMean(std=True)
    shaping: tuple[SerializeAsAny[Shaping], ...] = ()
    proximal: SerializeAsAny[Proximal] = Sampler()
    ratio: SerializeAsAny[Ratio] = TokenRatio()
    clip: SerializeAsAny[Clip] = PpoClip()
    corrections: tuple[SerializeAsAny[Correction], ...] = ()
    regularisers: tuple[SerializeAsAny[Regulariser], ...] = ()
    aggregation: SerializeAsAny[Aggregation] = TokenMean()
    schedule: SerializeAsAny[Schedule] = Simultaneous()
    sampling: SerializeAsAny[TaskSampling] = Uniform()

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
    def _tokenizer_needs_text(self) -> Recipe:
        if self.model.scratch is not None and self.warm_start is None:
            raise ValueError(
                "`model.scratch` needs a `warm_start`: its tokenizer is trained on demonstrations"
            )
        return self

    @model_validator(mode="after")
    def _whole_rows_for_all_tokens(self) -> Recipe:
        if self.warm_start and self.warm_start.train_on == "all" and self.agent.history != "full":
            raise ValueError(
                '`warm_start.train_on = "all"` needs `agent.history = "full"`; use "completions"'
            )
        return self

    @model_validator(mode="after")
    def _groups_to_compare(self) -> Recipe:
        if self.rollout.group_size == 1 and getattr(self.advantage, "singleton", "") == "zero":
            raise ValueError(
                "`rollout.group_size = 1` leaves every advantage 0: a group of one has nothing to compare with"
            )
        return self

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
    table = _read(str(source))
    for override in overrides:
        _apply(table, override)
    return parse_recipe(table, str(source))


def parse_recipe(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """Validate a recipe given as data; raises `ConfigError` naming every wrong field."""
    try:
        return Recipe.model_validate(_with_part_names(table))
    except ValidationError as error:
        problems = "\n".join(f"  {_explain(dict(problem))}" for problem in error.errors())
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
    return table if base is None else _merge(_read(str(base), folder, (*extended_by, source)), table)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merge(merged[key], value) if _extends(merged.get(key), value) else value
    return merged


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
    if isinstance(value, str) and field is not None and isinstance(field.default, Part):
        value = {"name": value}
    table.update(_merge(table, {keys[0]: value}))


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _explain(problem: dict[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path) or "recipe"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such key.{did_you_mean(path[-1], _known_keys(path[:-1]))}"
    if problem["type"] == "missing":
        return f"{where}: is missing."
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: got {problem['input']!r}. {message}" if path else message


def _known_keys(path: Sequence[str]) -> list[str]:
    """Return the keys of the section at `path`; of a kind of part, the settings of all its parts."""
    section: Any = Recipe
    for key in path:
        annotation = getattr(section, "model_fields", {}).get(key, FieldInfo()).annotation
        candidates = (annotation, *get_args(annotation))
        section = next((kind for kind in candidates if hasattr(kind, "model_fields")), None)
    kinds: list[Any] = [section, *getattr(section, "registry", {}).values()]
    return [name for kind in kinds for name in getattr(kind, "model_fields", {})]


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
