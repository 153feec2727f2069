"""`agentgym init`: a working starting point for an environment, an agent or a recipe of one's own."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from agentgym.cli.console import console
from agentgym.core.errors import UsageError

app = typer.Typer(
    no_args_is_help=True, help="Write a working starting point: an environment, an agent or a recipe."
)

Name = Annotated[str, typer.Argument(help="Small letters, digits and underscores, such as my_world.")]
Folder = Annotated[Path, typer.Option("--folder", help="Where to put it.")]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_STARTERS = "agentgym.cli.starters"


@app.command()
def env(name: Name, folder: Folder = Path()) -> None:
    """Write a package with an environment that passes `agentgym check`.

    Example: agentgym init env my_world
    """
    target = _copy("environment", "starter_world", name, folder)
    _say(
        f"pip install --editable {target}",
        f"agentgym check {name}",
        f"agentgym init recipe {name}_grpo --env {name}",
        f"agentgym train {name}_grpo.toml",
    )


@app.command()
def agent(name: Name, folder: Folder = Path()) -> None:
    """Write a package with an agent that can be trained.

    Example: agentgym init agent my_agent
    """
    target = _copy("agent", "starter_agent", name, folder)
    _say(f"pip install --editable {target}", f"agentgym train quickstart --set agent.kind={name}")


@app.command()
def recipe(
    name: Name,
    folder: Folder = Path(),
    env: Annotated[str, typer.Option("--env", help="What to train in; see `agentgym envs`.")] = "household",
) -> None:
    """Write a recipe that trains a small model from scratch, with what to change said in it.

    Example: agentgym init recipe my_recipe
    """
    from agentgym.registry import find_spec

    path = _free(folder / f"{_checked(name)}.toml")
    words = {"starter_environment": find_spec(env).id, "starter_recipe": name}
    path.parent.mkdir(parents=True, exist_ok=True)
    source = files(_STARTERS) / "recipe" / "starter_recipe.toml"
    path.write_text(_renamed(source.read_text("utf-8"), words), "utf-8")
    console().print(f"Wrote {path}.", soft_wrap=True, markup=False)
    _say(f"agentgym train {path}")


def _copy(kind: str, starter: str, name: str, folder: Path) -> Path:
    """Copy a package with every name changed; raises `UsageError` where something is there already."""
    target = _free(folder / _checked(name))
    words = {
        f"{_STARTERS}.{kind}.{starter}": name,
        starter: name,
        starter.replace("_", "-"): name.replace("_", "-"),
        _camel(starter): _camel(name),
    }
    for path, source in _sources(files(_STARTERS) / kind):
        written = target / _renamed(path, words)
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(_renamed(source.read_text("utf-8"), words), "utf-8")
    console().print(f"Wrote {target}{'' if target.is_absolute() else '/'}.", soft_wrap=True, markup=False)
    return target


def _sources(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield the files to copy with their paths below the starter."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _sources(entry, f"{prefix}{entry.name}/")
        elif entry.is_file() and (
            prefix or not entry.name.endswith(".py")
        ):  # a starter's own __init__.py stays
            yield prefix + entry.name, entry


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot be a package's name. Use small letters, digits and underscores, a letter first."
        )
    return name


def _free(path: Path) -> Path:
    if path.exists():
        raise UsageError(f"{path} exists already; nothing was written. Choose another name or --folder.")
    return path


def _renamed(text: str, words: dict[str, str]) -> str:
    """Replace each word, the longest first, so that no replacement is replaced again.

    >>> _renamed("a.b and b", {"a.b": "x", "b": "y"})
    'x and y'
    """
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(pattern, lambda found: words[found[0]], text)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _say(*commands: str) -> None:
    console().print(
        "Next:\n" + "\n".join(f"  {command}" for command in commands), soft_wrap=True, markup=False
    )
