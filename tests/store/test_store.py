import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentgym.core.errors import StoreFault, UnknownNameError, UsageError
from agentgym.core.trace import Episode, Outcome
from agentgym.store.records import EPISODE_COLUMNS, TURN_COLUMNS
from agentgym.store.store import Metric, Store
from agentgym.store.tables import SCHEMA_VERSION, EpisodeRow, RunStatus, TurnRow

MakeEpisode = Callable[[str], Episode]


def test_records_name_every_column_of_the_tables() -> None:
    assert {"pk", *EPISODE_COLUMNS} == set(EpisodeRow.model_fields)
    assert {"episode_pk", *TURN_COLUMNS} == set(TurnRow.model_fields)


def test_the_file_uses_a_write_ahead_log_and_checks_foreign_keys(store: Store) -> None:
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    with pytest.raises(StoreFault, match=r"FOREIGN KEY.*create_run"):
        store.log_metrics("nowhere", 0, {"loss": 1.0})


def test_runs_are_listed_and_their_status_kept(store: Store) -> None:
    store.create_run("later", "eval", config={}, versions={})
    store.set_status("run", RunStatus.FINISHED)
    assert [(run.id, run.kind, run.status) for run in store.runs()] == [
        ("run", "train", RunStatus.FINISHED),
        ("later", "eval", RunStatus.RUNNING),
    ]
    assert store.run("run").config_json == '{"lr": 0.1}'


def test_a_run_id_is_taken_once(store: Store) -> None:
    with pytest.raises(UsageError, match=r"'run' is in .* already"):
        store.create_run("run", "train", config={}, versions={})


def test_an_unknown_run_is_named_wherever_it_is_asked_for(store: Store) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: store.run("rum"),
        lambda: store.episodes("rum"),
        lambda: store.episode_rows("rum"),
        lambda: store.metrics("rum"),
        lambda: store.evaluations("rum"),
        lambda: store.delete_from("rum", 0),
        lambda: store.set_status("rum", RunStatus.FAILED),
        lambda: store.add_evaluation("rum", 0, "before", "{}"),
        lambda: store.episode("a", run_id="rum"),
    ]
    for ask in asked:
        with pytest.raises(UnknownNameError, match="Did you mean 'run'"):
            ask()


def test_episodes_are_filtered_and_keep_the_order_of_writing(store: Store, make_episode: MakeEpisode) -> None:
    for iteration in range(3):
        for name in ("c", "a", "b"):
            store.write_episodes("run", [make_episode(f"{name}{iteration}")], iteration=iteration)
    store.write_episodes("run", [make_episode("e1")], iteration=1, phase="eval")
    assert [e.id for e in store.episodes("run", iteration=1)] == ["c1", "a1", "b1", "e1"]
    assert [e.id for e in store.episodes("run", iteration=1, phase="train")] == ["c1", "a1", "b1"]
    assert [e.id for e in store.episodes("run", outcome=Outcome.FAILURE)] == []
    assert len(list(store.episodes("run", outcome=Outcome.SUCCESS, task_id="task-1"))) == 10
    rows = store.episode_rows("run", phase="eval")
    assert [(row.id, row.iteration, row.n_turns, row.sampled_tokens) for row in rows] == [("e1", 1, 3, 15)]


def test_an_unknown_filter_is_refused(store: Store) -> None:
    wrong: dict[str, Any] = {"iteratoin": 1}
    with pytest.raises(UnknownNameError, match="Did you mean 'iteration'"):
        store.episodes("run", **wrong)


def test_more_episodes_than_one_query_reads_come_back(store: Store, make_episode: MakeEpisode) -> None:
    ids = [f"{n}" for n in range(150)]
    store.write_episodes("run", map(make_episode, ids), iteration=0)
    read = list(store.episodes("run"))
    assert [episode.id for episode in read] == ids
    assert all([turn.state_key for turn in e.turns] == ["room-0", "room-1", "room-2"] for e in read)


def test_an_episode_is_found_by_its_id(store: Store, make_episode: MakeEpisode) -> None:
    store.write_episodes("run", [make_episode("alpha-1")], iteration=0)
    assert store.episode("alpha-1").id == "alpha-1"
    with pytest.raises(UsageError, match="Did you mean 'alpha-1'"):
        store.episode("alpha-2")
    store.create_run("other", "train", config={}, versions={})
    store.write_episodes("other", [make_episode("alpha-1")], iteration=0)
    with pytest.raises(UsageError, match="in the runs other, run; give the run_id"):
        store.episode("alpha-1")
    assert store.episode("alpha-1", run_id="other").id == "alpha-1"


