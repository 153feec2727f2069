"""`agentgym adapt`: finds, resumes, prints data, and says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

from agentgym.evolution.adaptation.search import Found
from tests.cli.driver import Cli

SMALL = [
    "-o",
    "difficulty=easy",
    "--tasks",
    "3",
    "--select-tasks",
    "3",
    "--attempts",
    "2",
    "--max-turns",
    "15",
]


def test_data_is_printed_and_kept_and_the_same_on_resume(cli: Cli) -> None:
    words = ["adapt", "household", *SMALL, "--steps", "3", "--demonstrations", "6", "--name", "first"]
    done = cli(*words, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told.pop("run") == "runs/first"
    kept = Path("runs/first/adaptation.json")
    assert Found.model_validate_json(kept.read_text()) == Found.model_validate(told)
    assert told["steps"] == 3
    kept.unlink()
    ledger = Path("runs/first/ledger.jsonl").read_bytes()
    again = json.loads(cli("adapt", "--resume", "first", "--json").out)
    assert again.pop("run") == "runs/first"
    assert again == told
    assert Path("runs/first/ledger.jsonl").read_bytes() == ledger
    begun = cli("adapt", "household", *words[2:], "--steps", "3")
    assert (begun.code, "go on with `agentgym adapt --resume" in begun.err) == (2, True)


def test_it_begins_with_what_it_is_told(cli: Cli) -> None:
    Path("start.json").write_text('{"k": 2, "kinds": ["skill"]}')
    done = cli("adapt", "household", *SMALL, "--steps", "0", "--start", "start.json", "--json")
    assert json.loads(done.out)["start"]["adaptation"]["kinds"] == ["skill"]
    Path("start.json").write_text('{"k": "many"}')
    wrong = cli("adapt", "household", *SMALL, "--start", "start.json")
    assert (wrong.code, "start.json is no adaptation: k:" in " ".join(wrong.err.split())) == (2, True)


def test_bad_input_is_told_and_leaves_nothing(cli: Cli) -> None:
    for words, told in (
        (["adapt"], "Missing argument 'ENV'"),
        (["adapt", "houshold"], "Did you mean 'household'?"),
        (["adapt", "--resume", "nowhere"], "Unknown search 'nowhere'"),
        (["adapt", "household", "--resume", "x"], "give no environment or name"),
        (["adapt", "household", *SMALL, "--model", "random"], "reads no memory"),
        (["adapt", "household", *SMALL, "--writer", "somebody"], "A writer is 'scripted', a URL"),
        (["adapt", "household", *SMALL, "--library", "no.db"], "no.db"),
        (["adapt", "household", *SMALL, "--library", "a.db", "--demonstrations", "3"], "not both"),
        (["adapt", "household", *SMALL, "--name", "a/b"], "--name is the name of one directory"),
    ):
        done = cli(*words)
        assert (done.code, told in " ".join(done.err.split())) == (2, True), (words, done.err)
    assert not list(Path().glob("runs/*"))
