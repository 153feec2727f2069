"""What an evolution is asked for."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue

from agentgym.core.memory import check_space
from agentgym.evaluation.results import Record


def _without_password(location: str) -> str:
    if "://" in location and urlsplit(location).password is not None:
        raise ValueError(
            "there is a password in it, which would be kept with the run: leave that of a database to PGPASSWORD or "
            "~/.pgpass, and a key to the variable of --api-key-env"
        )
    return location


def _possible_space(space: str) -> str:
    check_space(space)
    return space


Location: TypeAlias = Annotated[str, AfterValidator(_without_password)]
"""A path or a URL that may be kept with a run."""
SpaceName: TypeAlias = Annotated[str, AfterValidator(_possible_space)]
"""A space of a memory; empty: what all agents see."""


class Acting(Record):
    """Who acts, and where."""

    env_id: str
    options: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    """Of the environment."""
    model: str = "scripted"
    """Who acts: `scripted`, a URL, or a run."""
    model_name: str = ""
    agent: str | None = None
    """The kind that acts by the model; null: the run's own, or chat."""
    temperature: float = Field(default=1.0, ge=0)
    """Of the model that acts."""
    api_key_env: str = "OPENAI_API_KEY"
    """The name of the variable; the key itself is kept nowhere."""
    concurrency: int = Field(default=16, ge=1)
    max_turns: int = Field(default=50, ge=1)
    max_tokens: int = Field(default=512, ge=1)
    seed: int = 0


class EvolveSettings(Acting):
    """Kept with the run: whoever goes on with it does what it was begun with."""

    evolver: str = "scripted"
    """Who proposes items: `scripted`, or a URL."""
    evolver_name: str = ""
    tools: bool = True
    """Whether the scripted evolver writes tools besides skills."""
    library: Location = ""
    """Path or URL of the memory; empty: a file in the run's directory."""
    space: SpaceName = ""
    """Whose items they are."""
    embeddings: Location = ""
    """URL whose embeddings items are found by besides; empty: by words alone."""
    embeddings_name: str = ""
    batches: int = Field(default=8, ge=1)
    tasks: int = Field(default=32, ge=1)
    """Of the split `train`, in each batch."""
    rollouts: int = Field(default=4, ge=1)
    """Of each task: a group, in which items are shown or withheld at random."""
    shown: float = Field(default=0.5, ge=0.2, le=0.8)
    """Probability with which a candidate is shown."""
    k: int = Field(default=4, ge=1)
    """Most items that an episode is shown."""
    token_budget: int = Field(default=2000, ge=1)
    """Of what is shown."""
    gate_tasks: int = Field(default=40, ge=1)
    """Of each group of the split `select`, on which an item is tried before it is admitted."""
    min_exposures: int = Field(default=100, ge=1)
    """Before an item is promoted or retired by its lift."""
    demonstrations: int = Field(default=0, ge=0)
    """Tasks of the first batch that the environment's expert plays once, to be learned from besides."""
