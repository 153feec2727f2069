"""The architecture, asserted: links, import direction, public names, silent and light import."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentgym

ROOT = Path(__file__).parents[1]
LINKED = ("environments", "agents", "memory", "sandboxes")

ALLOWED = {
    "core": set[str](),
    "environments": {"core", "environments"},
    "database": {"core"},
    "memory": {"core", "database", "memory"},
    "sandboxes": {"core", "sandboxes"},
    "policies": {"core", "policies"},
    "agents": {"core", "memory", "policies", "agents"},
}
"""What the lower floors may import of ours, besides themselves."""

FLOORS = [
    {"core"},
    {"database"},
    {"environments", "memory", "sandboxes", "policies"},
    {"agents", "registry"},
    {"rollout"},
    {"conformance"},
    {"store"},
    {"evaluation"},
    {"training"},
    {"evolution"},
    {"serving"},
    {"cli"},
]
"""From the ground up: a module imports its own floor's folder and lower floors only."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every module with the folder it belongs to."""
    for folder in (ROOT / "agentgym").iterdir():
        if folder.is_dir() and folder.name not in {*LINKED, "__pycache__"}:
            yield from ((folder.name, path) for path in folder.rglob("*.py"))
        elif folder.suffix == ".py" and folder.name != "__init__.py":
            yield folder.stem, folder
    for name in LINKED:
        yield from ((name, path) for path in (ROOT / name).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The parts of agentgym that a module imports, at the top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("agentgym.")} - {"__version__"}


def floor(part: str) -> int:
    return next(level for level, parts in enumerate(FLOORS) if part in parts)


@pytest.mark.parametrize(
    ("part", "path"), list(modules()), ids=lambda value: str(value).removeprefix(str(ROOT))
)
def test_imports_go_down_only(part: str, path: Path) -> None:
    for other in imported(path) - {part}:
        assert floor(other) < floor(part), f"{path} ({part}) imports agentgym.{other}, which is not below it"
        if part in ALLOWED:
            assert other in ALLOWED[part], (
                f"{path}: {part} may import {sorted(ALLOWED[part])} only, not {other}"
            )


def test_modules_are_found_at_all() -> None:
    assert len(list(modules())) > 60


@pytest.mark.parametrize("name", LINKED)
def test_the_linked_folders_are_one_package(name: str) -> None:
    package = importlib.import_module(f"agentgym.{name}")
    assert [Path(entry).resolve() for entry in package.__path__] == [ROOT / name]
    assert not (ROOT / name / "__init__.py").exists(), (
        f"{name}/__init__.py would shadow other people's `{name}` package for everyone who works in this checkout"
    )


def test_core_does_no_input_or_output_and_knows_no_torch() -> None:
    banned = {"torch", "transformers", "sqlmodel", "rich", "typer", "subprocess", "socket", "asyncio"}
    for path in (ROOT / "agentgym/core").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        names = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.partition(".")[0] for name in names} & banned, path


def test_public_names() -> None:
    for name in agentgym.__all__:
        assert getattr(agentgym, name) is not None
    assert len(set(agentgym.__all__)) == len(agentgym.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(agentgym, "no_such_name")  # noqa: B009


def test_import_is_silent_and_light() -> None:
    script = (
        "import sys, time; start = time.process_time(); import agentgym; took = time.process_time() - start; "
        "heavy = {'torch', 'transformers', 'gymnasium', 'sqlmodel', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy; assert took < 0.3, took"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_making_an_environment_loads_no_torch() -> None:
    script = (
        "import sys, agentgym; agentgym.make('household').reset(seed=0); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_files_and_functions_stay_small() -> None:
    for _, path in modules():
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 400, f"{path} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= 80, f"{path}: {node.name} has {length} lines"
