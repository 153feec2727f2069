import random

import pytest

from agentgym.core.task import Split
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.oracle import next_command, plan
from agentgym.environments.household.tasks import HouseholdSuite
from agentgym.environments.household.world import Goal, Receptacle, TaskType, Thing, World

LONGEST = 14
"""Commands that suffice from any state: free the hand, then fetch and put down two things behind doors."""


def _solve(engine: Engine) -> list[str]:
    """Follow the oracle to the end; each command must do something and bring the end nearer."""
    done: list[str] = []
    left = len(plan(engine))
    while not engine.won:
        command = next_command(engine)
        assert command is not None
        _, applied = engine.step(command)
        assert applied, command
        done.append(command)
        now_left = len(plan(engine))
        assert now_left < left, (command, done)
        left = now_left
    return done


def _engines(task_type: TaskType, count: int) -> list[Engine]:
    """Take games of one kind from all splits and difficulties."""
    suite = HouseholdSuite(task_types=[task_type])
    shares = {
        Split.TRAIN: count // 2,
        Split.SELECT: count // 10,
        Split.HELDOUT: count - count // 2 - count // 10,
    }
    tasks = [task for split, share in shares.items() for task in suite.tasks(split)[:share]]
    assert len(tasks) == count
    return [Engine(suite.world(task)) for task in tasks]


@pytest.mark.parametrize("task_type", list(TaskType))
def test_solves_a_thousand_tasks_of_each_kind(task_type: TaskType) -> None:
    for engine in _engines(task_type, 1000):
        promised = len(plan(engine))
        assert 0 < promised <= LONGEST
        steps = 0
        while not engine.won:
            command = next_command(engine)
            assert command is not None
            assert engine.step(command)[1], command
            steps += 1
            assert steps <= promised
        assert next_command(engine) is None


@pytest.mark.parametrize("task_type", list(TaskType))
def test_solves_from_wherever_a_random_player_stops(task_type: TaskType) -> None:
    rng = random.Random(7)
    for engine in _engines(task_type, 120):
        for _ in range(rng.randint(1, 60)):
            busy = [c for c in engine.admissible() if not c.startswith(("examine", "go to"))]
            engine.step(rng.choice(busy if rng.random() < 0.7 else engine.admissible()))
        assert len(_solve(engine)) <= LONGEST


@pytest.mark.parametrize("task_type", list(TaskType))
def test_no_shorter_plan_exists(task_type: TaskType) -> None:
    suite = HouseholdSuite("easy", [task_type])
    tried = 0
    for task in suite.tasks("train")[:60]:
        engine = Engine(suite.world(task))
        length = len(plan(engine))
        if length <= 6 or (task_type is TaskType.PLACE_TWO and length <= 8 and len(engine.world.things) < 6):
            assert not _winnable_within(engine, length - 1), task.id
            assert _winnable_within(engine, length), task.id
            tried += 1
        if tried == 3:
            break
    assert tried == 3


def _winnable_within(engine: Engine, steps: int) -> bool:
    """Search breadth first over everything that changes the state."""
    engine.reset()
    frontier, seen = [engine.save()], {engine.state_key()}
    for _ in range(steps):
        following: list[bytes] = []
        for saved in frontier:
            engine.load(saved)
            for command in engine.admissible():
                if command.startswith(("examine", "look", "inventory", "help", "close")):
                    continue
                engine.load(saved)
                engine.step(command)
                if engine.won:
                    engine.reset()
                    return True
                key = engine.state_key()
                if key not in seen:
                    seen.add(key)
                    following.append(engine.save())
        frontier = following
    engine.reset()
    return False


