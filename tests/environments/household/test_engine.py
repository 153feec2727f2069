import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# --- properties of random worlds --------------------------------------------------------------------

CLASSES = {"Apple": "apple", "Bowl": "bowl", "DeskLamp": "desklamp", "Knife": "knife"}
PLACES = ["CounterTop", "Fridge", "Microwave", "SinkBasin"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Small worlds in which anything may be the case that the types allow."""
    rtypes = draw(st.lists(st.sampled_from(PLACES), min_size=2, max_size=4))
    flag = st.booleans()
    receptacles = tuple(
        Receptacle(f"{rtype.lower()} {i}", rtype, draw(flag), draw(flag), draw(st.integers(0, 2)))
        for i, rtype in enumerate(rtypes)
    )
    otypes = draw(st.lists(st.sampled_from(sorted(CLASSES)), min_size=1, max_size=3))
    where = st.integers(0, len(receptacles) - 1)
    things = tuple(
        Thing(
            f"{CLASSES[otype]} {i}", otype, draw(st.none() | where),
            pickupable=draw(flag), cleanable=draw(flag), heatable=draw(flag), coolable=draw(flag),
            sliceable=draw(flag), toggleable=draw(flag), holds_others=draw(flag), slices=otype == "Knife",
            also_in=tuple(draw(st.lists(where, max_size=1))),
            locations=draw(st.none() | st.tuples(st.integers(0, 3))),
        )
        for i, otype in enumerate(otypes)
    )  # fmt: skip
    pairs = [(rtype, otype) for rtype in PLACES for otype in CLASSES]
    goal = Goal(
        draw(st.sampled_from(TaskType)), draw(st.sampled_from(otypes)), draw(st.sampled_from(rtypes)),
        "DeskLamp", draw(flag),
    )  # fmt: skip
    can_contain = frozenset(draw(st.lists(st.sampled_from(pairs), max_size=16)))
    return World(receptacles, things, can_contain, goal, "do something", draw(st.integers(-1, 2)))


def every_command(world: World) -> list[str]:
    """Return every command that the grammar has for a world's names."""
    receptacles = [each.name for each in world.receptacles]
    things = [each.name for each in world.things]
    commands = ["look", "inventory", "help"]
    commands += [f"{verb} {name}" for verb in ("go to", "open", "close") for name in receptacles]
    commands += [f"{verb} {name}" for verb in ("examine", "use") for name in (*receptacles, *things)]
    for thing in things:
        commands += [f"slice {thing} with {other}" for other in things]
        for name in receptacles:
            commands += [f"take {thing} from {name}", f"move {thing} to {name}"]
            commands += [f"{verb} {thing} with {name}" for verb in ("clean", "heat", "cool")]
    return commands


def wander(engine: Engine, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    for _ in range(steps):
        engine.step(rng.choice(engine.admissible()))


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(0, 9999), st.integers(0, 25))
def test_exactly_the_admissible_commands_do_something(world: World, seed: int, steps: int) -> None:
    engine = Engine(world)
    engine.reset()
    wander(engine, seed, steps)
    admissible = engine.admissible()
    assert admissible == sorted(set(admissible))
    saved = engine.save()
    for command in every_command(world):
        text, applied = engine.step(command)
        assert applied == (command in admissible), command
        assert applied == (text != "Nothing happens.")
        engine.load(saved)
    assert set(admissible) <= set(every_command(world))


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(0, 9999), st.integers(0, 25))
def test_a_loaded_state_is_the_saved_one(world: World, seed: int, steps: int) -> None:
    engine = Engine(world)
    engine.reset()
    wander(engine, seed, steps)
    saved, key, won, progress = engine.save(), engine.state_key(), engine.won, engine.progress()
    assert won == (progress == 1.0)
    assert 0.0 <= progress <= 1.0
    other = Engine(world)
    other.load(saved)
    assert (other.save(), other.state_key(), other.won, other.progress()) == (saved, key, won, progress)
    wander(engine, seed + 1, 5)
    wander(other, seed + 1, 5)
    assert engine.save() == other.save()
    engine.load(saved)
    assert engine.state_key() == key
    assert engine.reset() == Engine(world).reset()
    assert engine.save() == Engine(world).save()


