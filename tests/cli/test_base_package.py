"""The command line where the base package alone is installed, without any extra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.core import strict_json

ROOT = Path(__file__).parents[2]
WITHOUT_EXTRAS = """
import contextlib, io, json, sys
from importlib.metadata import packages_distributions, requires
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

needed, asked = set(), ["agentgym-harness"]
while asked:
    name = canonicalize_name(asked.pop())
    if name not in needed:
        needed.add(name)
        for line in requires(name) or []:
            each = Requirement(line)
            if each.marker is None or each.marker.evaluate({"extra": ""}):
                asked.append(each.name)
for module, owners in packages_distributions().items():
    if not needed & set(map(canonicalize_name, owners)):
        sys.modules[module] = None

from agentgym.cli.main import main

found = []
for words in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code or 0
        except Exception as error:
            import traceback; traceback.print_exc(file=err)
    found.append([code, out.getvalue(), err.getvalue()])
json.dump(found, sys.stdout)
"""
"""Calls the command line with each list of words that comes in; code None stands for a traceback."""

LOOKING = [
    "envs",
    "check household --only contract",
    "init env my_world",
    "power household --effect 9",
    "doctor",
    "play backoffice",
]
WANTING = {
    "play webshop": "[shop]",
    "play miniwob": "[browser]",
    "play desktop": "[desktop]",
    "recipes": "[train]",
    "train grpo": "[train]",
    "eval household --policy oracle": "[train]",
    "gateway --policy x": "[serve]",
    "serve household": "[serve]",
    "mcp backoffice": "[mcp]",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int | None, str, str]]:
    commands = [*LOOKING, *WANTING]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        input=strict_json.dumps([command.split() for command in commands]),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("base"),
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", LOOKING)
def test_what_needs_no_extra_works(command: str, found: dict[str, tuple[int | None, str, str]]) -> None:
    code, out, err = found[command]
    assert code == 0, err
    assert out


@pytest.mark.parametrize("command", WANTING)
def test_what_needs_one_says_which(command: str, found: dict[str, tuple[int | None, str, str]]) -> None:
    code, _, err = found[command]
    assert code == 2, err
    assert f"pip install 'agentgym-harness{WANTING[command]}'" in " ".join(err.split())
