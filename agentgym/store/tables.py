"""The tables of the store. Everything that is persisted stands here.

Episodes are numbered by `pk`, in the order in which they were committed; their `id` is unique within a
run. Arrays of tokens are raw little-endian bytes (int32, float32, int8), so that any tool reads them
without this package: `numpy.frombuffer(row.completion_ids, "<i4")`.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import Index, MetaData, UniqueConstraint, text
from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 8
"""Raised with every change of a table (`agentgym.store.migrations`); kept in SQLite's `user_version`."""

APPLICATION_ID = 0x61677931
"""Marks a SQLite file as ours, in SQLite's `application_id`: "agy1"."""


class RunStatus(StrEnum):
    """Where a run stands."""

    RUNNING = "running"
    """In progress, or killed: nobody wrote that it ended."""
    FINISHED = "finished"
    """Came to its end."""
    FAILED = "failed"
    """Ended by an error."""
    INTERRUPTED = "interrupted"
    """Stopped by the user."""


class StoreRow(SQLModel):
    """Base of the tables. They have metadata of their own, apart from any other user's of sqlmodel."""

    metadata = MetaData()


class RunRow(StoreRow, table=True):
    """One run: a training, an evaluation."""

    __tablename__ = "runs"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True)
    kind: str
    """Such as `train` or `eval`."""
    created: str
    """UTC, ISO 8601."""
    status: str
    """A `RunStatus`."""
    config_json: str
    """The resolved configuration."""
    versions_json: str
    """Versions of what the run was made with."""


class EpisodeRow(StoreRow, table=True):
    """One episode, without its turns. See `agentgym.core.trace.Episode`."""

    __tablename__ = "episodes"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("run_id", "id"),
        Index("episodes_by_iteration", "run_id", "iteration"),
        Index("episodes_by_group", "run_id", "group_id"),
        # Whatever is listed is found in these, without the rows: whole tasks and observations lie between those.
        Index("episodes_in_order", "run_id", "pk", "outcome", "phase", "task_id"),
        Index("episodes_with_error", "run_id", "pk", sqlite_where=text("error IS NOT NULL")),
    )

    pk: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE")
    iteration: int
    phase: str
    """What it was played for, such as `train` or `eval`."""
    id: str
    group_id: str
    task_id: str
    split: str
    task_json: str
    """The whole task."""
    outcome: str
    score: float | None
    """Null where the outcome has no score, or the score is not a number."""
    stop_reason: str
    seed: str
    """Decimal: seeds may be wider than SQLite's 64 bits."""
    policy_version: int
    memory_version: str
    skills_version: str
    tools_version: str
    error: str | None
    final_observation: str | None
    """The text of it; see `TurnRow.observation`."""
    final_observation_data: bytes | None
    origin_episode: str | None
    """Id of the episode, of the same run, that it branched off; null: played from reset."""
    origin_turn: int | None
    """The turn at which it did."""
    n_turns: int
    sampled_tokens: int


class EpisodeCountRow(StoreRow, table=True):
    """How many episodes of a kind a run has: counted as they are written, for whoever would have to go through all."""

    __tablename__ = "episode_counts"  # pyright: ignore[reportAssignmentType]

    run_id: str = Field(primary_key=True, foreign_key="runs.id", ondelete="CASCADE")
    phase: str = Field(primary_key=True)
    outcome: str = Field(primary_key=True)
    episodes: int


class TurnRow(StoreRow, table=True):
    """One decision. See `agentgym.core.trace.Turn`."""

    __tablename__ = "turns"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("turns_by_action", "episode_pk", "action", "action_json"),)

    episode_pk: int = Field(primary_key=True, foreign_key="episodes.pk", ondelete="CASCADE")
    position: int = Field(primary_key=True)
    """From 0."""
    observation: str | None
    """The text the agent saw."""
    observation_data: bytes | None
    """The whole observation where it is more than a text (`agentgym.store.values`)."""
    action: str | None
    """The command; null where the action is a tool call."""
    action_json: str | None
    """The tool call: `{"name", "arguments", "id"}`."""
    reward: float | None
    """Null: not a number."""
    terminated: bool
    truncated: bool
    valid: bool
    state_key: str
    policy_version: int
    prompt_start: int
    prompt_ids: bytes
    """int32."""
    completion_ids: bytes
    """int32."""
    logprobs: bytes
    """float32, nats."""
    loss_mask: bytes | None
    """int8; null: all ones, one for each completion id."""
    messages_json: str | None
    """OpenAI chat messages added at this turn; null: none."""
    shown_items_json: str | None
    """List of ids; null: none."""
    timing_json: str | None
    """Seconds by name; null: none."""
    policy_versions: bytes | None
    """int32, one for each completion id; null: `policy_version` throughout."""
    thoughts: bytes | None
    """The decision's completions before the turn's own (`agentgym.store.values`): a list of dicts with the fields of
    `agentgym.core.trace.Thought`; null: none."""
    prompt_tokens: int
    """Of the contexts of the decision's completions, each counted whole, as the policy counted."""
    completion_tokens: int
    withheld_items_json: str | None
    """List of ids; null: none."""


class LessonRow(StoreRow, table=True):
    """What an iteration's update made of an episode. See `agentgym.store.lessons.Lesson`."""

    __tablename__ = "lessons"  # pyright: ignore[reportAssignmentType]

    episode_pk: int = Field(primary_key=True, foreign_key="episodes.pk", ondelete="CASCADE")
    iteration: int = Field(primary_key=True)
    """Of the update: an episode may be learned from again."""
    advantages: bytes
    """float32, one for each turn."""
    token_advantages: bytes
    """float32, one for each trained token, as the loss saw it."""
    ratios: bytes
    """float32, one for each trained token; NaN: no step computed it."""
    clipped: bytes | None
    """Booleans, one for each trained token; null: none is."""


class MetricRow(StoreRow, table=True):
    """One figure of one iteration."""

    __tablename__ = "metrics"  # pyright: ignore[reportAssignmentType]

    run_id: str = Field(primary_key=True, foreign_key="runs.id", ondelete="CASCADE")
    iteration: int = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: float | None
    """Null: not a number."""


class EvaluationRow(StoreRow, table=True):
    """The result of one evaluation."""

    __tablename__ = "evaluations"  # pyright: ignore[reportAssignmentType]

    id: int | None = Field(default=None, primary_key=True)
    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE", index=True)
    iteration: int
    name: str
    """Such as `before` or `after`."""
    created: str
    """UTC, ISO 8601."""
    result_json: str
    """The evaluation as `Evaluation.to_json` writes it."""
