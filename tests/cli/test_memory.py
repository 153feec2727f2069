"""`agentgym memory`: what a memory holds, and what becomes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentgym.core.memory import ItemKind, ItemStatus, MemoryItem
from agentgym.memory.store.store import MemoryStore
from tests.cli.driver import Cli, contents
from tests.evolution.gate.tools import CODE, bill_splitter
from tests.memory.tools.test_importing import MODULE
from tests.policies.chat_api import ChatApi


def data(cli: Cli, *words: str) -> Any:
    done = cli("memory", *words, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def statuses(cli: Cli) -> dict[str, str]:
    return {entry["name"]: entry["status"] for entry in data(cli, "list")}


@pytest.mark.usefixtures("library")
def test_items_are_listed_by_kind_status_and_space(cli: Cli) -> None:
    def names(*words: str) -> list[str]:
        return sorted(entry["name"] for entry in data(cli, "list", *words))

    assert names() == ["find-things", "old-habits", "split-bill"]
    assert names("--kind", "tool") == ["split-bill"]
    assert names("--status", "retired") == ["old-habits"]
    assert names("--space", "another") == ["find-things", "split-bill"]
    assert names("--space", "team/alice") == ["find-things", "old-habits", "split-bill"]
    assert "No item is like that." in cli("memory", "list", "--kind", "law").out
    assert max(map(len, cli("memory", "list").out.splitlines())) <= 80


def test_of_an_items_versions_the_latest_is_listed(cli: Cli, library: Path) -> None:
    with MemoryStore(library) as store:
        latest = store.put(MemoryItem(ItemKind.SKILL, "find-things", "Where to look.", "Look around."))
    assert len(data(cli, "list")) == 3
    assert len(data(cli, "list", "--all")) == 4
    assert data(cli, "show", "find-things")["version"] == latest


@pytest.mark.usefixtures("library")
def test_all_that_is_known_of_an_item_is_shown(cli: Cli) -> None:
    found = data(cli, "show", "split-bill")
    assert found["files"]["scripts/tool.py"] == CODE
    assert found["status_log"] == [
        {"status": "candidate", "reason": "written", "author": "", "at": found["status_log"][0]["at"]}
    ]
    assert data(cli, "show", found["version"][:6]) == found
    (link,) = data(cli, "show", "old-habits")["links"]
    assert link == {"relation": "context", "version": data(cli, "show", "find-things")["version"]}
    told = cli("memory", "show", "old-habits").out
    assert "it did nothing" in told
    assert f"lineage: context {link['version'][:8]}" in told


@pytest.mark.usefixtures("library")
def test_a_tool_goes_through_the_gate(cli: Cli) -> None:
    done = cli("memory", "gate", "split-bill")
    assert (done.code, done.err) == (0, "")
    assert "candidate -> shadow" in done.out
    assert re.search(r"replay\s+│ not run", done.out)
    found = data(cli, "show", "split-bill")
    assert found["status"] == "shadow"
    assert [check["name"] for check in found["checks"][:-1]] == [
        *("schema", "lineage", "scan", "tests", "blind tests", "mutation"),
    ]


def test_what_is_turned_away_ends_with_1(cli: Cli, library: Path) -> None:
    with MemoryStore(library) as store:
        store.put(bill_splitter("import socket\n" + CODE, space="team"))
    done = cli("memory", "gate", "split-bill")
    assert (done.code, done.out) == (2, "")
    assert "Several items are meant by 'split-bill'; name one by its version" in done.err
    (version,) = [entry["version"] for entry in data(cli, "list", "--kind", "tool") if entry["space"]]
    done = cli("memory", "gate", version, "--json")
    assert (done.code, done.err) == (1, "")
    assert json.loads(done.out)["after"] == "quarantined"


@pytest.mark.usefixtures("library")
def test_an_endpoint_replays_and_another_writes_tests(cli: Cli) -> None:
    blind = "```python\nfrom tool import run\nassert sum(run({'cents': 9, 'people': 2})['shares']) == 9\n```"
    with ChatApi() as player, ChatApi(lambda _: blind) as tester:
        asked = ["--env", "household", "--policy", player.url, "-o", "difficulty=easy"]
        small = ["--tasks", "2", "--max-turns", "2"]
        found = data(cli, "gate", "split-bill", *asked, *small, "--tester", tester.url)
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["blind tests"]["n"] == 4
    assert len(tester.chats) == 1
    replay = checks["replay"]
    assert replay["standing"] == "cannot tell"
    assert re.search(r"\+0\.0 points .* over 2 tasks, shown in 2 of 2 episodes", replay["reason"])
    assert len(player.chats) == 8
    assert sum("split-bill" in json.dumps(chat) for chat in player.chats) == 4


@pytest.mark.usefixtures("library", "run")
def test_a_run_replays_in_what_it_was_trained_in(cli: Cli) -> None:
    found = data(cli, "gate", "find-things", "--env", "household", "--policy", "reference", "--tasks", "2")
    replay = found["checks"][-1]
    assert replay["details"]["difference"]["tasks"] == 2
    assert found["after"] == "shadow"


@pytest.mark.usefixtures("library")
def test_items_are_withdrawn_and_come_back(cli: Cli) -> None:
    (changed,) = data(cli, "retire", "find-things", "--reason", "the kitchen was rebuilt")
    assert changed["status"] == "retired"
    assert data(cli, "show", "find-things")["status_log"][-1]["reason"] == "the kitchen was rebuilt"
    assert cli("memory", "gate", "find-things").code == 2
    data(cli, "restore", "find-things", "--reason", "it was not")
    assert statuses(cli)["find-things"] == "candidate"
    held = data(cli, "quarantine", "find-things", "--reason", "lies")
    assert {entry["name"] for entry in held} == {"find-things", "old-habits"}
    done = cli("memory", "restore", "old-habits", "--reason", "harmless")
    assert done.code == 2
    assert "stays in quarantine for what it was made from (find-things)" in " ".join(done.err.split())
    back = data(cli, "restore", "find-things", "--reason", "no lies")
    assert {entry["status"] for entry in back} == {"candidate"}
    assert len(back) == 2


@pytest.mark.usefixtures("library")
def test_a_memory_is_shared_and_its_skills_are(cli: Cli, tmp_path: Path) -> None:
    data(cli, "export", "all.jsonl")
    assert data(cli, "import", "all.jsonl", "--library", "other.db")["imported"] == ["3 new versions"]
    assert {entry["status"] for entry in data(cli, "list", "-l", "other.db")} == {"candidate"}
    data(cli, "import", "all.jsonl", "--library", "third.db", "--trusted")
    assert data(cli, "list", "-l", "third.db") == data(cli, "list")
    data(cli, "export", "shared", "find-things", "split-bill")
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["find-things", "split-bill"]
    told = data(cli, "import", "shared", "--space", "team", "-l", "other.db")
    assert told["imported"] == ["skill find-things", "tool split-bill"]
    data(cli, "import", "skills/wash-things", "-l", "other.db")
    (tmp_path / "module.py").write_text(MODULE, "utf-8")
    assert data(cli, "import", "module.py", "-l", "other.db")["imported"] == ["tool add-numbers"]
    with MemoryStore(tmp_path / "other.db") as store:
        assert len(store.entries()) == 7
        assert {entry.status for entry in store.entries()} == {ItemStatus.CANDIDATE}


BROKEN = {
    "no-end/SKILL.md": "---\nname: no-end\n",
    "other/SKILL.md": "---\nname: another\ndescription: d\n---\nb",
    "up/SKILL.md": "---\nname: ../up\ndescription: d\n---\nb",
    "yaml/SKILL.md": "---\nname: yaml\ndescription: a: b: c\n---\nb",
    "module.py": "import os\nos.abort()",
    "notes.jsonl": "{}",
}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("list -l gone.db", r"There is no memory at gone\.db"),
        ("list --kind skil", r"Unknown kind 'skil'\. Did you mean 'skill'\?"),
        ("list --status activ", r"Unknown status 'activ'\. Did you mean 'active'\?"),
        ("show find-thing", r"Unknown memory item 'find-thing'\. Did you mean 'find-things'\?"),
        ("gate split-bill --env household", r"A replay needs both --env and --policy"),
        ("gate split-bill --env houshold --policy random", r"Did you mean 'household'\?"),
        ("gate split-bill --env household --policy random", r"random takes no notice of a memory"),
        ("gate split-bill --tester tiny", r"--tester is the URL of an endpoint, .* got 'tiny'"),
        ("gate old-habits", r"is retired; restore it first"),
        ("retire old-habits --reason x", r"principle 'old-habits' is retired already"),
        ("restore find-things --reason x", r"skill 'find-things' is candidate: neither retired nor in"),
        ("export memory.db", r"memory\.db is there already; exports do not overwrite"),
        ("export shared old-habits", r"is no skill; SKILL\.md is for skills and tools"),
        ("import nowhere", r"There is nothing at nowhere"),
        ("import no-end", r"no-end/SKILL\.md begins with front matter between two lines of ---"),
        ("import other", r"names the skill 'another'; its directory is 'other'"),
        ("import up", r"Not the name of a skill: '\.\./up'"),
        ("import yaml", r"yaml/SKILL\.md: the front matter is no YAML"),
        ("import module.py", r"The module has no __TOOL_META__"),
        ("import notes.jsonl", r"notes\.jsonl, line 1: not part of a memory's export"),
        ("import notes.jsonl --space team", r"--space is for skills and tools"),
        ("import memory", r"memory has no SKILL\.md, nor any folder in it"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_touched(
    command: str, message: str, cli: Cli, library: Path, tmp_path: Path
) -> None:
    (tmp_path / "memory").mkdir()
    for path, text in BROKEN.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, "utf-8")
    with MemoryStore(library) as store:
        before = store.entries()
    files = contents(tmp_path)
    done = cli("memory", *command.split())
    assert (done.code, done.out) == (2, "")
    assert re.search(message, " ".join(done.err.split())), done.err
    assert contents(tmp_path).keys() == files.keys()
    with MemoryStore(library) as store:
        assert store.entries() == before
