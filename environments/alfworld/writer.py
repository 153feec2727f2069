"""Writes a world as an ALFWorld game folder, which ALFWorld's own engine loads.

A game file holds the rules and the grammar besides the problem. Those belong to the `alfworld` package and
are taken from an installed one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from agentgym.core.errors import UsageError
from agentgym.environments.alfworld.goal import goal_text
from agentgym.environments.alfworld.names import display_names
from agentgym.environments.alfworld.problem import KNIVES, PROPERTIES
from agentgym.environments.alfworld.reader import GAME_FILE, TRAJECTORY_FILE
from agentgym.environments.household.tables import CLEANER, COOLER, HEATER
from agentgym.environments.household.world import World, in_alfworld_order

_TASK_PLACEHOLDER = "UNKNOWN GOAL"


@dataclass(frozen=True, slots=True)
class AlfworldTexts:
    """The two texts of the `alfworld` package that every game file repeats."""

    domain: str
    grammar: str
    """With a placeholder for the task sentence."""

    @classmethod
    def load(cls, folder: Path | None = None) -> AlfworldTexts:
        """Read `alfred.pddl` and `alfred.twl2` from `folder`, or else from the installed package.

        Raises `UsageError` saying how to get them.
        """
        if folder is None:
            package = find_spec("alfworld")
            if package is None or not package.submodule_search_locations:
                raise UsageError(
                    "Writing ALFWorld games needs the rules and the grammar of the alfworld package, which is "
                    "not installed here: pip install alfworld==0.4.2 (in an environment of its own, it has GPL "
                    "parts), and give the path of its data folder, .../site-packages/alfworld/data."
                )
            folder = Path(package.submodule_search_locations[0]) / "data"
        try:
            return cls((folder / "alfred.pddl").read_text(), (folder / "alfred.twl2").read_text())
        except FileNotFoundError as error:
            raise UsageError(
                f"{folder} is not the data folder of an alfworld package: {error.filename} is missing."
            ) from None


def write_game(world: World, folder: Path, texts: AlfworldTexts, walkthrough: Sequence[str] = ()) -> None:
    """Write `game.tw-pddl`, `traj_data.json` and `initial_state.pddl` to `folder`, made if need be.

    The game is listed as ALFWorld lists games (`in_alfworld_order`), whatever the order of `world`. Names
    must be those of ALFWorld: the class in lower case and a number, the numbers of a class running from 1;
    raises `UsageError` otherwise.
    """
    world = in_alfworld_order(world)
    problem = problem_text(world, folder.name)
    game = {
        "pddl_domain": texts.domain,
        "grammar": texts.grammar.replace(_TASK_PLACEHOLDER, json.dumps(world.instruction)[1:-1]),
        "pddl_problem": problem,
        "solvable": True,
        "walkthrough": list(walkthrough),
    }
    goal = world.goal
    trajectory = {
        "task_id": folder.name,
        "task_type": goal.task_type.value,
        "pddl_params": {
            "object_target": goal.object_type,
            "parent_target": goal.receptacle_type,
            "toggle_target": goal.lamp_type,
            "mrecep_target": "",
            "object_sliced": goal.sliced,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "initial_state.pddl").write_text(problem)
    (folder / TRAJECTORY_FILE).write_text(json.dumps(trajectory, indent=1))
    (folder / GAME_FILE).write_text(json.dumps(game))


def problem_text(world: World, name: str) -> str:
    """Return the PDDL problem of a world whose lists are in ALFWorld's order."""
    receptacles = [_identifier(each.name, each.rtype, i) for i, each in enumerate(world.receptacles)]
    things = [_identifier(each.name, each.otype, i) for i, each in enumerate(world.things)]
    _check_names(world, receptacles, things)
    objects = "\n  ".join(_objects(world, receptacles, things))
    facts = "\n  ".join(f"({fact})" for fact in _facts(world, receptacles, things))
    return (
        f"(define (problem plan_{name})\n (:domain alfred)\n"
        f" (:objects\n  {objects}\n )\n (:init\n  (= (total-cost) 0)\n  {facts}\n )\n"
        f" (:goal {goal_text(world.goal)})\n (:metric minimize (total-cost))\n)\n"
    )


