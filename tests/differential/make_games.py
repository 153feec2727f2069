"""Makes ALFWorld games from the `alfworld` package's own floor plans. Runs in that package's environment.

    python make_games.py FOLDER COUNT SEED

writes COUNT game folders below FOLDER, the six task types in turn, and prints their paths as a JSON list.
Much of what only the official data has is put in at random: receptacles that share a place, things in two
receptacles at once or within reach from elsewhere, things in bowls, doors that do not open, warm hands.
"""

# The engine has no type information, and is not installed where types are checked.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("ALFWORLD_DATA", tempfile.gettempdir())

import alfworld
from alfworld.gen import constants, goal_library

PACKAGE = Path(alfworld.__path__[0])
TASK_TYPES = [
    "pick_and_place_simple",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "look_at_obj_in_light",
    "pick_two_obj_and_place",
]
ACTION_OF = {"clean": "Cleanable", "heat": "Heatable", "cool": "Coolable"}
APPLIANCE_OF = {"clean": "SinkBasin", "heat": "Microwave", "cool": "Fridge"}
BESIDE_LAYOUT = ["StoveBurner", "CoffeeMachine", "Toaster", "GarbageCan", "SideTable", "Desk", "Shelf", "Bed"]
FIXED = {
    "Chair",
    "Window",
    "Mirror",
    "LightSwitch",
    "Blinds",
    "Curtains",
    "Painting",
    "HousePlant",
    "StoveKnob",
}
LAMPS = ["DeskLamp", "FloorLamp"]
FLAT = ["Desk", "SideTable", "Dresser", "CoffeeTable", "DiningTable", "Shelf", "Bed", "Sofa", "CounterTop"]


