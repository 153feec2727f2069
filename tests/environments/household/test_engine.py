from dataclasses import replace

import pytest

from agentgym.core.errors import UsageError
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.world import Goal, Receptacle, TaskType, Thing, World, in_alfworld_order

KITCHEN = World(
    receptacles=(
        Receptacle("countertop 1", "CounterTop", location=1),
        Receptacle("fridge 1", "Fridge", openable=True, location=2),
        Receptacle("microwave 1", "Microwave", openable=True, location=3),
        Receptacle("sinkbasin 1", "SinkBasin", location=4),
    ),
    things=(
        Thing("apple 1", "Apple", 1, cleanable=True, heatable=True, coolable=True, sliceable=True),
        Thing("bowl 1", "Bowl", 0, cleanable=True, holds_others=True),
        Thing("desklamp 1", "DeskLamp", 0, pickupable=False, toggleable=True),
        Thing("egg 1", "Egg", 0, heatable=True, inside=(1,)),
        Thing("knife 1", "Knife", 3, cleanable=True, slices=True),
    ),
    can_contain=frozenset(
        {(r, o) for r in ("CounterTop", "Fridge", "SinkBasin") for o in ("Apple", "Bowl", "Egg", "Knife")}
        | {("Microwave", "Apple"), ("Microwave", "Egg")}
    ),
    goal=Goal(TaskType.HEAT, "Apple", "CounterTop"),
    instruction="put a hot apple in countertop",
)


def test_a_game_word_for_word() -> None:
    engine = Engine(KITCHEN)
    assert engine.reset() == (
        "-= Welcome to TextWorld, ALFRED! =-\n\n"
        "You are in the middle of a room. Looking quickly around you, you see a countertop 1, a fridge 1, "
        "a microwave 1, and a sinkbasin 1.\n\n"
        "Your task is to: put a hot apple in countertop."
    )
    happens = "Nothing happens."
    transcript = [
        ("look", "You are in the middle of a room. Looking quickly around you, you see nothing."),
        ("inventory", "You are not carrying anything."),
        ("go to fridge 1", "You arrive at fridge 1. The fridge 1 is closed."),
        ("go to fridge 1", happens),
        ("take apple 1 from fridge 1", happens),
        ("open fridge 1", "You open the fridge 1. The fridge 1 is open. In it, you see a apple 1."),
        ("examine apple 1", happens),
        ("take apple 1 from fridge 1", "You pick up the apple 1 from the fridge 1."),
        ("examine fridge 1", "The fridge 1 is open. In it, you see nothing."),
        ("examine apple 1", "There's nothing special about apple 1."),
        ("cool apple 1 with fridge 1", "You cool the apple 1 using the fridge 1."),
        ("examine apple 1", "This is a cold apple 1."),
        ("close fridge 1", "You close the fridge 1."),
        ("go to microwave 1", "You arrive at microwave 1. The microwave 1 is closed."),
        ("heat apple 1 with microwave 1", "You heat the apple 1 using the microwave 1."),
        ("examine apple 1", "This is a hot apple 1."),
        ("move apple 1 to microwave 1", happens),
        ("GO TO sinkbasin 1", happens),
        ("  go to sinkbasin 1 ", "You arrive at sinkbasin 1. On the sinkbasin 1, you see a knife 1."),
        ("look", "You are facing the sinkbasin 1. Next to it, you see nothing."),
        ("take knife 1 from sinkbasin 1", happens),
        ("clean apple 1 with sinkbasin 1", "You clean the apple 1 using the sinkbasin 1."),
        ("examine apple 1", "This is a hot and clean apple 1."),
        ("inventory", "You are carrying: a apple 1."),
        ("move apple 1 to sinkbasin 1", "You move the apple 1 to the sinkbasin 1."),
        ("take knife 1 from sinkbasin 1", "You pick up the knife 1 from the sinkbasin 1."),
        ("slice apple 1 with knife 1", "You sliced the apple 1 with the knife 1."),
        ("move knife 1 to sinkbasin 1", "You move the knife 1 to the sinkbasin 1."),
        ("take apple 1 from sinkbasin 1", "You pick up the apple 1 from the sinkbasin 1."),
        ("examine apple 1", "This is a hot and clean sliced apple 1."),
        (
            "go to countertop 1",
            "You arrive at countertop 1. On the countertop 1, you see a bowl 1, a desklamp 1, and a egg 1.",
        ),
        ("use desklamp 1", "You turn on the desklamp 1."),
        ("use desklamp 1", "You turn on the desklamp 1."),
        ("take desklamp 1 from countertop 1", happens),
    ]
    for command, text in transcript:
        assert engine.step(command) == (text, text != happens), command
        assert not engine.won
    assert engine.admissible() == [
        "examine apple 1", "examine countertop 1", "go to fridge 1", "go to microwave 1", "go to sinkbasin 1",
        "help", "inventory", "look", "move apple 1 to countertop 1", "use desklamp 1",
    ]  # fmt: skip
    assert engine.step("move apple 1 to countertop 1")[1]
    assert engine.won
    engine.step("take bowl 1 from countertop 1")
    assert engine.step("examine bowl 1")[0] == "This is a normal bowl 1. In it, you see a egg 1."
    engine.step("help")
    assert engine.won


