"""`agentgym init`: what it writes is installed as a user would, kept to its contract, and trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentgym.cli.main import main
from tests.cli.driver import Cli, contents
from tests.training.test_trainer import TINY

MODULE = [sys.executable, "-m", "agentgym.cli"]
ROOT = Path(__file__).parents[2]


class Workplace:
    """A folder in which packages were written, installed for programs that are started there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"

    def install(self, package: str) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        where = ["--no-deps", "--no-build-isolation", "--target", str(self.site), f"./{package}"]
        self.run(*pip, *where)

    def run(self, *command: str) -> str:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.site}", "COLUMNS": "100"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("init"))
    for words in (("env", "mail_room"), ("agent", "careful")):
        with pytest.raises(SystemExit) as ended:
            main(["init", *words, "--folder", str(place.folder)])
        assert not ended.value.code
    place.install("mail_room")
    place.install("careful")
    return place


def test_every_name_is_changed(workplace: Workplace) -> None:
    for package in ("mail_room", "careful"):
        written = contents(workplace.folder / package)
        assert f"{package}/__init__.py" in written
        assert not [path for path, content in written.items() if b"tarter" in content or "starter" in path]


def test_the_environment_keeps_the_contract(workplace: Workplace) -> None:
    assert "mail_room/MailRoom-v0 keeps the contract" in workplace.run(*MODULE, "check", "mail_room")


def test_environment_agent_and_recipe_train_together(workplace: Workplace) -> None:
    workplace.run(*MODULE, "init", "recipe", "first", "--env", "mail_room")
    small = [part for setting in TINY if "environment.options" not in setting for part in ("--set", setting)]
    told = workplace.run(*MODULE, "train", "first.toml", *small, "--set", "agent.kind=careful")
    assert "verdict:" in told
    (trained,) = (workplace.folder / "runs").iterdir()
    assert "mail_room/MailRoom-v0" in (trained / "recipe.toml").read_text("utf-8")


@pytest.mark.parametrize("name", ["My_world", "3d", "a-b", "../up", "class", ""])
def test_what_cannot_be_a_name_is_refused(name: str, cli: Cli, tmp_path: Path) -> None:
    done = cli("init", "env", name)
    assert done.code == 2
    assert "cannot be a package's name" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["env", "agent", "recipe"])
def test_nothing_is_overwritten(kind: str, cli: Cli, tmp_path: Path) -> None:
    assert cli("init", kind, "mine").code == 0
    before = contents(tmp_path)
    done = cli("init", kind, "mine")
    assert (done.code, contents(tmp_path)) == (2, before)
    assert "exists already; nothing was written" in done.err


def test_a_recipe_for_an_unknown_environment_is_not_written(cli: Cli, tmp_path: Path) -> None:
    done = cli("init", "recipe", "mine", "--env", "houshold")
    assert done.code == 2
    assert "Did you mean 'household'?" in done.err
    assert not list(tmp_path.iterdir())
