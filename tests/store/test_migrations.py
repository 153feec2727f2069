"""Stores of older versions are brought to the present one; those of newer versions are left alone."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from agentgym.core.errors import StoreFault, UsageError
from agentgym.core.policy import TokenCount
from agentgym.store.migrations import MIGRATIONS
from agentgym.store.store import Metric, Store
from agentgym.store.tables import SCHEMA_VERSION

HERE = Path(__file__).parent


def written_by(version: int, path: Path) -> Path:
    """A store as that version made it: a run with an episode of two turns, a metric and an evaluation."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / f"schema_{version}.sql").read_text("utf-8"))
    return path


def layout(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """The columns of every table: name, type, whether null is refused, place in the primary key; and the indexes."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = {
            table: [
                (name, kind, refused, key)
                for _, name, kind, refused, _, key in connection.execute(f"PRAGMA table_info({table})")
            ]
            for table in tables
        }
        indexes = sorted(connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'"))
        return {**columns, "indexes": indexes}


def test_every_version_since_the_first_can_be_read() -> None:
    assert sorted(MIGRATIONS) == list(range(4, SCHEMA_VERSION))


@pytest.mark.parametrize("version", sorted(MIGRATIONS))
def test_a_migrated_store_is_laid_out_as_a_new_one(version: int, tmp_path: Path) -> None:
    old, new = written_by(version, tmp_path / "old.db"), tmp_path / "new.db"
    Store(new).close()
    Store(old).close()
    assert layout(old) == layout(new)
    Store(old).close()  # nothing is left to do
    assert layout(old) == layout(new)


def test_what_was_kept_is_still_there(tmp_path: Path) -> None:
    with Store(written_by(4, tmp_path / "old.db")) as store:
        (episode,) = store.episodes("run")
        assert (episode.id, episode.score, len(episode.turns)) == ("a", 1.0, 2)
        assert [turn.usage for turn in episode.turns] == [TokenCount(5, 3), TokenCount(15, 3)]
        assert store.metrics("run") == [Metric(0, "loss", 0.5)]
        assert [row.name for row in store.evaluations("run")] == ["before"]
        store.write_episodes("run", [], iteration=1)


@pytest.mark.parametrize("version", sorted(MIGRATIONS))
def test_what_was_there_is_counted(version: int, tmp_path: Path) -> None:
    with Store(written_by(version, tmp_path / "old.db")) as store:
        assert store.phases("run") == {"train": 1}
        assert store.lessons("run", "a") == {}


def test_two_that_open_it_at_once_migrate_it_once(tmp_path: Path) -> None:
    path, failed = written_by(4, tmp_path / "old.db"), list[Exception]()

    def open_it() -> None:
        try:
            Store(path).close()
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Store(path) as store:
        assert store.episode("a").usage == TokenCount(20, 6)


def test_a_migration_that_cannot_be_done_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = written_by(4, tmp_path / "old.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE turns ADD COLUMN completion_tokens INTEGER")  # somebody else's
    before = layout(path)
    with pytest.raises(StoreFault, match=r"duplicate column"):
        Store(path)
    assert layout(path) == before


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            SCHEMA_VERSION + 1,
            f"version {SCHEMA_VERSION + 1}, this package reads up to version {SCHEMA_VERSION}",
        ),
        (3, f"version 3, this package reads version {SCHEMA_VERSION}"),
    ],
)
def test_what_cannot_be_migrated_is_refused_untouched(version: int, message: str, tmp_path: Path) -> None:
    path = written_by(4, tmp_path / "old.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={version}")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=message):
        Store(path)
    assert path.read_bytes() == before
