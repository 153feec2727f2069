from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.core.errors import TaskError, UnknownNameError
from agentgym.core.task import Split, Task, content_hash
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.errands import goal_of, is_feasible, pair
from agentgym.environments.household.generator import build_world
from agentgym.environments.household.layouts import SIZES, Difficulty, layout
from agentgym.environments.household.tasks import ENV_ID, HouseholdSuite, HouseholdTasks
from agentgym.environments.household.world import TaskType, World, in_alfworld_order

SUITE = HouseholdSuite()
ALL: dict[Split, Sequence[Task]] = {split: list(SUITE.tasks(split)) for split in Split}
UNSEEN = [task for task in ALL[Split.HELDOUT] if task.group == "unseen"]
EVERY_TASK = [task for tasks in ALL.values() for task in tasks]


def test_each_difficulty_alone_has_enough_tasks_in_every_part() -> None:
    for difficulty in Difficulty:
        suite = HouseholdSuite(difficulty.value)
        assert len(suite.tasks("train")) >= 10_000
        assert len(suite.tasks("select")) >= 500
        groups = Counter(task.group for task in suite.tasks("heldout"))
        assert groups == {"seen": groups["seen"], "unseen": groups["unseen"]}
        assert min(groups.values()) >= 250
        assert {task.difficulty for task in suite.tasks("heldout")} == {difficulty.value}


def test_every_kind_of_task_is_equally_frequent() -> None:
    for split, tasks in ALL.items():
        counts = Counter((task.task_type, task.difficulty, task.group) for task in tasks)
        groups = 2 if split is Split.HELDOUT else 1
        assert len(counts) == len(TaskType) * len(Difficulty) * groups
        assert len(set(counts.values())) == 1


def test_any_beginning_of_a_split_is_balanced() -> None:
    counts = Counter((t.task_type, t.difficulty) for t in SUITE.tasks("train")[:180])
    assert set(counts.values()) == {10}


def test_no_content_is_in_two_splits_or_twice_in_one() -> None:
    keys = {split: {task.key for task in tasks} for split, tasks in ALL.items()}
    for split, tasks in ALL.items():
        assert len(keys[split]) == len(tasks)
    for one, other in combinations(Split, 2):
        assert not keys[one] & keys[other]
    assert len({task.id for task in EVERY_TASK}) == len(EVERY_TASK)


def test_no_two_games_have_the_same_things_in_the_same_places() -> None:
    def content(task: Task) -> object:
        world = build_world(task)
        return task.params["layout"], world.goal, tuple(sorted((t.otype, t.receptacle) for t in world.things))

    tasks = [*ALL[Split.TRAIN][:5000], *ALL[Split.SELECT], *ALL[Split.HELDOUT]]
    assert len({content(task) for task in tasks}) == len(tasks)


def test_train_and_select_never_show_what_unseen_tasks_have() -> None:
    known = [task for task in EVERY_TASK if task.group != "unseen"]
    assert not {t.params["layout"] for t in known} & {t.params["layout"] for t in UNSEEN}
    assert not {pair(goal_of(t.params)) for t in known} & {pair(goal_of(t.params)) for t in UNSEEN}
    contents = {layout(t.params["layout"]).receptacles for t in known}
    assert not contents & {layout(t.params["layout"]).receptacles for t in UNSEEN}


def test_seen_tasks_play_in_layouts_and_with_pairs_of_train() -> None:
    train = ALL[Split.TRAIN]
    seen = [task for task in ALL[Split.HELDOUT] if task.group == "seen"]
    assert {t.params["layout"] for t in seen} <= {t.params["layout"] for t in train}
    assert {pair(goal_of(t.params)) for t in seen} <= {pair(goal_of(t.params)) for t in train}


def test_unseen_pairs_use_objects_and_places_that_train_knows_apart() -> None:
    for part in (0, 1):
        known = {pair(goal_of(task.params))[part] for task in ALL[Split.TRAIN]}
        assert {pair(goal_of(task.params))[part] for task in UNSEEN} <= known


def test_tasks_never_change_without_a_new_version() -> None:
    sample = [tasks[i].to_json() for tasks in ALL.values() for i in range(0, len(tasks), 200)]
    worlds = [
        repr(_plain(SUITE.world(tasks[i]))) for tasks in ALL.values() for i in range(0, len(tasks), 200)
    ]
    assert (SUITE.version, content_hash([sample, worlds])) == ("1", GOLDEN)


GOLDEN = "d1cdaf7322dcd20f"


def _plain(world: World) -> tuple[object, ...]:
    return world.receptacles, world.things, sorted(world.can_contain), world.goal, world.instruction


@pytest.mark.parametrize("difficulty", list(Difficulty))
def test_worlds_have_the_size_of_their_difficulty(difficulty: Difficulty) -> None:
    size = SIZES[difficulty]
    for task in HouseholdSuite(difficulty.value).tasks("train")[:300]:
        world = SUITE.world(task)
        assert size.receptacles[0] <= len(world.receptacles) <= size.receptacles[1]
        assert size.things[0] <= len(world.things) <= size.things[1]


