"""How fast the household engine is, beside ALFWorld's own on the same games and commands.

    python -m benchmarks.env_steps [--games 3] [--steps 60]

Household tasks of each difficulty are written as ALFWorld games. Both engines play the same random
admissible commands, in one process each on one core. The original runs untouched, and once more with its
parsers memoised, in `.venv-alfworld` (AGENTGYM_ALFWORLD_PYTHON names another Python that has alfworld).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agentgym.core.task import Split
from agentgym.environments.alfworld.reader import read_game
from agentgym.environments.alfworld.writer import AlfworldTexts, write_game
from agentgym.environments.household import SPEC
from agentgym.environments.household.engine import Engine

ROOT = Path(__file__).resolve().parents[1]
DIFFICULTIES = ("easy", "medium", "hard")


@dataclass
class Game:
    """One game on disk, and what is played on it."""

    folder: Path
    engine: Engine
    commands: list[str]


def python() -> str:
    found = Path(os.environ.get("AGENTGYM_ALFWORLD_PYTHON") or ROOT / ".venv-alfworld" / "bin" / "python")
    if not found.exists():
        sys.exit(f"{found}: ALFWorld's engine is not installed. Run `make .venv-alfworld/ready`.")
    return str(found)


def write_games(folder: Path, difficulty: str, count: int, steps: int) -> list[Game]:
    find = "import importlib.util as u; print(u.find_spec('alfworld').submodule_search_locations[0])"
    package = subprocess.run(
        [python(), "-c", find], capture_output=True, text=True, check=True
    ).stdout.strip()
    texts = AlfworldTexts.load(Path(package) / "data")
    suite = SPEC.suite(difficulty=difficulty)
    games: list[Game] = []
    for task in suite.tasks("train")[:count]:
        write_game(suite.world(task), folder / task.id, texts)
        engine = Engine(read_game(folder / task.id))
        engine.reset()
        rng = random.Random(task.id)
        commands: list[str] = []
        for _ in range(steps):
            commands.append(rng.choice(engine.admissible()))
            engine.step(commands[-1])
        games.append(Game(folder / task.id, engine, commands))
    return games


def play_original(games: list[Game], *options: str) -> dict[str, float]:
    """Return seconds for a load and reset, and steps per second with the list of commands."""
    script = ROOT / "tests" / "differential" / "real_engine.py"
    requests = [{"game": str(g.folder / "game.tw-pddl"), "episodes": [g.commands]} for g in games]
    played = subprocess.run(
        [python(), str(script), *options], input="\n".join(map(json.dumps, requests)),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds: list[dict[str, float]] = [json.loads(line)["seconds"] for line in played.stdout.splitlines()]
    steps = sum(len(game.commands) for game in games)
    return {
        "begin": sum(each["load"] + each["resets"] for each in seconds) / len(games),
        "reset": sum(each["resets"] for each in seconds) / len(games),
        "listed": steps / sum(each["steps"] for each in seconds),
    }


def seconds_of(work: Callable[[], Any], least: float = 0.3) -> float:
    """Return the seconds of one call, repeated for at least `least` seconds after a first one."""
    work()
    calls = 0
    started = time.perf_counter()
    while (spent := time.perf_counter() - started) < least:
        work()
        calls += 1
    return spent / calls


def play_ours(games: list[Game]) -> dict[str, float]:
    """Return seconds (of beginning, resets, snapshots, ...) and steps per second of the household engine.

    `fresh` is each command played for the first time on a new engine, where nothing is remembered yet; `env`
    is through Gymnasium's `step`, with its `info`.
    """

    def walk(engines: list[Engine], listed: bool) -> None:
        for game, engine in zip(games, engines, strict=True):
            engine.reset()
            for command in game.commands:
                engine.step(command)
                if listed:
                    engine.admissible()

    engines = [game.engine for game in games]
    steps = sum(len(game.commands) for game in games)
    fresh = [[Engine(engine.world) for engine in engines] for _ in range(40)]
    started = time.perf_counter()
    for new in fresh:
        walk(new, listed=True)
    first = (time.perf_counter() - started) / len(fresh)
    engine = engines[0]
    saved = engine.save()
    env = SPEC.make(Split.TRAIN, max_steps=10**9)
    played = 0

    def walk_env() -> None:
        nonlocal played
        for game in games:
            env.reset(options={"task": game.folder.name})
            for command in game.commands:
                played += 1
                if env.step(command)[2]:
                    break

    seconds_of(walk_env)
    played, started = 0, time.perf_counter()
    seconds_of(walk_env)
    through_env = played / (time.perf_counter() - started)
    return {
        "env": through_env,
        "fresh": steps / first,
        "listed": steps / seconds_of(lambda: walk(engines, listed=True)),
        "bare": steps / seconds_of(lambda: walk(engines, listed=False)),
        "begin": seconds_of(lambda: [Engine(each.world).reset() for each in engines]) / len(engines),
        "reset": seconds_of(lambda: [each.reset() for each in engines]) / len(engines),
        "save": seconds_of(engine.save),
        "load": seconds_of(lambda: engine.load(saved)),
        "state_key": seconds_of(engine.state_key),
    }


def report(difficulty: str, games: list[Game]) -> Table:
    ours = play_ours(games)
    stock = play_original(games, "--stock")
    memoised = play_original(games)
    world = games[0].engine.world
    size = f"{len(world.receptacles)} receptacles, {len(world.things)} things in the first"
    table = Table(title=f"{difficulty}: {len(games)} games, {size}", title_justify="left")
    for heading in ("", "household", "ALFWorld", "ratio", "memoised", "ratio"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)

    def rates(label: str, key: str, other: str = "") -> None:
        compared = [stock[other], memoised[other]] if other else []
        cells = [cell for rate in compared for cell in (f"{rate:,.0f}", f"{ours[key] / rate:,.0f}")]
        table.add_row(label, f"{ours[key]:,.0f}", *cells)

    def times(label: str, key: str, other: str = "") -> None:
        compared = [stock[other], memoised[other]] if other else []
        cells = [cell for spent in compared for cell in (f"{spent * 1e6:,.0f}", f"{spent / ours[key]:,.0f}")]
        table.add_row(label, f"{ours[key] * 1e6:,.1f}", *cells)

    rates("steps/s, commands listed", "listed", "listed")
    rates("  at first play", "fresh", "listed")
    rates("  through the environment", "env", "listed")
    rates("steps/s, not listed", "bare")
    times("begin a new game, us", "begin", "begin")
    times("reset, us", "reset", "reset")
    times("snapshot, us", "save")
    times("restore, us", "load")
    times("state_key, us", "state_key")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--games", type=int, default=3, help="games of each difficulty (default 3)")
    parser.add_argument("--steps", type=int, default=60, help="commands in each game (default 60)")
    options = parser.parse_args()
    console = Console(width=96)  # the tables need as much
    with tempfile.TemporaryDirectory() as folder:
        for difficulty in DIFFICULTIES:
            games = write_games(Path(folder), difficulty, options.games, options.steps)
            console.print(report(difficulty, games))


if __name__ == "__main__":
    main()
