"""Reads ALFWorld's game folders: `game.tw-pddl` and `traj_data.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from agentgym.core.errors import TaskError
from agentgym.environments.alfworld.pddl import PddlError
from agentgym.environments.alfworld.problem import read_problem
from agentgym.environments.alfworld.rules import check_domain, instruction
from agentgym.environments.household.world import Goal, World

GAME_FILE = "game.tw-pddl"
TRAJECTORY_FILE = "traj_data.json"


def read_game(folder: Path) -> World:
    """Return the world of a game folder.

    Raises `TaskError` naming the file and what is wrong with it: not there, not JSON, a key missing, other
    rules or words than those of alfworld 0.4, facts that contradict each other, a goal of another kind.
    """
    path = folder / GAME_FILE
    game = read_json(path)
    try:
        check_domain(_text(game, "pddl_domain"))
        world = read_problem(_text(game, "pddl_problem"), instruction(_text(game, "grammar")))
    except PddlError as error:
        raise TaskError(f"{path}: {error}") from error
    _check_trajectory(folder / TRAJECTORY_FILE, world.goal)
    return world


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raises `TaskError` naming the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TaskError(f"{path}: there is no such file; an ALFWorld game folder has one.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: not JSON ({error}); the file may be cut off. Get it again.") from error
    if not isinstance(data, dict):
        raise TaskError(f"{path}: expected a JSON object, got {type(data).__name__}.")
    return cast(dict[str, Any], data)


def _text(game: Mapping[str, Any], key: str) -> str:
    value = game.get(key)
    if not isinstance(value, str):
        raise PddlError(f"The key {key!r} must hold text, got {type(value).__name__}.")
    return value


def _check_trajectory(path: Path, goal: Goal) -> None:
    """Compare the goal with what the folder says it is; a folder put together wrongly shows here."""
    data = read_json(path)
    params: dict[str, Any] | None = data.get("pddl_params")
    if not isinstance(params, dict):
        raise TaskError(f"{path}: the key 'pddl_params' must hold an object, got {type(params).__name__}.")
    said: dict[str, tuple[Any, str]] = {
        "task_type": (data.get("task_type"), goal.task_type.value),
        "object_target": (params.get("object_target"), goal.object_type),
        "parent_target": (params.get("parent_target"), goal.receptacle_type),
        "toggle_target": (params.get("toggle_target"), goal.lamp_type),
    }
    for key, (value, wanted) in said.items():
        # A look in the light leaves the parent open, and every other task the lamp.
        if wanted and str(value).lower() != wanted.lower():
            raise TaskError(f"{path}: {key} is {value!r}, but the goal in {GAME_FILE} asks for {wanted!r}.")
