"""`agentgym replay`."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentgym.store.store import Store
from agentgym.training.run import Run
from tests.cli.driver import Cli, contents


def change(run: Run, statement: str, *values: object) -> None:
    """Change what a run's store holds."""
    with closing(sqlite3.connect(run.store)) as connection, connection:
        connection.execute(statement, values)


@pytest.fixture
def ids(run: Run) -> list[str]:
    with Store(run.store) as store:
        return [row.id for row in store.episode_rows(run.name)]


def test_what_was_recorded_is_done_again(run: Run, ids: list[str], cli: Cli, tmp_path: Path) -> None:
    before = contents(tmp_path)
    for words in (("reference", ids[0]), (str(run.path), "--last")):
        done = cli("replay", *words)
        assert (done.code, done.err) == (0, "")
        told, verdict = done.out.splitlines()
        assert told.startswith(f"{ids[0] if words[1] == ids[0] else ids[-1]}, ")
        assert verdict == "Every turn is as recorded."
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("reward", 0.5, "reward was recorded as 0.5, and is 0.0"),
        ("state_key", "'elsewhere'", "state_key was recorded as 'elsewhere', and is '"),
        ("observation", "'It is dark.'", "observation was recorded as 'It is dark.', and is '-= Welcome"),
    ],
)
def test_the_first_difference_is_told(
    run: Run, ids: list[str], cli: Cli, column: str, value: object, field: str
) -> None:
    for position in (0, 2):
        change(run, f"UPDATE turns SET {column} = {value} WHERE episode_pk = 1 AND position = {position}")
    done = cli("replay", "reference", ids[0])
    assert (done.code, done.err) == (1, "")
    assert f"Differs at turn 0: {field}" in done.out
    assert cli("replay", "reference", ids[1]).code == 0


def test_an_environment_that_is_not_there_is_named(run: Run, ids: list[str], cli: Cli) -> None:
    with Store(run.store) as store:
        task = store.episode(ids[0]).task.to_json()
    lost = json.dumps({**task, "env_id": "agentgym/Houseboat-v0"})
    change(run, "UPDATE episodes SET task_json = ? WHERE id = ?", lost, ids[0])
    done = cli("replay", "reference", ids[0])
    assert done.code == 2
    assert "Unknown environment 'agentgym/Houseboat-v0'. Did you mean 'agentgym/Household-v0'?" in " ".join(
        done.err.split()
    )


def test_a_run_without_episodes_has_none_to_replay(run: Run, cli: Cli) -> None:
    change(run, "DELETE FROM turns")
    change(run, "DELETE FROM episodes")
    done = cli("replay", "reference", "--last")
    assert (done.code, done.err) == (2, "Error: The run runs/reference has no episodes yet.\n")
