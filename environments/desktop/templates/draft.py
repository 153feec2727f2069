"""What templates are written with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentgym.environments.desktop.goals import Files, Goal
from agentgym.environments.desktop.opening import Opening

WORDS = [
    "apple",
    "bread",
    "candle",
    "desk",
    "engine",
    "forest",
    "garden",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "ladder",
    "mirror",
    "needle",
    "orange",
    "paper",
    "quilt",
    "river",
    "saddle",
    "table",
    "umbrella",
    "velvet",
    "window",
    "yarn",
    "anchor",
    "basket",
    "copper",
    "drum",
]
NAMES = [
    "agenda",
    "budget",
    "diary",
    "draft",
    "groceries",
    "ideas",
    "journal",
    "letter",
    "memo",
    "minutes",
    "notes",
    "plan",
    "recipe",
    "report",
    "summary",
    "travel",
]
FOLDERS = [
    "Archive",
    "Backup",
    "Books",
    "Finance",
    "Garden",
    "Letters",
    "Music",
    "Office",
    "Photos",
    "Projects",
    "School",
    "Trips",
]
_FILLERS = (
    ("inbox.txt", "call the bank\nwater the plants\n"),
    ("todo.txt", "sweep the yard\nfix the lamp\n"),
)


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of task."""

    name: str
    level: str
    """`easy`, `medium` or `hard`."""
    draw: Callable[[random.Random], Goal]
    heldout: bool = False


def goal(
    instruction: str,
    start: Mapping[str, str | bytes],
    changes: Mapping[str, str | bytes | None],
    opened: Opening,
    plan: Sequence[str],
    title: str = "",
) -> Goal:
    """Return a task on `start` and some files more, where `changes` is all that should differ; None is removed."""
    begun = _files({**dict(_FILLERS), **start})
    wanted = {**begun, **_files({path: text for path, text in changes.items() if text is not None})}
    for path, text in changes.items():
        if text is None:
            del wanted[path]
    return Goal(instruction, begun, _files(wanted), (opened,), tuple(plan), title)


def typed(text: str) -> str:
    """Return the action that types a text."""
    return f"type({json.dumps(text)})"


def pressed(*keys: str) -> list[str]:
    """Return the actions that press keys."""
    return [f'key("{key}")' for key in keys]


def in_terminal(command: str) -> list[str]:
    """Return the actions that open a terminal and give a command there."""
    return ['launch("xterm")', typed(f"{command}\n")]


def lines(rng: random.Random, low: int = 4, high: int = 6) -> list[str]:
    """Draw different short lines."""
    return [f"{word} {rng.randint(2, 99)}" for word in rng.sample(WORDS, rng.randint(low, high))]


def text(rows: Sequence[str]) -> str:
    """Join lines to a text."""
    return "".join(f"{row}\n" for row in rows)


def _files(files: Mapping[str, str | bytes]) -> Files:
    """Encode texts, and add the folders that files lie in."""
    found = {
        path: content.encode() if isinstance(content, str) else content for path, content in files.items()
    }
    for path in list(found):
        parts = path.rstrip("/").split("/")[:-1]
        found |= {f"{'/'.join(parts[: depth + 1])}/": b"" for depth in range(len(parts))}
    return found