@dataclass
class Room:
    """One floor plan, furnished for one task."""

    number: int
    receptacles: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Identifier -> (class, place)."""
    things: dict[str, str] = field(default_factory=dict)
    """Identifier -> class."""
    facts: list[str] = field(default_factory=list)


def classes_in(room):
    return sorted({kind for kind, _ in room.receptacles.values()})


def holds(receptacle, thing):
    return thing in constants.VAL_RECEPTACLE_OBJECTS.get(receptacle, ()) or (
        thing in LAMPS and receptacle in FLAT
    )


def furnish(rng, number, most):
    """Choose receptacles of a floor plan, at least the appliances, `most` in all."""
    layouts = PACKAGE / "gen" / "layouts"
    points = json.loads((layouts / f"FloorPlan{number}-openable.json").read_text())
    listed = json.loads((layouts / f"FloorPlan{number}-objects.json").read_text())
    for kind in BESIDE_LAYOUT:
        if kind in listed and not any(name.split("|")[0] == kind for name in points):
            x, z = rng.uniform(-3, 3), rng.uniform(-3, 3)
            points[f"{kind}|{x:+06.2f}|+00.90|{z:+06.2f}"] = [round(x * 4) / 4, round(z * 4) / 4, 90, 30]
    names = sorted(points)
    rng.shuffle(names)
    names.sort(key=lambda name: name.split("|")[0] not in ("Sink", "Microwave", "Fridge", "Desk"))
    room = Room(number)
    for name in names[:most]:
        x, z, turn, tilt = points[name]
        kind = name.split("|")[0]
        if kind in ("Sink", "Bathtub"):
            name, kind = f"{name}|{kind}Basin", f"{kind}Basin"
        room.receptacles[name] = (kind, f"loc|{round(x * 4)}|{round(z * 4)}|{round(turn / 90)}|{round(tilt)}")
    return room, listed


def choose_goal(rng, task_type, room, listed):
    """Return (object, receptacle, lamp) classes that the room allows, or None."""
    treatment = task_type.split("_")[1]
    wanted = ACTION_OF.get(treatment)
    if wanted is not None and APPLIANCE_OF[treatment] not in classes_in(room):
        return None
    pairs = [
        (thing, receptacle)
        for receptacle in classes_in(room)
        for thing in sorted(set(listed) & set(constants.VAL_RECEPTACLE_OBJECTS.get(receptacle, ())))
        if (wanted is None or thing in constants.VAL_ACTION_OBJECTS[wanted])
        and any(holds(other, thing) for other in classes_in(room) if other != receptacle)
    ]
    if not pairs:
        return None
    thing, receptacle = rng.choice(pairs)
    if task_type != "look_at_obj_in_light":
        return thing, receptacle, ""
    return thing, "", rng.choice(LAMPS)


def add_thing(rng, room, kind, avoid=""):
    """Put one more thing of a class in the room; return its identifier, or None where nothing holds it."""
    homes = sorted(
        name for name, (other, _) in room.receptacles.items() if holds(other, kind) and other != avoid
    )
    if not homes:
        return None
    position = "|".join(f"{rng.uniform(-3, 3):+06.2f}" for _ in range(3))
    name = f"{kind}|{position}"
    room.things[name] = kind
    home = rng.choice(homes)
    room.facts.append(f"(inReceptacle {name} {home})")
    room.facts.append(f"(wasInReceptacle {name} {home})")
    place = room.receptacles[home][1]
    if rng.random() < 0.2:
        place = rng.choice(sorted(room.receptacles.values()))[1]
    room.facts.append(f"(objectAtLocation {name} {place})")
    if rng.random() < 0.1:
        room.facts.append(f"(inReceptacle {name} {rng.choice(homes)})")
    if room.receptacles[home][0] == "Fridge" and rng.random() < 0.5:
        room.facts.append(f"(isCool {name})")
    return name


def fill(rng, room, listed, goal, most):
    thing, receptacle, lamp = goal
    for _ in range(rng.randint(2, 3)):
        add_thing(rng, room, thing, avoid=receptacle)
    for kind in [lamp, *rng.sample(LAMPS, rng.randint(0, 1))]:
        if kind:
            add_thing(rng, room, kind)
    knives = rng.sample(["Knife", "ButterKnife"], rng.randint(0, 2)) if "Sink" in listed else []
    others = sorted(set(listed) - {thing, *knives, *LAMPS})
    rng.shuffle(others)
    for kind in [*knives, *others]:
        if len(room.things) >= most:
            break
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            add_thing(rng, room, kind)
    for kind in sorted(FIXED & set(listed))[:2]:
        name = f"{kind}|{rng.uniform(-3, 3):+06.2f}|+00.00|+00.00"
        room.things[name] = kind
        if rng.random() < 0.5:
            room.facts.append(f"(objectAtLocation {name} {rng.choice(sorted(room.receptacles.values()))[1]})")
    outer = [name for name, kind in room.things.items() if kind in constants.MOVABLE_RECEPTACLES_SET]
    for name in outer[:3]:
        if rng.random() < 0.5:
            room.facts.append(f"(inReceptacleObject {rng.choice(sorted(room.things))} {name})")


def state_facts(rng, room):
    """Yield what the things and receptacles are and can be."""
    able = {
        "cleanable": "Cleanable", "heatable": "Heatable", "coolable": "Coolable", "sliceable": "Sliceable",
        "toggleable": "Toggleable",
    }  # fmt: skip
    for name, (kind, place) in room.receptacles.items():
        yield f"(receptacleType {name} {kind}Type)"
        yield f"(receptacleAtLocation {name} {place})"
        if kind in constants.OPENABLE_CLASS_SET and rng.random() < 0.9:
            yield f"(openable {name})"
            if rng.random() < 0.1:
                yield f"(opened {name})"
    for name, kind in room.things.items():
        yield f"(objectType {name} {kind}Type)"
        if kind not in FIXED and (kind not in LAMPS or rng.random() < 0.2):
            yield f"(pickupable {name})"
        if kind in constants.MOVABLE_RECEPTACLES_SET:
            yield f"(isReceptacleObject {name})"
        for predicate, group in able.items():
            if kind in constants.VAL_ACTION_OBJECTS[group]:
                yield f"({predicate} {name})"
        if kind in ("Laptop", "CellPhone") and rng.random() < 0.3:
            yield f"(toggleable {name})"


def problem_of(rng, room, task_type, goal, sliced):
    rtypes = sorted(constants.RECEPTACLES - constants.MOVABLE_RECEPTACLES_SET)
    otypes = sorted(constants.OBJECTS_SET - set(rtypes))
    places = sorted({place for _, place in room.receptacles.values()})
    start = rng.choice(places) if rng.random() < 0.15 else "loc|99|99|0|30"
    declared = ["agent1 # agent"]
    declared += [f"{kind} # object" for kind in otypes]
    declared += [f"{kind}Type # otype" for kind in otypes] + [f"{kind}Type # rtype" for kind in rtypes]
    declared += [f"{place} # location" for place in sorted({*places, start})]
    declared += [f"{name} # receptacle" for name in room.receptacles]
    declared += [f"{name} # object" for name in room.things]
    facts = [f"(atLocation agent1 {start})", *state_facts(rng, room), *dict.fromkeys(room.facts)]
    facts += [
        f"(canContain {rtype}Type {otype}Type)"
        for rtype in classes_in(room)
        for otype in sorted(set(room.things.values()))
        if holds(rtype, otype)
    ]
    rng.shuffle(facts)
    thing, receptacle, lamp = goal
    ending = goal_library.gdict[task_type + ("_slice" if sliced else "")]["pddl"]
    ending = ending.format(obj=thing, recep=receptacle, toggle=lamp, mrecep="")  # closes the problem, too
    newline = "\n        "
    head = f"(define (problem plan_{room.number})\n(:domain alfred)\n(:objects\n        "
    body = (
        f"{newline.join(declared)}\n)\n(:init\n        (= (total-cost) 0)\n        {newline.join(facts)}\n)\n"
    )
    text = head + body + ending
    for plain, mangled in [("-", "_minus_"), ("#", "-"), ("|", "_bar_"), ("+", "_plus_"), (".", "_dot_")]:
        # The name and the cost of the problem are no identifiers.
        text = text.replace(plain, mangled)
    return text.replace("total_minus_cost", "total-cost")


def make_game(rng, folder, task_type, full):
    """Write one game folder and return it, or None where the floor plan does not suit the task."""
    scenes = sorted(scene for scene in constants.GOALS_VALID[task_type] if not full or scene == "Kitchen")
    numbers = list(constants.SCENE_TYPE[rng.choice(scenes or ["Bedroom"])])
    room, listed = furnish(rng, rng.choice(numbers), 40 if full else rng.randint(6, 11))
    goal = choose_goal(rng, task_type, room, listed)
    if goal is None:
        return None
    fill(rng, room, listed, goal, 45 if full else rng.randint(6, 14))
    thing, receptacle, lamp = goal
    sliceable = thing in constants.VAL_ACTION_OBJECTS["Sliceable"]
    kinds = list(room.things.values())
    sliced = sliceable and not lamp and "Knife" in kinds and rng.random() < 0.5
    if kinds.count(thing) < 2 or (lamp and lamp not in kinds):
        return None  # the engine cannot load a game that can never be won
    problem = problem_of(rng, room, task_type, goal, sliced)
    template = rng.choice(goal_library.gdict[task_type]["templates"])
    sentence = template.format(obj=thing.lower(), recep=receptacle.lower(), toggle=lamp.lower(), mrecep="")
    game = {
        "pddl_domain": (PACKAGE / "data" / "alfred.pddl").read_text(),
        "grammar": (PACKAGE / "data" / "alfred.twl2").read_text().replace("UNKNOWN GOAL", sentence),
        "pddl_problem": problem,
        "solvable": True,
        "walkthrough": [],
    }
    params = {"object_target": thing, "parent_target": receptacle, "toggle_target": lamp, "mrecep_target": ""}
    trajectory = {
        "task_type": task_type,
        "pddl_params": {**params, "object_sliced": sliced},
        "scene": {"floor_plan": f"FloorPlan{room.number}"},
    }
    name = f"{task_type}-{thing}-None-{receptacle or lamp}-{room.number}"
    target = folder / name / f"trial_T{rng.randrange(10**9):09d}"
    target.mkdir(parents=True)
    (target / "game.tw-pddl").write_text(json.dumps(game))
    (target / "traj_data.json").write_text(json.dumps(trajectory))
    (target / "initial_state.pddl").write_text(problem)
    return target


def main():
    folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    made = []
    rng = random.Random(seed)
    while len(made) < count:
        # One game in sixteen is a whole kitchen, as large as the official ones.
        full = len(made) % 16 == 12
        target = make_game(rng, folder, TASK_TYPES[len(made) % 6], full)
        if target is not None:
            made.append(str(target))
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
