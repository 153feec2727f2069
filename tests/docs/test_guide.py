"""Every code block of the guide: Python and `bash` are run in order, page by page; `sh` is read as it would be."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from agentgym import registry
from agentgym.cli.main import app, main
from agentgym.training.advantages.base import Advantage
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.docs.pages import DOCS, GUIDE, ROOT, Block, blocks, commands
from tests.training.test_trainer import TINY


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of the name that pages use."""
    run = Run.create(
        load_recipe("quickstart", [*TINY, "iterations=1"]), tmp_path_factory.mktemp("runs"), "quickstart"
    )
    Trainer(run).train()
    return run.path


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder in which somebody follows a page; what they register is forgotten in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Advantage, "registry", dict(Advantage.registry))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def with_code(page: Path) -> bool:
    return any(block.language in ("python", "bash") for block in blocks(page))


@pytest.mark.parametrize("page", list(filter(with_code, GUIDE)), ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_can_be_followed(
    page: Path, reader: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if "runs/quickstart" in page.read_text("utf-8"):
        shutil.copytree(request.getfixturevalue("quickstart"), reader / "runs" / "quickstart")
    names: dict[str, Any] = {}
    modules = set(sys.modules)
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        match block.language:
            case "python":
                script = reader / f"{page.stem}.py"
                script.write_text("\n" * block.line + block.text, "utf-8")  # tracebacks name the page's line
                names = runpy.run_path(str(script), init_globals=names)
            case "bash":
                run_commands(block, where, capsys)
            case "toml":
                (reader / block.title).write_text(block.text, "utf-8")
            case _:
                assert block.language == "sh", f"{where}: nobody tries a block of {block.language!r}"
    for name in set(sys.modules) - modules:
        if (reader / name.partition(".")[0]).exists():  # a package that the page wrote
            del sys.modules[name]


def run_commands(block: Block, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run each line, all of them `agentgym ...`."""
    for line in commands(block):
        program, *words = shlex.split(line)
        assert program == "agentgym", f"{where}: {line} cannot be tried; put it in a block of `sh`"
        with pytest.raises(SystemExit) as ended:
            main(words)
        shown = capsys.readouterr()
        assert not ended.value.code, f"{where}: {line}\n{shown.out}{shown.err}"
        assert shown.out, f"{where}: {line} says nothing"


READ = [
    pytest.param(line, id=f"{page.relative_to(DOCS)}: {line}")
    for page in GUIDE
    for block in blocks(page)
    if block.language in ("sh", "bash")
    for line in commands(block)
]


@pytest.mark.parametrize("line", READ)
def test_a_command_is_understood(line: str) -> None:
    """By the real command line, or as far as it is another program's."""
    words = shlex.split(line)
    while "=" in words[0]:
        words = words[1:]
    match words:
        case ["agentgym", *arguments]:
            understand(arguments)
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        case ["pip", "install", *arguments]:
            extras = re.findall(r"\.\[(.*)\]", " ".join(arguments))
            known = (ROOT / "pyproject.toml").read_text("utf-8")
            assert all(
                re.search(rf"^{extra} = \[", known, re.MULTILINE)
                for each in extras
                for extra in each.split(",")
            )
        case _:
            assert words[:2] == ["mkdocs", "serve"]


def understand(arguments: list[str]) -> None:
    """Parse a command line, with its options' types, without carrying it out."""
    command: Any = typer.main.get_command(app)
    context, rest = None, arguments
    while hasattr(command, "commands"):
        context = command.make_context("agentgym", list(rest), parent=context)
        left = [*context._protected_args, *context.args]
        if not left:  # a group that is a command by itself
            return
        _, command, rest = command.resolve_command(context, left)
    command.make_context(command.name, list(rest), parent=context)


@pytest.mark.parametrize(
    "wrong", ["eval household --polcy random", "recipes shw gigpo", "power household --effect x"]
)
def test_a_wrong_command_is_not_understood(wrong: str) -> None:
    with pytest.raises(Exception, match=r"--polcy|shw|valid number"):
        understand(wrong.split())


def test_pages_are_short() -> None:
    written = [page for page in GUIDE if page.name != "algorithms.md"]
    assert {
        str(page.relative_to(DOCS)): count
        for page in written
        if (count := page.read_text().count("\n")) > 125
    } == {}