def test_an_episode_id_is_unique_in_its_run(store: Store, make_episode: MakeEpisode) -> None:
    store.write_episodes("run", [make_episode("a")], iteration=0)
    with pytest.raises(StoreFault, match="delete_from"):
        store.write_episodes("run", [make_episode("b"), make_episode("a")], iteration=1)
    assert [episode.id for episode in store.episodes("run")] == ["a"]  # "b" was in the same transaction


def test_metrics_come_back_in_order_and_may_be_replaced(store: Store) -> None:
    store.log_metrics("run", 1, {"loss": 0.5, "kl": math.inf})
    store.log_metrics("run", 0, {"loss": 1})
    store.log_metrics("run", 1, {"loss": 0.25})
    assert store.metrics("run") == [
        Metric(0, "loss", 1.0),
        Metric(1, "kl", math.inf),
        Metric(1, "loss", 0.25),
    ]
    assert store.metrics("run", "kl") == [Metric(1, "kl", math.inf)]
    store.log_metrics("run", 2, {"loss": math.nan})
    assert math.isnan(store.metrics("run", "loss")[-1].value)


def test_deleting_from_an_iteration_leaves_the_earlier_ones(store: Store, make_episode: MakeEpisode) -> None:
    store.create_run("other", "train", config={}, versions={})
    for run in ("run", "other"):
        for iteration in range(4):
            store.write_episodes(run, [make_episode(f"{iteration}")], iteration=iteration)
            store.log_metrics(run, iteration, {"loss": 1.0})
            store.add_evaluation(run, iteration, "select", "{}")
    store.delete_from("run", 2)
    for run, kept in (("run", 2), ("other", 4)):
        assert [episode.id for episode in store.episodes(run)] == [f"{n}" for n in range(kept)]
        assert [metric.iteration for metric in store.metrics(run)] == list(range(kept))
        assert [row.iteration for row in store.evaluations(run)] == list(range(kept))
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM turns").fetchone() == (6 * 3,)
    store.write_episodes("run", [make_episode("2")], iteration=2)


def test_evaluations_come_back_as_they_were_added(store: Store) -> None:
    store.add_evaluation("run", 3, "before", '{"success": 0.5}')
    store.add_evaluation("run", 1, "after", "{}")
    rows = [(row.iteration, row.name, row.result_json) for row in store.evaluations("run")]
    assert rows == [(3, "before", '{"success": 0.5}'), (1, "after", "{}")]


def test_an_evaluation_makes_room_for_another_one_only_when_that_is_kept(store: Store) -> None:
    store.add_evaluation("run", 0, "after", "1")
    nothing: Any = None
    with pytest.raises(StoreFault, match="NOT NULL"):
        store.add_evaluation("run", 0, "after", nothing)
    assert [row.result_json for row in store.evaluations("run")] == ["1"]
    store.add_evaluation("run", 0, "after", "2")
    assert [row.result_json for row in store.evaluations("run")] == ["2"]


def test_a_store_is_still_there_when_opened_again(tmp_path: Path, make_episode: MakeEpisode) -> None:
    path = tmp_path / "new folder" / "odd %20name?.db"
    with Store(path) as store:
        store.create_run("run", "train", config={}, versions={})
        store.write_episodes("run", [make_episode("a")], iteration=0)
    with Store(path, create=False) as store, Store(path) as beside:
        assert [e.id for e in store.episodes("run")] == [e.id for e in beside.episodes("run")] == ["a"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


class TestFilesThatAreNoStore:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"no store at .*gone\.db"):
            Store(tmp_path / "gone.db", create=False)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("size", [5, 200, 100_000])
    def test_not_sqlite(self, tmp_path: Path, size: int) -> None:
        path = tmp_path / "notes.txt"
        path.write_bytes(b"x" * size)
        with pytest.raises(UsageError, match=r"notes\.txt is not a SQLite file"):
            Store(path)
        assert path.read_bytes() == b"x" * size

    def test_of_another_program(self, tmp_path: Path) -> None:
        path = tmp_path / "other.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE runs (id)")
        before = path.read_bytes()
        with pytest.raises(UsageError, match="of another program"):
            Store(path)
        assert path.read_bytes() == before

    def test_of_another_version(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        Store(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
        with pytest.raises(UsageError, match=f"version {SCHEMA_VERSION + 1}, this package reads up to"):
            Store(path)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(StoreFault, match="unable to open"):
            Store(tmp_path)

    def test_a_damaged_store(self, tmp_path: Path, make_episode: MakeEpisode) -> None:
        path = tmp_path / "store.db"
        with Store(path) as store:
            store.create_run("run", "train", config={}, versions={})
            store.write_episodes("run", map(make_episode, map(str, range(200))), iteration=0)
        content = path.read_bytes()
        path.write_bytes(content[:16384] + b"\xff" * (len(content) - 16384))
        with pytest.raises(StoreFault, match="damaged"), Store(path) as store:
            list(store.episodes("run"))