@given(st.sampled_from(EVERY_TASK))
@settings(max_examples=300, deadline=None)
def test_worlds_are_sound(task: Task) -> None:
    world = build_world(task)
    assert repr(_plain(world)) == repr(_plain(build_world(Task.from_json(task.to_json()))))
    assert is_feasible(world.goal, layout(task.params["layout"]))
    names = [item.name for item in (*world.receptacles, *world.things)]
    assert len(set(names)) == len(names)
    assert in_alfworld_order(world) == world
    assert not any(receptacle.opened for receptacle in world.receptacles)
    for thing in world.things:
        assert thing.receptacle is not None
        assert not thing.pickupable or (
            (world.receptacles[thing.receptacle].rtype, thing.otype) in world.can_contain
        )
    engine = Engine(world)
    assert not engine.won
    assert engine.reset().endswith(f"Your task is to: {world.instruction}.")
    assert task.params["object"].lower() in world.instruction


def test_targets_are_hidden_more_often_in_harder_games() -> None:
    def hidden(difficulty: Difficulty) -> float:
        behind_doors: list[bool] = []
        for task in HouseholdSuite(difficulty.value, ["heat", "cool"]).tasks("train")[:300]:
            world = SUITE.world(task)
            places = [t.receptacle for t in world.things if t.otype == world.goal.object_type]
            behind_doors += [world.receptacles[place or 0].openable for place in places]
        return sum(behind_doors) / len(behind_doors)

    assert hidden(Difficulty.EASY) + 0.08 < hidden(Difficulty.MEDIUM) < hidden(Difficulty.HARD) - 0.08


def test_options_choose_difficulties_and_kinds_by_either_name() -> None:
    suite = HouseholdSuite("easy", ["heat", "pick_clean_then_place_in_recep"])
    assert {task.task_type for task in suite.tasks("train")} == {TaskType.HEAT, TaskType.CLEAN}
    assert HouseholdSuite("easy", "heat").task_types == (TaskType.HEAT,)
    # A filter chooses among the tasks; it does not make other ones.
    everything = {task.id: task.key for task in ALL[Split.TRAIN]}
    assert all(everything[task.id] == task.key for task in suite.tasks("train"))


def test_unknown_options_say_what_was_meant() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'medium'"):
        HouseholdSuite("medum")
    with pytest.raises(UnknownNameError, match="Did you mean 'heat'"):
        HouseholdSuite(task_types=["haet"])
    with pytest.raises(UnknownNameError, match="at least one"):
        HouseholdSuite(task_types=[])
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        SUITE.tasks("trian")


def test_sequences_behave() -> None:
    tasks: HouseholdTasks = SUITE.tasks("select")
    assert tasks[-1] == tasks[len(tasks) - 1]
    assert tasks[2:5] == [tasks[2], tasks[3], tasks[4]]
    with pytest.raises(IndexError):
        tasks[len(tasks)]


@given(st.sampled_from(EVERY_TASK))
@settings(max_examples=100)
def test_tasks_are_found_by_their_ids(task: Task) -> None:
    assert SUITE.task(task.id) == task


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("tran-easy-heat-0007", "train-easy-heat-0007"),
        ("train-easy-heta-0007", "train-easy-heat-0007"),
        ("train-easy-heat-9999", "train-easy-heat-0000"),
    ],
)
def test_unknown_task_ids_say_what_was_meant(wrong: str, meant: str) -> None:
    with pytest.raises(TaskError, match=f"Did you mean '{meant}'"):
        SUITE.task(wrong)


def _forged(split: Split, **changes: object) -> Task:
    params = {**SUITE.task("train-easy-heat-0000").params, **changes}
    return Task(id="forged", env_id=ENV_ID, split=split, params=params)


def test_bad_params_are_refused() -> None:
    for changes, message in (
        ({"task_type": "juggle"}, "one of"),
        ({"object": "Unicorn"}, "Unicorn"),
        ({"object": "Fork"}, "cannot be asked for"),
        ({"receptacle": "Bed"}, "cannot be asked for"),
        ({"layout": "kitchen-easy-99"}, "Did you mean 'kitchen-easy"),
        ({"world_seed": "x"}, "integer world_seed"),
    ):
        with pytest.raises(TaskError, match=message):
            build_world(_forged(Split.TRAIN, **changes))


def test_learning_tasks_cannot_use_what_is_kept_for_evaluation() -> None:
    unseen = next(task for task in UNSEEN if task.task_type == TaskType.HEAT)
    SUITE.world(unseen)
    stolen = Task(id="stolen", env_id=ENV_ID, split=Split.TRAIN, params=unseen.params)
    assert stolen.key == unseen.key
    with pytest.raises(TaskError, match="only held-out tasks"):
        SUITE.world(stolen)
