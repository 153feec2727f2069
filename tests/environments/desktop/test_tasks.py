"""Every validator is true where it should be and false elsewhere; splits differ; what is no plain file is not read."""

import os
import random
from pathlib import Path

import pytest

import agentgym
from agentgym.core.errors import TaskError, UnknownNameError
from agentgym.core.task import Split
from agentgym.environments.browser.grammar import BadAction, parse
from agentgym.environments.desktop.goals import read_home
from agentgym.environments.desktop.sheet import read_sheet, write_sheet
from agentgym.environments.desktop.tasks import DesktopSuite
from agentgym.environments.desktop.templates.catalogue import TEMPLATES
from agentgym.environments.desktop.verbs import VERBS


@pytest.mark.parametrize("name", TEMPLATES)
def test_validators_know_the_end_from_the_start_and_from_all_that_is_near(name: str) -> None:
    suite = DesktopSuite(templates=[name])
    tasks = [task for split in Split for task in suite.tasks(split)]
    assert len({repr((suite.goal(task).instruction, suite.goal(task).start)) for task in tasks}) == len(tasks)
    for task in tasks:
        goal = suite.goal(task)
        titles = [f"{goal.title}(48x48)"]
        assert not goal.solved(goal.start, ["Something else"]), task.id
        assert goal.solved(goal.wanted, titles), task.id
        for path in goal.wanted:
            rest = {other: content for other, content in goal.wanted.items() if other != path}
            assert not goal.solved(rest, titles), (task.id, path)
            if not path.endswith("/"):
                assert not goal.solved({**goal.wanted, path: b"spoilt"}, titles), (task.id, path)
        assert not goal.solved({**goal.wanted, "more.txt": b""}, titles)
        for action in goal.plan:
            assert parse(action, VERBS).verb != "done"
        assert goal == suite.goal(task), "not the same when drawn again"


def test_there_are_tasks_enough_and_templates_are_held_out() -> None:
    suite = agentgym.suite("desktop")
    assert isinstance(suite, DesktopSuite)
    kinds = {split: {task.task_type for task in suite.tasks(split)} for split in Split}
    assert sum(len(suite.tasks(split)) for split in Split) >= 300
    assert kinds[Split.TRAIN] == kinds[Split.SELECT]
    assert len(kinds[Split.TRAIN]) + 6 <= len(kinds[Split.HELDOUT]) == len(TEMPLATES) >= 20
    asked = [
        {(suite.goal(task).instruction, *suite.goal(task).start.items()) for task in suite.tasks(split)}
        for split in Split
    ]
    assert not asked[0] & asked[1]
    assert not asked[0] & asked[2]
    assert not asked[1] & asked[2]


def test_wrong_names_are_told() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'edit_append'"):
        DesktopSuite(templates=["edit_apend"])
    with pytest.raises(TaskError, match="Did you mean 'train-edit_sort-031'"):
        DesktopSuite().task("train-edit_sort-01")


def test_sheets_are_read_as_they_are_written() -> None:
    rows = [["item", "price"], ["a & b", "3"], ["", "4.5"]]
    assert read_sheet(write_sheet(rows)) == b"0,0: item\n0,1: price\n1,0: a & b\n1,1: 3\n2,1: 4.5\n"
    assert read_sheet(b"no workbook") is None
    assert read_sheet(b"\x1f\x8bdamaged") is None
    assert read_sheet(b"<other/>") is None


def test_nothing_is_followed_nor_waited_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "Folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (home / "Folder/a.txt").write_text("a")
    (home / ".hidden").write_text("h")
    (home / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(home / "pipe")
    (home / "long").write_bytes(random.Random(0).randbytes(1 << 21))
    files = dict(read_home(home))
    assert len(files.pop("long")) == 1 << 20
    assert files == {
        "Folder/": b"",
        "Folder/a.txt": b"a",
        "link": b"(no plain file)",
        "pipe": b"(no plain file)",
    }


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("", "Write one call"),
        ("clik(3)", "Did you mean 'click'"),
        ("click(3, 4)", r"takes 1 argument, got 2: write click\(id\)"),
        ("type(hello)", "texts in quotes"),
        ('move_to("a", 3)', "is a number of pixels"),
    ],
)
def test_what_is_no_action_is_told_what_one_is(action: str, told: str) -> None:
    with pytest.raises(BadAction, match=told):
        parse(action, VERBS)
