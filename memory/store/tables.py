"""The tables of the memory, the same in SQLite and PostgreSQL.

Versions, sources, edges and the logs are only ever added to. Rows of the logs carry a `digest` of their content, so
that importing what is there already adds nothing.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, MetaData, UniqueConstraint
from sqlmodel import Field, SQLModel

from agentgym.database import Schema


class MemoryRow(SQLModel):
    """Base of the tables. They have metadata of their own, apart from the store's and any other user's of sqlmodel."""

    metadata = MetaData()


class ItemRow(MemoryRow, table=True):
    """What the versions of an item share."""

    __tablename__ = "memory_items"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("space", "kind", "name"),)

    id: str = Field(primary_key=True)
    """`MemoryItem.identity`."""
    space: str = Field(index=True)
    kind: str = Field(index=True)
    name: str


class VersionRow(MemoryRow, table=True):
    """One version. See `agentgym.core.memory.MemoryItem`."""

    __tablename__ = "memory_versions"  # pyright: ignore[reportAssignmentType]

    seq: int | None = Field(default=None, primary_key=True)
    """In the order of writing."""
    sha: str = Field(unique=True)
    """`MemoryItem.version`."""
    item_id: str = Field(foreign_key="memory_items.id", index=True)
    env_id: str
    key_text: str
    body: str
    files_json: str
    """SHA-256 of each file's content, by path; the contents are blobs."""
    meta_json: str
    origin: str
    """A `agentgym.core.memory.ItemOrigin`."""
    author: str
    created: str
    """UTC, ISO 8601."""


class BlobRow(MemoryRow, table=True):
    """A file's content, once for all versions that have it."""

    __tablename__ = "memory_blobs"  # pyright: ignore[reportAssignmentType]

    sha: str = Field(primary_key=True)
    data: bytes


class SourceRow(MemoryRow, table=True):
    """An episode that a version rests on. None of an evaluated split can be written."""

    __tablename__ = "memory_sources"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        UniqueConstraint("sha", "episode_id", "stance"),
        CheckConstraint("split = 'train'", name="memory_learns_from_train_only"),
    )

    seq: int | None = Field(default=None, primary_key=True)
    sha: str = Field(foreign_key="memory_versions.sha", index=True)
    episode_id: str
    task_key: str
    split: str
    stance: str
    """An `agentgym.core.memory.Stance`."""


class EdgeRow(MemoryRow, table=True):
    """What version `src` has to do with the older version `dst`."""

    __tablename__ = "memory_edges"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (UniqueConstraint("src", "dst", "relation"),)

    seq: int | None = Field(default=None, primary_key=True)
    src: str = Field(foreign_key="memory_versions.sha", index=True)
    dst: str = Field(foreign_key="memory_versions.sha", index=True)
    relation: str
    """An `agentgym.core.memory.Relation`."""


class StatusRow(MemoryRow, table=True):
    """A change of status. The latest one of a version holds."""

    __tablename__ = "memory_statuses"  # pyright: ignore[reportAssignmentType]

    seq: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    sha: str = Field(foreign_key="memory_versions.sha", index=True)
    state: str
    """An `agentgym.core.memory.ItemStatus`."""
    reason: str
    author: str
    at: str
    """UTC, ISO 8601."""


class CheckRow(MemoryRow, table=True):
    """What a test of a version found: evidence for its admission."""

    __tablename__ = "memory_checks"  # pyright: ignore[reportAssignmentType]

    seq: int | None = Field(default=None, primary_key=True)
    digest: str = Field(default="", unique=True)
    """Filled in when it is written."""
    sha: str = Field(foreign_key="memory_versions.sha", index=True)
    check: str
    """Such as `schema`, `scan`, `tests` or `replay`."""
    passed: bool
    score: float | None
    n: int
    """Observations behind the score."""
    report_json: str
    at: str


class ExposureRow(MemoryRow, table=True):
    """A candidate of a rollout's retrieval: shown or withheld, and with what probability."""

    __tablename__ = "memory_exposures"  # pyright: ignore[reportAssignmentType]

    episode_id: str = Field(primary_key=True)
    """Unique over runs, such as `RUN/EPISODE`."""
    sha: str = Field(primary_key=True, foreign_key="memory_versions.sha", index=True)
    group_id: str = Field(index=True)
    snapshot: str
    rank: int
    """From 0, in the order of relevance."""
    similarity: float
    probability: float
    """With which it was to be shown."""
    shown: bool
    used: bool | None
    """Whether the agent loaded, called or cited it; null: not known."""


class OutcomeRow(MemoryRow, table=True):
    """How a rollout with exposures ended."""

    __tablename__ = "memory_outcomes"  # pyright: ignore[reportAssignmentType]

    episode_id: str = Field(primary_key=True)
    group_id: str = Field(index=True)
    task_family: str
    policy: str
    reward: float
    verifier: str
    verified: bool
    tokens: int
    steps: int
    at: str


class SnapshotRow(MemoryRow, table=True):
    """A state of a memory: what an episode, a checkpoint and an evaluation refer to."""

    __tablename__ = "memory_snapshots"  # pyright: ignore[reportAssignmentType]

    sha: str = Field(primary_key=True)
    """SHA-256 of the sorted members."""
    parent: str
    """The snapshot before it; empty: none."""
    members_json: str
    at: str


class EmbeddingRow(MemoryRow, table=True):
    """A vector of a text, in one embedding space."""

    __tablename__ = "memory_embeddings"  # pyright: ignore[reportAssignmentType]

    space: str = Field(primary_key=True)
    """`Embedder.space`."""
    text_sha: str = Field(primary_key=True)
    """SHA-256 of the text."""
    vector: bytes
    """float32, little-endian."""


MEMORY = Schema(
    name="memory",
    metadata=MemoryRow.metadata,
    application_id=0x61676D31,  # "agm1"
    version=1,
    advice={
        "FOREIGN KEY": "A version that it refers to is not in this memory; write that one first.",
        "foreign key": "A version that it refers to is not in this memory; write that one first.",
        "memory_learns_from_train_only": "Learn from episodes of the split 'train' only.",
    },
)
