"""The wheel and the source archive: built, installed into an environment of its own, and used from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from agentgym.training.recipe_tables import shipped_recipes

ROOT = Path(__file__).parents[1]
FOLDERS = ("environments", "agents", "memory", "sandboxes")


class Archives(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Both archives, built by the backend that `pip` would use, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t", "sdist", "-t", "wheel"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Archives(wheel, sdist)


class Installation(NamedTuple):
    folder: Path
    """A working directory far from the checkout."""
    scripts: Path
    packages: Path

    def run(self, *command: str) -> str:
        """Run a command of the installation; a failure is the test's."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        program, *words = command
        done = subprocess.run(
            [str(self.scripts / program), *words],
            cwd=self.folder,
            env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


@pytest.fixture(scope="module")
def installed(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel in a new environment, which finds its dependencies in the one that runs the tests."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    paths = {
        name: Path(sysconfig.get_path(name, "venv", {"base": str(home), "platbase": str(home)}))
        for name in ("scripts", "purelib")
    }
    installation = Installation(tmp_path_factory.mktemp("elsewhere"), paths["scripts"], paths["purelib"])
    pip = [sys.executable, "-m", "pip", "--python", str(paths["scripts"] / "python")]
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *install, str(archives.wheel)], check=True, capture_output=True)
    # A path file inside a path file's folder is not read, so the checkout that is installed there stays hidden.
    (paths["purelib"] / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return installation


def test_the_wheel_is_one_package_with_its_licence_and_types(archives: Archives) -> None:
    with zipfile.ZipFile(archives.wheel) as wheel:
        names = wheel.namelist()
        (metadata,) = [wheel.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"agentgym"}
    assert len(names) == len(set(names))
    assert "agentgym/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "\nName: agentgym-harness\n" in metadata
    assert not [name for name in names if "__pycache__" in name or name.startswith("agentgym/tests")]


def test_the_wheel_has_every_module_of_the_checkout(archives: Archives) -> None:
    with zipfile.ZipFile(archives.wheel) as wheel:
        packed = {name for name in wheel.namelist() if name.endswith((".py", ".toml"))}
    expected = {
        f"agentgym/{path.relative_to(ROOT).as_posix()}"
        for name in FOLDERS
        for path in (ROOT / name).rglob("*.py")
    }
    for suffix in ("*.py", "*.toml"):
        expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "agentgym").rglob(suffix)}
    assert packed == expected


def test_the_source_archive_has_each_folder_once(archives: Archives) -> None:
    with tarfile.open(archives.sdist) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
    for folder in FOLDERS:
        assert any(name.startswith(f"{folder}/") for name in names), folder
        assert not any(name.startswith(f"agentgym/{folder}") for name in names), folder
    for file in ("pyproject.toml", "LICENSE", "README.md", "agentgym/py.typed", "tests/test_packaging.py"):
        assert file in names
    assert len(names) == len(set(names))


def test_the_import_is_the_wheels(installed: Installation) -> None:
    script = "import agentgym, agentgym.environments as e; print(agentgym.__file__, *e.__path__)"
    for path in installed.run("python", "-c", script).split():
        assert Path(path).is_relative_to(installed.packages)
    top = {path.name for path in installed.packages.iterdir()}
    assert not top & {*FOLDERS, "tests"}


def test_environments_and_recipes_are_found(installed: Installation) -> None:
    script = (
        "import agentgym\n"
        "from agentgym.training.recipe import load_recipe\n"
        "from agentgym.training.recipe_tables import shipped_recipes\n"
        "print(agentgym.make('household').reset(seed=0)[1]['task_id'])\n"
        "print(*agentgym.registered())\n"
        "print(*(load_recipe(name).name for name in shipped_recipes()))"
    )
    task, environments, recipes = installed.run("python", "-c", script).splitlines()
    assert task.startswith("train-")
    assert {"agentgym/Household-v0", "agentgym/ALFWorld-v0"} <= set(environments.split())
    assert recipes.split() == shipped_recipes()


def test_the_command_works(installed: Installation) -> None:
    assert "quickstart" in installed.run("agentgym", "--help")
    assert "agentgym/Household-v0" in installed.run("agentgym", "envs")
    assert "Your task is to" in installed.run("agentgym", "play", "household")