def test_what_a_planner_reads() -> None:
    engine = Engine(KITCHEN)
    engine.reset()
    assert (engine.location, engine.held, engine.where(0), engine.contents(0)) == (-1, None, 1, [1, 2, 3])
    assert (engine.is_open(0), engine.is_open(1)) == (True, False)
    for command in ("go to fridge 1", "open fridge 1", "take apple 1 from fridge 1"):
        engine.step(command)
    assert (engine.location, engine.held, engine.where(0), engine.is_open(1)) == (2, 0, None, True)


@pytest.mark.parametrize(
    ("goal", "commands", "progress"),
    [
        (Goal(TaskType.PLACE, "Bowl", "SinkBasin"), ["take bowl 1 from countertop 1"], [0, 0]),
        (
            Goal(TaskType.CLEAN, "Bowl", "SinkBasin"),
            ["take bowl 1 from countertop 1", "go to sinkbasin 1", "clean bowl 1 with sinkbasin 1"],
            [0, 0, 0, 0.5],
        ),
        (
            Goal(TaskType.LOOK, "Bowl", lamp_type="DeskLamp"),
            ["take bowl 1 from countertop 1", "use desklamp 1", "go to sinkbasin 1"],
            [0, 0.5, 1, 0.5],
        ),
        (
            Goal(TaskType.PLACE_TWO, "Egg", "SinkBasin"),
            ["take egg 1 from countertop 1", "go to sinkbasin 1", "move egg 1 to sinkbasin 1"],
            [0, 0, 0, 0.5],
        ),
        (
            Goal(TaskType.PLACE, "Apple", "Fridge", sliced=True),
            [
                "go to sinkbasin 1",
                "take knife 1 from sinkbasin 1",
                "go to fridge 1",
                "slice apple 1 with knife 1",
            ],
            [0.5, 0.5, 0.5, 0.5, 1],
        ),
    ],
)
def test_progress_counts_the_conditions_met(goal: Goal, commands: list[str], progress: list[float]) -> None:
    engine = Engine(replace(KITCHEN, goal=goal, start_location=1))
    engine.reset()
    seen = [engine.progress()]
    for command in commands:
        assert engine.step(command)[1], command
        seen.append(engine.progress())
        assert engine.won == (seen[-1] == 1)
    assert seen == progress


def test_keys_and_snapshots_are_of_one_world() -> None:
    engine = Engine(KITCHEN)
    other = Engine(replace(KITCHEN, instruction="heat some apple and put it in countertop"))
    engine.reset()
    assert engine.state_key() != other.state_key()
    with pytest.raises(UsageError, match="another household game"):
        other.load(engine.save())
    with pytest.raises(UsageError, match="bytes"):
        engine.load(engine.save()[:-1])


def test_looking_around_leaves_the_key_as_it_was() -> None:
    look = Goal(TaskType.LOOK, "Egg", lamp_type="DeskLamp")
    for world in (KITCHEN, replace(KITCHEN, goal=look)):
        engine = Engine(world)
        engine.reset()
        engine.step("go to countertop 1")
        key = engine.state_key()
        for command in ("look", "examine countertop 1", "inventory", "help", "nonsense"):
            engine.step(command)
            assert engine.state_key() == key
        engine.step("use desklamp 1")
        # The lamp cannot be taken, so it cannot be examined: that it is lit shows in the goal or nowhere.
        assert (engine.state_key() != key) == (world.goal is look)


def test_impossible_worlds_are_refused() -> None:
    twice = replace(KITCHEN.things[1], name="apple 1")
    with pytest.raises(UsageError, match="apple 1"):
        Engine(replace(KITCHEN, things=(KITCHEN.things[0], twice)))
    nowhere = replace(KITCHEN.things[0], receptacle=4)
    with pytest.raises(UsageError, match="receptacle 4"):
        Engine(replace(KITCHEN, things=(nowhere,)))


def test_alfworlds_order_is_by_class_and_from_the_last_number() -> None:
    receptacles = tuple(
        Receptacle(name, "Any", location=i)
        for i, name in enumerate(["sidetable 1", "sinkbasin 1", "shelf 1", "shelf 10", "shelf 2", "cup 1"])
    )
    things = (
        Thing("pen 1", "Pen", 3, inside=(2,)),
        Thing("pen 2", "Pen", 0, also_in=(1,)),
        Thing("mug 1", "Mug", 2),
    )
    world = in_alfworld_order(replace(KITCHEN, receptacles=receptacles, things=things))
    listed = [each.name for each in world.receptacles]
    assert listed == ["cup 1", "shelf 10", "shelf 2", "shelf 1", "sidetable 1", "sinkbasin 1"]
    assert [each.name for each in world.things] == ["mug 1", "pen 2", "pen 1"]
    pen = world.things[2]
    assert (listed[pen.receptacle or 0], world.things[pen.inside[0]].name) == ("shelf 10", "mug 1")
    assert listed[world.things[1].also_in[0]] == "sinkbasin 1"