def _identifier(name: str, kind: str, index: int) -> str:
    """Return an identifier that ALFWorld shows as `name` and lists at `index`."""
    word, _, number = name.rpartition(" ")
    if word != kind.lower() or not number.isdecimal() or number.startswith("0"):
        raise UsageError(
            f"{name!r} of class {kind!r} cannot be written for ALFWorld, which names by class and number: "
            f"it would have to be {kind.lower() + ' 1'!r} or the like."
        )
    if word.endswith("basin"):  # the fixture's name comes first, as in Sink|...|SinkBasin
        return f"{kind[:-5]}_bar_{index:04d}_bar_{kind}"
    return f"{kind}_bar_{index:04d}"


def _check_names(world: World, receptacles: list[str], things: list[str]) -> None:
    """Make sure that ALFWorld, reading the identifiers, comes to the same names and rules."""
    named = [*world.receptacles, *world.things]
    identifiers = [name.lower() for name in (*receptacles, *things)]
    shown = display_names(identifiers)
    for identifier, each in zip(identifiers, named, strict=True):
        if shown[identifier] != each.name:
            raise UsageError(
                f"{each.name!r} cannot be written for ALFWorld, which would call it {shown[identifier]!r}: it "
                "numbers each class from 1, receptacles and things together."
            )
    for thing in world.things:
        if thing.slices != (thing.otype in KNIVES):
            raise UsageError(
                f"{thing.name!r} cannot be written for ALFWorld, where {' and '.join(KNIVES)} slice and "
                "nothing else does."
            )


def _place(location: int) -> str:
    return f"loc_bar_minus_{-location}" if location < 0 else f"loc_bar_{location}"


def _objects(world: World, receptacles: list[str], things: list[str]) -> Iterator[str]:
    rtypes = {CLEANER, HEATER, COOLER, *(each.rtype for each in world.receptacles)}
    rtypes |= {rtype for rtype, _ in world.can_contain} | {world.goal.receptacle_type}
    otypes = {*KNIVES, *(each.otype for each in world.things), *(otype for _, otype in world.can_contain)}
    otypes |= {world.goal.object_type, world.goal.lamp_type}
    places = {world.start_location, *(each.location for each in world.receptacles)}
    places |= {place for each in world.things for place in each.locations or ()}
    yield "agent1 - agent"
    yield from (f"{_place(place)} - location" for place in sorted(places))
    yield from (f"{rtype}Type - rtype" for rtype in sorted(rtypes - {""}))
    yield from (f"{otype}Type - otype" for otype in sorted(otypes - {""}))
    yield from (f"{name} - receptacle" for name in receptacles)
    yield from (f"{name} - object" for name in things)


def _facts(world: World, receptacles: list[str], things: list[str]) -> Iterator[str]:
    yield f"atLocation agent1 {_place(world.start_location)}"
    for name, receptacle in zip(receptacles, world.receptacles, strict=True):
        yield f"receptacleType {name} {receptacle.rtype}Type"
        yield f"receptacleAtLocation {name} {_place(receptacle.location)}"
        if receptacle.openable:
            yield f"openable {name}"
        if receptacle.opened:
            yield f"opened {name}"
    for name, thing in zip(things, world.things, strict=True):
        yield f"objectType {name} {thing.otype}Type"
        yield from (f"{predicate} {name}" for predicate, field in PROPERTIES.items() if getattr(thing, field))
        inside = [] if thing.receptacle is None else [thing.receptacle]
        yield from (
            f"inReceptacle {name} {receptacles[receptacle]}" for receptacle in (*inside, *thing.also_in)
        )
        yield from (f"inReceptacleObject {name} {things[holder]}" for holder in thing.inside)
        home = [world.receptacles[receptacle].location for receptacle in inside]
        places = home if thing.locations is None else thing.locations
        yield from (f"objectAtLocation {name} {_place(place)}" for place in places)
    yield from (f"canContain {rtype}Type {otype}Type" for rtype, otype in sorted(world.can_contain))
