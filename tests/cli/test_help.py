"""Help, examples and listings."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import Any

import pytest

from agentgym.cli.main import app
from tests.cli.driver import Cli

COMMANDS = [
    *("quickstart", "envs", "play", "check", "replay", "train", "gateway", "serve", "mcp", "doctor"),
    *("eval", "evolve", "adapt", "attribute", "compare", "power", "leaderboard", "export", "rescore", "view"),
]
GROUPS = ["recipes", "memory", "bench", "init"]
NESTED = [
    "recipes",
    "recipes show",
    "recipes parts",
    *(
        f"memory {name}"
        for name in ("list", "show", "gate", "retire", "quarantine", "restore", "export", "import")
    ),
    "bench objectives",
    "init env",
    "init agent",
    "init recipe",
]
"""Commands of groups; `recipes` is one by itself."""
SERVERS = ["gateway", "serve", "mcp", "view"]
"""They serve until they are stopped: tests of their own run their examples."""


def example(help_text: str) -> list[str]:
    """The words of the example in a help text, the program's name left out."""
    (line,) = [line.strip() for line in help_text.splitlines() if line.strip().startswith("Example:")]
    program, *words = shlex.split(line.removeprefix("Example:"))
    assert program == "agentgym"
    return words


def test_these_are_all_commands() -> None:
    names = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    assert names == COMMANDS
    assert [group.name for group in app.registered_groups] == GROUPS
    assert sorted(command for command in callbacks() if command not in COMMANDS) == sorted(NESTED)


def callbacks() -> dict[str, Any]:
    """Every command with the function behind it."""
    found = {command.name or _name(command): command.callback for command in app.registered_commands}
    for group in app.registered_groups:
        inner = group.typer_instance
        assert inner is not None
        if inner.registered_callback is not None:
            found[str(group.name)] = inner.registered_callback.callback
        for command in inner.registered_commands:
            found[f"{group.name} {command.name or _name(command)}"] = command.callback
    return found


@pytest.mark.parametrize("command", [*COMMANDS, *NESTED])
def test_help_explains_every_option_and_fits_80_columns(command: str, cli: Cli) -> None:
    done = cli(*command.split(), "--help")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    docstring = getattr(callbacks()[command], "__doc__", "")
    assert example(done.out) == example(docstring), "the example is broken over two lines"


@pytest.mark.parametrize("command", [name for name in (*COMMANDS, *NESTED) if name not in SERVERS])
def test_the_example_runs(command: str, cli: Cli, tiny: list[str], request: pytest.FixtureRequest) -> None:
    """As printed, with a recipe made tiny by `--set` where a model is trained."""
    if command in ("replay", "attribute", "compare", "leaderboard", "export"):
        request.getfixturevalue("run")  # the run that its example names
    if command.startswith("memory"):
        request.getfixturevalue("library")
    if command == "rescore":
        assert cli("eval", "household", "--policy", "oracle", "--limit", "2", "--name", "good").code == 0
    words = example(cli(*command.split(), "--help").out)
    if command == "bench objectives":
        tiny = [*tiny, "--set", "iterations=1", "evaluation.select_tasks=2", "evaluation.heldout_tasks=2"]
    trained = command in ("quickstart", "train", "bench objectives")
    done = cli(*words, *(tiny if trained else []), typed="1\nquit\n")
    assert (done.code, done.err) == (0, "")
    told = {
        "quickstart": "verdict:",
        "envs": "agentgym/Household-v0",
        "play": "You left after 1 turn.",
        "check": "keeps the contract",
        "replay": "Every turn is as recorded.",
        "train": "verdict:",
        "doctor": "runs and checkpoints",
        "eval": "random -> oracle",
        "adapt": "Kept in runs/adapt-household",
        "evolve": "Kept in runs/evolve-household",
        "attribute": "no memory: its recipe has no `memory`",
        "compare": "verdict: ",
        "power": "200 tasks cannot tell 9 points",
        "leaderboard": "Written to boards/index.html",
        "export": "episodes written to reference.parquet.",
        "rescore": "Kept as runs/good:rescored.",
        "recipes": "gigpo",
        "recipes show": "gamma = 1.0",
        "recipes parts": "ppo",
        "memory list": "find-things",
        "memory show": "Look on open places first.",
        "memory gate": "candidate -> shadow",
        "memory retire": "retired",
        "memory quarantine": "quarantined",
        "memory restore": "candidate",
        "memory export": "Written: shared/find-things.",
        "memory import": "skill wash-things",
        "init env": "agentgym check my_world",
        "init agent": "agent.kind=my_agent",
        "init recipe": "agentgym train my_recipe.toml",
        "bench objectives": "Written to bench/objectives.md",
    }
    assert told[command] in done.out


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_without_a_command_there_is_help(words: list[str], cli: Cli) -> None:
    done = cli(*words)
    assert done.code == (0 if words else 2)
    assert all(f" {command} " in done.out for command in (*COMMANDS, *GROUPS))
    assert "agentgym quickstart" in " ".join(done.out.split())


def test_the_version_is_the_packages(cli: Cli) -> None:
    import agentgym

    assert cli("--version").out == f"agentgym {agentgym.__version__}\n"


def test_help_and_listings_wait_for_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from agentgym.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'openai'} & set(sys.modules)"
    )
    for words in (["--help"], ["envs"], ["train", "--help"], ["recipes", "-h"], ["play", "household"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), words


def test_ids_are_readable_in_80_columns(cli: Cli) -> None:
    done = cli("envs")
    assert max(map(len, done.out.splitlines())) <= 80
    (line,) = [line for line in done.out.splitlines() if "agentgym/Household-v0" in line]
    assert line.split() == ["household", "agentgym/Household-v0", "36,000", "1,800", "3,600"]


def test_check_reports_as_a_table_and_as_json(cli: Cli) -> None:
    done = cli("check", "household", "--only", "contract", "--report", "new/report.json")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    with open("new/report.json", encoding="utf-8") as stream:  # noqa: PTH123 - the command's own folder
        results = json.load(stream)["results"]
    assert [f"pass {result['id']}" in done.out for result in results] == [True] * 5


def _name(command: Any) -> str:
    return getattr(command.callback, "__name__", "")
