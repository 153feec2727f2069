"""Data for programs: every command that has any prints it as JSON, alone on standard output, and nothing else."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agentgym.cli.bars import bars
from agentgym.cli.console import print_json
from agentgym.evaluation.history import run_history, run_summary
from agentgym.store.store import Store
from agentgym.training.run import Run
from tests.cli.driver import Cli
from tests.cli.test_help import COMMANDS, NESTED

WITHOUT_DATA = ["play", "mcp", "init env", "init agent", "init recipe"]


@pytest.mark.parametrize("command", [name for name in (*COMMANDS, *NESTED) if name not in WITHOUT_DATA])
def test_every_command_with_data_has_the_option(command: str, cli: Cli) -> None:
    assert "--json" in cli(*command.split(), "--help").out


def read(cli: Cli, words: str) -> Any:
    done = cli(*words.split(), "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("envs", {"name", "id", "summary", "tasks"}),
        ("recipes", {"name", "summary", "paper", "provenance", "departures"}),
        ("doctor", {"feature", "what_for", "state", "detail", "mend"}),
    ],
)
def test_lists(words: str, names: set[str], cli: Cli) -> None:
    found = read(cli, words)
    assert len(found) > 5
    assert all(set(entry) == names for entry in found)


def test_what_recipes_are_made_of(cli: Cli) -> None:
    assert read(cli, "recipes show gigpo")["advantage"]["name"] == "step_group"
    assert any(part["name"] == "ppo" for part in read(cli, "recipes parts clip")["clip"])


def test_a_check_and_a_replay(cli: Cli, run: Run) -> None:
    found = read(cli, "check household --only contract.reward")
    assert (found["passed"], [result["id"] for result in found["results"]]) == (True, ["contract.reward"])
    assert read(cli, "replay reference --last")["difference"] is None


def test_a_run_and_what_was_measured_of_it(cli: Cli, run: Run) -> None:
    found = read(cli, "train --resume reference")
    assert found["run"].endswith("reference")
    assert found["comparison"] == read(cli, "compare reference:before reference:after")
    (board,) = read(cli, "leaderboard")
    assert [entry["run"] for entry in board["entries"]] == [
        f"reference:{name}" for name in ("before", "after")
    ][:: 1 if board["entries"][0]["run"].endswith("before") else -1]
    exported = read(cli, "export reference --format atif")
    assert exported["episodes"] == 60


def test_curves_for_weights_and_biases(cli: Cli, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(run.store) as store:
        history, summary = run_history(store, "reference"), run_summary(store, "reference")
    assert sorted(history) == [0, 1, 2, 3, 4]
    assert history[4]["success"] == run.lines()[4]["success"]
    assert summary["after/success_low"] <= summary["after/success"] <= summary["after/success_high"]
    monkeypatch.setitem(sys.modules, "wandb", None)  # as where it is not installed
    done = cli("export", "reference", "--format", "wandb")
    assert (done.code, done.out) == (2, "")
    assert "pip install 'agentgym-harness[wandb]'" in done.err


@pytest.mark.parametrize("format", ["jsonl", "parquet", "atif", "inspect"])
def test_an_export_is_whole_or_not_there(format: str, cli: Cli, run: Run, tmp_path: Path) -> None:
    with closing(sqlite3.connect(run.store)) as connection:
        connection.execute("UPDATE turns SET reward = 'broken' WHERE rowid = (SELECT max(rowid) FROM turns)")
        connection.execute("UPDATE episodes SET task_json = '{' WHERE pk = (SELECT max(pk) FROM episodes)")
        connection.commit()
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match="Expecting"):
        cli("export", "reference", "--format", format)
    assert set(tmp_path.iterdir()) == before


def test_what_is_no_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"lift": [float("inf"), (float("nan"), 0.5)]})
    assert json.loads(capsys.readouterr().out) == {"lift": [None, [None, 0.5]]}


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_tell_rate_and_time_left_on_a_terminal_alone(terminal: bool) -> None:
    out = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with bars(out) as shown:
        task = shown.add_task("episodes", total=400, note="")
        for _ in range(3):
            shown.advance(task, 100)
            shown.refresh()
    assert isinstance(out.file, io.StringIO)
    written = out.file.getvalue()
    assert ("300/400" in written, "/s" in written, "0:00:00" in written) == (terminal,) * 3
    assert bool(written) == terminal
