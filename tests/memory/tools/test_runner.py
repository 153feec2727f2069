"""Tools in the real process sandbox: good ones, and those that must not get anywhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agentgym
from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.memory import ItemKind, MemoryItem
from agentgym.core.tool import ToolSpec
from agentgym.memory.skills.folder import read_skill, write_skill
from agentgym.memory.tools.document import CODE_FILE, SCHEMA_FILE, spec_of, tool_item
from agentgym.memory.tools.runner import TOOL_BOX, Answer, ToolRunner

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
SPEC = ToolSpec("twice", "Doubles a number.", SCHEMA)
TWICE = "def run(args):\n    return {'twice': 2 * args['x']}\n"
TESTS = {"test_tool.py": "from tool import run\nassert run({'x': 2}) == {'twice': 4}\n"}
RUNNER = ToolRunner(agentgym.sandbox, replace(TOOL_BOX, wall_s=60, cpu_s=5))
HASTY = ToolRunner(agentgym.sandbox, replace(TOOL_BOX, wall_s=3, cpu_s=5))


def call(code: str, arguments: Mapping[str, Any] | None = None) -> Answer:
    return asyncio.run(RUNNER.call(tool_item(SPEC, code), {"x": 21} if arguments is None else arguments))


def test_json_in_json_out() -> None:
    assert call(TWICE) == Answer({"twice": 42})
    assert call("def run(args):\n    print('noise')\n    return args\n") == Answer({"x": 21})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("import nothing_of_the_kind", "failed: ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("print('x' * 10**6); return {}", "wrote more than 262144 bytes and was ended"),
        ("return {'x': 'x' * 10**6}", "wrote more than 262144 bytes and was ended"),
        ("return 5", "failed: TypeError: run(args) returns a dictionary, got int"),
        ("return {'x': float('nan')}", "failed: ValueError: Out of range float values"),
        ("return {'x': {1}}", "failed: TypeError: Object of type set"),
        ("raise RuntimeError('no luck')", "failed: RuntimeError: no luck"),
        ("import os; os._exit(7)", "failed: exit code 7"),
        ("import os; os._exit(0)", "gave no JSON as its answer"),
    ],
)
def test_what_goes_wrong_is_told(body: str, problem: str) -> None:
    assert problem in call(f"def run(args):\n    {body}\n").problem


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(60)"])
def test_what_does_not_end_is_ended(body: str) -> None:
    tool = tool_item(SPEC, f"def run(args):\n    {body}\n")
    assert "was not done after 3 s and was ended" in asyncio.run(HASTY.call(tool, {"x": 21})).problem


def test_a_gigabyte_is_not_returned() -> None:
    problem = call("def run(args):\n    return {'x': 'x' * 2**30}\n").problem
    assert "needed more than 256 MiB" in problem or "MemoryError" in problem


def test_a_fork_bomb_ends_with_its_box() -> None:
    answer = call("import os\ndef run(args):\n    while True:\n        os.fork()\n")
    assert "BlockingIOError" in answer.problem or "was ended" in answer.problem
    assert call(TWICE).ok


def test_what_a_tool_forks_cannot_answer_for_it() -> None:
    assert call("import os\ndef run(args):\n    os.fork()\n    return args\n") == Answer({"x": 21})


def test_the_environment_is_empty_and_there_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "marzipan")
    seen = call("import os\ndef run(args):\n    return dict(os.environ)\n").value
    assert "marzipan" not in str(seen)
    assert set(seen) <= {"PATH", "HOME", "LANG", "PWD", "LC_CTYPE"}
    assert "marzipan" in os.environ.values()
    reach = "import socket\ndef run(args):\n    socket.create_connection(('1.1.1.1', 53), 1)\n    return {}\n"
    assert "Network is unreachable" in call(reach).problem


def test_nothing_is_kept_between_calls() -> None:
    keeps = "import os\ndef run(args):\n    was = os.path.exists('kept')\n    open('kept', 'w')\n    return {'was': was}\n"
    assert call(keeps).value == call(keeps).value == {"was": False}


def test_calls_are_checked_before_anything_runs() -> None:
    assert call(TWICE, {}).problem == "The argument 'x' of twice is missing."
    assert "must fit" in call(TWICE, {"x": "many"}).problem
    assert "no JSON data" in call(TWICE, {"x": 1, "y": object()}).problem


def test_tests_are_run_in_the_box() -> None:
    item = tool_item(
        SPEC, TWICE, {**TESTS, "test_wrong.py": "import tool\nassert tool.run({'x': 2}) == 5, 'five'\n"}
    )
    found = asyncio.run(RUNNER.test(item))
    assert found["tests/test_tool.py"] == ""
    assert found["tests/test_wrong.py"] == "tests/test_wrong.py failed: AssertionError: five"
    others = asyncio.run(RUNNER.test(item, {"tests/blind.py": b"from tool import run\nrun({})\n"}))
    assert others == {"tests/blind.py": "tests/blind.py failed: KeyError: 'x'"}


def test_boxes_with_a_network_or_an_environment_are_refused() -> None:
    for spec in (
        replace(TOOL_BOX, environment={"KEY": "1"}),
        replace(TOOL_BOX, network="allowlist", allowed_hosts=("example.org",)),
    ):
        with pytest.raises(ConfigError, match="without network and environment"):
            ToolRunner(agentgym.sandbox, spec)


def test_a_tool_is_a_skill_directory(tmp_path: Path) -> None:
    item = tool_item(SPEC, TWICE, TESTS)
    folder = write_skill(item, tmp_path)
    assert (folder / "scripts/tool.py").read_text() == TWICE
    read = read_skill(folder)
    assert read.item == item
    assert spec_of(read.item) == SPEC


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({CODE_FILE: b"def run(:"}, "is no Python"),
        ({CODE_FILE: b"def walk(args): pass"}, "defines no function `run"),
        ({CODE_FILE: b"def run(a, b): pass"}, "with one argument"),
        ({SCHEMA_FILE: b"{"}, "is no JSON"),
        ({SCHEMA_FILE: b"[]"}, "no JSON object"),
        ({SCHEMA_FILE: b'{"name": "other", "description": ""}'}, "needs the name 'twice'"),
        ({SCHEMA_FILE: b'{"name": "twice", "description": "", "inputSchema": []}'}, "that of an object"),
        (
            {
                SCHEMA_FILE: b'{"name": "twice", "description": "",'
                b' "inputSchema": {"type": "object", "required": ["y"]}}'
            },
            "requires 'y'",
        ),
    ],
)
def test_what_is_no_tool_is_told(changed: dict[str, bytes], problem: str) -> None:
    item = tool_item(SPEC, TWICE)
    with pytest.raises(UsageError, match=problem):
        spec_of(replace(item, files={**item.files, **changed}))


def test_a_tool_has_its_files_and_its_kind() -> None:
    with pytest.raises(UsageError, match=r"has no file tool\.json"):
        spec_of(MemoryItem(ItemKind.TOOL, "twice", "Doubles.", ""))
    with pytest.raises(UsageError, match="is no tool"):
        spec_of(MemoryItem(ItemKind.SKILL, "twice", "Doubles.", ""))


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import os\nos._exit(0)\ndef run(args): pass\n", "ended the process before it was tested"),
        ("import sys\nsys.exit()\ndef run(args): pass\n", "was ended with None"),
        ("import os\ndef run(args):\n    os._exit(0)\n", "ended the process before it was tested"),
        ("print('0' * 32)\ndef run(args): raise SystemExit\n", "was ended with None"),
    ],
)
def test_a_tool_that_ends_the_process_has_passed_nothing(code: str, problem: str) -> None:
    (told,) = asyncio.run(RUNNER.test(tool_item(SPEC, code, TESTS))).values()
    assert problem in told


def test_tests_in_the_usual_forms_are_run() -> None:
    functions = "import tool\ndef test_it(): assert tool.run({'x': 1}) == {'twice': %d}\ndef test_of(what): assert 0\n"
    cases = (
        "import tool, unittest\nclass It(unittest.TestCase):\n"
        "    def test_it(self): self.assertEqual(tool.run({'x': 1}), {'twice': %d})\n"
        "if __name__ == '__main__': unittest.main()\n"
    )
    right = {"a.py": functions % 2, "b.py": cases % 2}
    wrong = {"c.py": functions % 3, "d.py": cases % 3}
    found = asyncio.run(RUNNER.test(tool_item(SPEC, TWICE, {**right, **wrong})))
    assert [bool(problem) for _, problem in sorted(found.items())] == [False, False, True, True]
    everything = {path: text.encode() for path, text in right.items()}
    assert asyncio.run(RUNNER.test_together(tool_item(SPEC, TWICE), everything)) == ""
    everything["z.py"] = b"raise RuntimeError('the last')"
    told = asyncio.run(RUNNER.test_together(tool_item(SPEC, TWICE), everything))
    assert told == "a.py, b.py, z.py failed: RuntimeError: the last"
