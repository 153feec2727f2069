"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agentgym.core.errors import ConfigError, UsageError

EnvName = Annotated[str, typer.Argument(help="An environment's id or short name; see `agentgym envs`.")]
OptionalEnvName = Annotated[
    str | None, typer.Argument(help="An environment's id or short name; see `agentgym envs`.")
]
SplitName = Annotated[str, typer.Option("--split", help="train, select or heldout.")]
EnvOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="KEY=VALUE", help="An option of the environment; may be repeated."
    ),
]
RunsRoot = Annotated[Path, typer.Option("--runs", help="Where runs are looked for by name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON, and nothing else.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Fixes every random choice.")]


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """Return `key=value` texts as a dict; values are read as TOML, bare words as strings.

    >>> parse_options(["max_steps=20", "difficulty=easy"])
    {'max_steps': 20, 'difficulty': 'easy'}
    """
    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--option takes KEY=VALUE, got {pair!r}.")
        try:
            options[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            options[key] = text
    return options


def prepare_output(path: Path | None) -> None:
    """Make sure that a file, if one is wanted, can be written at the end; its folder is made.

    Raises `UsageError`, before any work is done.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
            path.unlink()
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}. Give another path.") from error
