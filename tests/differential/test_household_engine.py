"""The household engine against ALFWorld's own: the same texts, commands, rewards and ends, step for step.

The real engine runs in its own virtual environment (`make .venv-alfworld/ready`; another one by
AGENTGYM_ALFWORLD_PYTHON). AGENTGYM_ALFWORLD_GAMES sets how many games are played, 24 by default.
"""

import json
import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import agentgym
from agentgym.environments.alfworld.reader import read_game
from agentgym.environments.alfworld.writer import AlfworldTexts, write_game
from agentgym.environments.household import SPEC, oracle
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.world import Goal, Receptacle, TaskType, Thing, World

HERE = Path(__file__).parent
GAMES = int(os.environ.get("AGENTGYM_ALFWORLD_GAMES", "24"))
STEPS = 50
Turn = list[Any]
"""Text, admissible commands, score, done."""


@cache
def _python() -> str:
    default = HERE.parents[1] / ".venv-alfworld" / "bin" / "python"
    python = Path(os.environ.get("AGENTGYM_ALFWORLD_PYTHON") or default)
    if not python.exists():
        pytest.fail(
            f"{python}: ALFWorld's engine is not installed. Run `make .venv-alfworld/ready` and test again."
        )
    return str(python)


@cache
def _texts() -> AlfworldTexts:
    find = "import importlib.util as u; print(u.find_spec('alfworld').submodule_search_locations[0])"
    found = subprocess.run([_python(), "-c", find], capture_output=True, text=True, check=True)
    return AlfworldTexts.load(Path(found.stdout.strip()) / "data")