def _kitchen(goal: Goal, *, knife: bool = True, sink: bool = True) -> World:
    receptacles = [
        Receptacle("countertop 1", "CounterTop", location=1),
        Receptacle("fridge 1", "Fridge", openable=True, location=2),
        Receptacle("microwave 1", "Microwave", openable=True, location=3),
        Receptacle("drawer 1", "Drawer", openable=True, location=4),
    ]
    if sink:
        receptacles.append(Receptacle("sinkbasin 1", "SinkBasin", location=5))
    things = [
        Thing("apple 1", "Apple", 0, cleanable=True, heatable=True, coolable=True, sliceable=True),
        Thing("apple 2", "Apple", 1, cleanable=True, heatable=True, coolable=True, sliceable=True),
    ]
    if knife:
        things.append(Thing("knife 1", "Knife", 3, slices=True))
    food = {(place, "Apple") for place in ("CounterTop", "Fridge", "Microwave")}
    return World(
        receptacles=tuple(receptacles),
        things=tuple(things),
        can_contain=frozenset(food | {("Drawer", "Knife"), ("CounterTop", "Knife")}),
        goal=goal,
        instruction="do something with an apple",
    )


SLICED_GOALS = [
    Goal(TaskType.PLACE, "Apple", "Microwave", sliced=True),
    Goal(TaskType.CLEAN, "Apple", "Fridge", sliced=True),
    Goal(TaskType.HEAT, "Apple", "CounterTop", sliced=True),
    Goal(TaskType.COOL, "Apple", "Microwave", sliced=True),
    Goal(TaskType.PLACE_TWO, "Apple", "Microwave", sliced=True),
]


@pytest.mark.parametrize("goal", SLICED_GOALS)
def test_slices_where_the_goal_asks_for_it(goal: Goal) -> None:
    engine = Engine(_kitchen(goal))
    assert any(command.startswith("slice") for command in _solve(engine))


@pytest.mark.parametrize("goal", SLICED_GOALS)
def test_slices_from_any_state(goal: Goal) -> None:
    rng = random.Random(3)
    for _ in range(60):
        engine = Engine(_kitchen(goal))
        for _ in range(rng.randint(1, 40)):
            engine.step(rng.choice(engine.admissible()))
        _solve(engine)


def test_undoes_what_a_player_did_wrong() -> None:
    engine = Engine(_kitchen(Goal(TaskType.HEAT, "Apple", "CounterTop")))
    for command in ("go to countertop 1", "take apple 1 from countertop 1", "heat apple 1 with microwave 1"):
        engine.step(command)
    engine.step("go to microwave 1")
    engine.step("heat apple 1 with microwave 1")
    engine.step("go to fridge 1")
    engine.step("cool apple 1 with fridge 1")
    assert _solve(engine) == [
        "go to microwave 1",
        "heat apple 1 with microwave 1",
        "go to countertop 1",
        "move apple 1 to countertop 1",
    ]


def test_puts_a_wrong_thing_down_on_the_way() -> None:
    engine = Engine(_kitchen(Goal(TaskType.PLACE, "Apple", "Microwave")))
    for command in ("go to drawer 1", "open drawer 1", "take knife 1 from drawer 1", "close drawer 1"):
        assert engine.step(command)[1]
    assert _solve(engine) == [
        "go to countertop 1",
        "move knife 1 to countertop 1",
        "take apple 1 from countertop 1",
        "go to microwave 1",
        "open microwave 1",
        "move apple 1 to microwave 1",
    ]


@pytest.mark.parametrize(
    "world",
    [
        _kitchen(Goal(TaskType.CLEAN, "Apple", "Fridge"), sink=False),
        _kitchen(Goal(TaskType.PLACE, "Apple", "Fridge", sliced=True), knife=False),
        _kitchen(Goal(TaskType.PLACE, "Apple", "Bed")),
        _kitchen(Goal(TaskType.PLACE, "Egg", "Fridge")),
        _kitchen(Goal(TaskType.LOOK, "Apple", lamp_type="DeskLamp")),
    ],
)
def test_has_no_plan_for_a_game_that_cannot_be_won(world: World) -> None:
    engine = Engine(world)
    assert plan(engine) == []
    assert next_command(engine) is None