def reachable(engine: Engine, most: int) -> dict[bytes, dict[str, bytes]]:
    """Return every state that can be reached, with where each command leads. Empty beyond `most` states."""
    engine.reset()
    waiting = [engine.save()]
    graph: dict[bytes, dict[str, bytes]] = {}
    while waiting:
        state = waiting.pop()
        if state in graph:
            continue
        if len(graph) == most:
            return {}
        engine.load(state)
        successors: dict[str, bytes] = {}
        for command in engine.admissible():
            engine.load(state)
            engine.step(command)
            successors[command] = engine.save()
        graph[state] = successors
        waiting += successors.values()
    return graph


def distinguishable(engine: Engine, graph: dict[bytes, dict[str, bytes]]) -> dict[bytes, Any]:
    """Return classes of states that no sequence of commands can tell apart, by refining a partition."""

    def numbered(label: Callable[[bytes], Any]) -> dict[bytes, int]:
        numbers: dict[Any, int] = {}
        return {state: numbers.setdefault(label(state), len(numbers)) for state in graph}

    def shown(state: bytes) -> Any:
        texts: list[tuple[str, str]] = []
        for command in graph[state]:
            engine.load(state)
            texts.append((command, engine.step(command)[0]))
        engine.load(state)
        return tuple(texts), engine.won, engine.progress()

    classes = numbered(shown)
    while True:
        before = dict(classes)

        def refined(state: bytes, known: dict[bytes, int] = before) -> Any:
            return known[state], tuple(known[after] for after in graph[state].values())

        classes = numbered(refined)
        if max(classes.values()) == max(before.values()):
            return classes


def small(world: World) -> World:
    """Return a world with few enough states to see them all."""
    last = min(len(world.receptacles), 3) - 1
    things = tuple(
        replace(
            thing,
            receptacle=None if thing.receptacle is None else min(thing.receptacle, last),
            also_in=tuple(r for r in thing.also_in if r <= last),
        )
        for thing in world.things[:2]
    )
    return replace(world, receptacles=world.receptacles[: last + 1], things=things)


def sensible(world: World) -> World:
    """Return a world without dead ends and without properties that hide each other.

    Whoever holds what fits nowhere can do nothing more; a lamp that is cold is called cold, lit or not; a
    knife cannot slice itself; heating what does not fit the goal brings nothing; what is in two places at
    once can be sliced where it stays.
    """
    things = tuple(
        replace(
            thing,
            receptacle=thing.receptacle or 0,
            also_in=(),
            sliceable=thing.sliceable and not thing.slices,
            toggleable=thing.toggleable
            and not (thing.cleanable or thing.heatable or thing.coolable or thing.sliceable),
        )
        for thing in world.things
    )
    fits = {(world.receptacles[0].rtype, thing.otype) for thing in things}
    fits.add((world.goal.receptacle_type, world.goal.object_type))
    return replace(world, things=things, can_contain=world.can_contain | fits)


def keys_and_classes(world: World) -> set[tuple[str, int]]:
    """Return the pairs (state key, class of states that play cannot tell apart) of all reachable states."""
    engine = Engine(world)
    graph = reachable(engine, most=1500)
    classes = distinguishable(engine, graph) if graph else {}
    pairs: set[tuple[str, int]] = set()
    for state in graph:
        engine.load(state)
        pairs.add((engine.state_key(), classes[state]))
    return pairs


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_states_with_equal_keys_cannot_be_told_apart_by_playing(world: World) -> None:
    pairs = keys_and_classes(small(world))
    assert len({key for key, _ in pairs}) == len(pairs)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(worlds())
def test_states_with_different_keys_can_be_told_apart_by_playing(world: World) -> None:
    pairs = keys_and_classes(sensible(small(world)))
    assert len({number for _, number in pairs}) == len(pairs)


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
