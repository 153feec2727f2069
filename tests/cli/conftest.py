"""The command line as a person uses it, and one tiny trained run for all to look at."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest

from agentgym.cli.main import main
from agentgym.core.memory import ItemKind, ItemStatus, Link, MemoryItem, Provenance, Relation
from agentgym.memory.skills.folder import write_skill
from agentgym.memory.store.store import MemoryStore
from agentgym.training.recipe import load_recipe
from agentgym.training.run import Run
from agentgym.training.trainer import Trainer
from tests.cli.driver import Cli, Done
from tests.evolution.gate.tools import bill_splitter
from tests.training.test_trainer import TINY


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run `agentgym ARGS...` in an empty working directory, 80 columns wide; `typed` is its standard input.

    An exception that the command line lets through, which a user would see as a traceback, fails the test.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str, typed: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main(args)
        code = ended.value.code
        assert code is None or isinstance(code, int)
        shown = capsys.readouterr()
        return Done(code or 0, shown.out, shown.err)

    return run


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny run of five iterations, done in seconds. Look, do not touch: tests share it."""
    run = Run.create(load_recipe("quickstart", TINY), tmp_path_factory.mktemp("cli") / "runs", "reference")
    Trainer(run).train()
    return run


@pytest.fixture
def run(reference: Run, tmp_path: Path) -> Run:
    """A copy of the tiny run, found by name from the working directory of `cli`."""
    path = tmp_path / "runs" / "reference"
    shutil.copytree(reference.path, path)
    return Run(path)


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """The options that make a training command take seconds."""
    return [part for setting in TINY for part in ("--set", setting)]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A memory in the working directory of `cli`, and a folder of skills beside it."""
    with MemoryStore(tmp_path / "memory.db") as store:
        text = "Look on open places first."
        skill = MemoryItem(ItemKind.SKILL, "find-things", "Where to look for things.", text)
        made = store.put(skill)
        warning = MemoryItem(ItemKind.PRINCIPLE, "old-habits", "Do as before.", "Do as before.", "team")
        old = store.put(warning, Provenance(links=(Link(Relation.CONTEXT, made),)))
        store.set_status(old, ItemStatus.RETIRED, reason="it did nothing")
        store.put(bill_splitter())
    write_skill(
        MemoryItem(ItemKind.SKILL, "wash-things", "How to wash.", "Use the sink."), tmp_path / "skills"
    )
    return tmp_path / "memory.db"
