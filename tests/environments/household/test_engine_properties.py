import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.environments.household.engine import Engine
from agentgym.environments.household.world import Goal, Receptacle, TaskType, Thing, World

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