class RealEngine:
    """A process with ALFWorld's engine in it."""

    def __init__(self, folder: Path, stock: bool = False) -> None:
        command = [_python(), str(HERE / "real_engine.py"), *(["--stock"] if stock else [])]
        self._log = (folder / f"engine-{stock}.log").open("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def play(self, game: Path, episodes: list[list[str]]) -> list[list[Turn]]:
        """Play episodes of one game and return their turns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"game": str(game / "game.tw-pddl"), "episodes": episodes}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._log.seek(0)
            pytest.fail(f"ALFWorld's engine died in {game}:\n{self._log.read()[-3000:]}")
        return json.loads(answer)["episodes"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)
        self._log.close()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealEngine]:
    engine = RealEngine(tmp_path)
    yield engine
    engine.close()


def _nonsense(engine: Engine, rng: random.Random) -> str:
    """Return a command that may be malformed, impossible now, or by luck something real."""
    world = engine.world
    near = engine.tables.standing[engine.state.location]
    around = [thing for receptacle in near for thing in engine.contents(receptacle)]
    here = rng.choice([world.receptacles[r] for r in near if rng.random() < 0.7] or world.receptacles).name
    thing = rng.choice([world.things[i] for i in around if rng.random() < 0.7] or world.things).name
    held = world.things[engine.held] if engine.held is not None else rng.choice(world.things)
    other = rng.choice([held, *world.things]).name
    return rng.choice([
        "", "   ", "look ", "\tinventory", "LOOK", "look around", "xyzzy", "go to", "go to nowhere 1", "help me",
        f"go to {here}", f"go  to {here}", f"Go to {here}", f"go to {here} now", f" go to {here}  ",
        f"open {here}", f"close {here}", f"open {thing}", f"examine {here}", f"examine {thing}",
        f"use {thing}", f"use {other}", f"use {here}", f"take {thing}", f"take {here} from {thing}",
        f"take {thing} from {here}", f"take {thing} from {here}", f"take {other} from {here}",
        f"move {other} to {here}", f"move {thing} to {here}", f"put {other} in/on {here}",
        f"clean {other} with {here}", f"heat {other} with {here}", f"cool {other} with {here}",
        f"slice {thing} with {other}", f"slice {other} with {thing}", f"heat {other}", "take apple 9 from fridge 1",
    ])  # fmt: skip


def _explore(engine: Engine, rng: random.Random) -> Iterator[str]:
    """Take things to the appliances, try each kind of command as often as another, and talk nonsense."""
    while True:
        by_verb: dict[str, list[str]] = {}
        for command in engine.admissible():
            by_verb.setdefault(command.split()[0], []).append(command)
        errands = [
            go for go in by_verb.get("go", ()) if go.split()[2] in ("fridge", "microwave", "sinkbasin")
        ]
        draw = rng.random()
        if draw < 0.25:
            yield _nonsense(engine, rng)
        elif draw < 0.4 and engine.held is not None and errands:
            yield rng.choice(errands)
        else:
            yield rng.choice(rng.choice(list(by_verb.values())))


def _guided(engine: Engine, rng: random.Random) -> Iterator[str]:
    """Follow the oracle with some wandering, and play on after the game is won."""
    while True:
        expert = oracle.next_command(engine)
        yield expert if expert is not None and rng.random() < 0.8 else rng.choice(engine.admissible())


def _treat(engine: Engine, rng: random.Random) -> Iterator[str]:
    """Slice what can be sliced, then clean, heat and cool one thing after the other, and look at each."""
    world = engine.world
    appliances = {"SinkBasin": "clean", "Microwave": "heat", "Fridge": "cool"}
    places = [each for each in world.receptacles if each.rtype in appliances]
    order = rng.sample(range(len(world.things)), len(world.things))
    order.sort(key=lambda i: not world.things[i].slices)
    for index in order:
        thing = world.things[index]
        home = engine.where(index)
        if home is not None:
            name = world.receptacles[home].name
            yield from (
                f"go to {name}",
                f"open {name}",
                f"take {thing.name} from {name}",
                f"examine {thing.name}",
            )
        for _ in range(4):
            place = rng.choice(places or world.receptacles)
            yield f"go to {place.name}"
            yield f"{appliances.get(place.rtype, 'clean')} {thing.name} with {place.name}"
            yield f"examine {thing.name}"
        if thing.slices:
            for other in order:
                where = engine.where(other)
                if world.things[other].sliceable and where is not None and rng.random() < 0.7:
                    yield f"go to {world.receptacles[where].name}"
                    yield f"slice {world.things[other].name} with {thing.name}"
        moves = [command for command in engine.admissible() if command.startswith("move")]
        yield rng.choice(moves or ["inventory"])


def _play(world: World, rng: random.Random) -> tuple[list[list[str]], list[list[Turn]]]:
    """Play a game on the household engine; return the commands and the turns of each episode."""
    engine = Engine(world)
    scripts: list[list[str]] = []
    played: list[list[Turn]] = []
    for script in (_explore, _guided, _treat):
        turns: list[Turn] = [[engine.reset(), engine.admissible(), 0, engine.won]]
        commands: list[str] = []
        for command in islice(script(engine, rng), STEPS):
            commands.append(command)
            text, _ = engine.step(command)
            turns.append([text, engine.admissible(), int(engine.won), engine.won])
        scripts.append(commands)
        played.append(turns)
    return scripts, played


def _compare(real: RealEngine, game: Path, seed: int) -> int:
    """Play a game on both engines; fail at the first difference. Return in how many episodes it was won."""
    world = read_game(game)
    scripts, ours = _play(world, random.Random(seed))
    theirs = real.play(game, scripts)
    for commands, our_turns, their_turns in zip(scripts, ours, theirs, strict=True):
        for number, (mine, other) in enumerate(zip(our_turns, their_turns, strict=True)):
            done = commands[:number]
            assert mine == other, f"{game}: step {number} differs, after {done}"
    return sum(turns[-1][2] or any(turn[3] for turn in turns) for turns in ours)


def test_games_from_alfworlds_own_floor_plans(real: RealEngine, tmp_path: Path) -> None:
    count = GAMES - GAMES // 2
    made = subprocess.run(
        [_python(), str(HERE / "make_games.py"), str(tmp_path / "games"), str(count), "1"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    games = [Path(name) for name in json.loads(made.stdout)]
    won = [_compare(real, game, seed) for seed, game in enumerate(games)]
    assert len({game.parent.name.split("-")[0] for game in games}) == min(6, count)
    assert sum(map(bool, won)) > count // 2  # the rewards compared were not all zero


def test_household_tasks_written_as_alfworld_games(real: RealEngine, tmp_path: Path) -> None:
    suite = SPEC.suite()
    count = GAMES // 2
    for number in range(count):
        task = suite.tasks("heldout" if number % 4 else "train")[number]
        game = tmp_path / task.id
        write_game(suite.world(task), game, _texts())
        assert _compare(real, game, number) > 0, f"{game}: the oracle did not win"
    env = agentgym.make("agentgym/ALFWorld-v0", data=tmp_path)
    assert len(env.suite.tasks("train")) > count // 2


def _odd_worlds() -> Iterator[World]:
    """Yield worlds with what no sensible game has."""
    receptacles = (
        Receptacle("cabinet 2", "Cabinet", openable=True, location=1),
        Receptacle("cabinet 1", "Cabinet", openable=True, opened=True, location=1),
        Receptacle("countertop 1", "CounterTop", opened=True, location=2),
        Receptacle("desk 1", "Desk", location=4),
        Receptacle("fridge 1", "Fridge", openable=True, location=3),
        Receptacle("microwave 1", "Microwave", location=2),
        Receptacle("sinkbasin 2", "SinkBasin", location=1),
        Receptacle("sinkbasin 1", "SinkBasin", location=4),
    )
    apple = Thing("apple 1", "Apple", None, cleanable=True, heatable=True, coolable=True, sliceable=True)
    things = (
        replace(apple, name="apple 3", receptacle=2, hot=True, locations=(3, 7)),
        replace(apple, name="apple 2", receptacle=4, cool=True, clean=True),
        replace(apple, locations=(4,)),
        Thing("bowl 2", "Bowl", 0, cleanable=True, coolable=True, holds_others=True, inside=(3,)),
        Thing(
            "bowl 1", "Bowl", 1, cleanable=True, coolable=True, holds_others=True, clean=True, inside=(3, 4)
        ),
        Thing("chair 1", "Chair", None, pickupable=False),
        Thing("desklamp 1", "DeskLamp", 0, toggleable=True),
        Thing("knife 1", "Knife", 2, cleanable=True, heatable=True, sliceable=True, slices=True),
        Thing("spoon 1", "Spoon", 3, cleanable=True, toggleable=True, inside=(4,), also_in=(1, 7)),
    )
    can_contain = frozenset((each.rtype, thing.otype) for each in receptacles for thing in things)
    can_contain -= {("Fridge", "Knife"), ("Cabinet", "Apple"), ("CounterTop", "Spoon")}
    goals = (
        Goal(TaskType.PLACE, "Apple", "Desk"),
        Goal(TaskType.CLEAN, "Bowl", "CounterTop"),
        Goal(TaskType.HEAT, "Apple", "Desk"),
        Goal(TaskType.COOL, "Bowl", "Desk"),
        Goal(TaskType.LOOK, "Spoon", lamp_type="DeskLamp"),
        Goal(TaskType.PLACE_TWO, "Apple", "CounterTop"),
        Goal(TaskType.PLACE, "Apple", "CounterTop", sliced=True),
        Goal(TaskType.LOOK, "Apple", lamp_type="DeskLamp", sliced=True),
    )
    for number, goal in enumerate(goals):
        yield World(receptacles, things, can_contain, goal, f"do no. {number}", start_location=number - 3)


def test_odd_worlds(real: RealEngine, tmp_path: Path) -> None:
    for number, world in enumerate(_odd_worlds()):
        game = tmp_path / f"odd-{number}"
        write_game(world, game, _texts())
        _compare(real, game, number)


def test_the_untouched_engine_plays_as_the_faster_one_does(real: RealEngine, tmp_path: Path) -> None:
    world = next(_odd_worlds())
    write_game(world, tmp_path, _texts())
    commands = [script[:20] for script in _play(world, random.Random(7))[0]]
    stock = RealEngine(tmp_path, stock=True)
    try:
        untouched = stock.play(tmp_path, commands)
    finally:
        stock.close()
    assert untouched == real.play(tmp_path, commands)
    assert {turn[0] for turns in untouched for turn in turns} > {"Nothing happens."}
