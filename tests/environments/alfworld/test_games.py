import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentgym.core.errors import TaskError, UsageError
from agentgym.environments.alfworld.reader import read_game
from agentgym.environments.alfworld.writer import AlfworldTexts, write_game
from agentgym.environments.household import SPEC
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.world import Receptacle, Thing, World, in_alfworld_order

SUITE = SPEC.suite()


def _some_world() -> World:
    return SUITE.world(SUITE.tasks("train")[0])


@pytest.fixture
def game(tmp_path: Path, texts: AlfworldTexts) -> Path:
    """Return a game folder that can be played."""
    folder = tmp_path / "look_at_obj_in_light-Any" / "trial_1"
    write_game(_some_world(), folder, texts, ["look"])
    return folder


@pytest.mark.parametrize("number", range(12))
def test_a_written_game_plays_as_the_world_did(number: int, tmp_path: Path, texts: AlfworldTexts) -> None:
    world = SUITE.world(SUITE.tasks("heldout")[number])
    write_game(world, tmp_path, texts)
    engines = [Engine(read_game(tmp_path)), Engine(in_alfworld_order(world))]
    assert engines[0].reset() == engines[1].reset()
    rng = random.Random(number)
    for _ in range(80):
        assert engines[0].admissible() == engines[1].admissible()
        command = rng.choice(engines[0].admissible())
        assert engines[0].step(command) == engines[1].step(command)
        assert (engines[0].won, engines[0].progress()) == (engines[1].won, engines[1].progress())


def test_the_folder_is_complete(game: Path) -> None:
    data = json.loads((game / "game.tw-pddl").read_text())
    assert data.keys() == {"pddl_domain", "grammar", "pddl_problem", "solvable", "walkthrough"}
    assert (data["solvable"], data["walkthrough"]) == (True, ["look"])
    assert data["pddl_problem"] == (game / "initial_state.pddl").read_text()
    assert read_game(game).instruction == _some_world().instruction


def test_where_the_texts_come_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pip install alfworld==0\.4\.2"):
        AlfworldTexts.load()
    with pytest.raises(UsageError, match=r"alfred\.pddl is missing"):
        AlfworldTexts.load(tmp_path)


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda data: data.pop(key)


def _swap(key: str, old: str, new: str) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        assert old in data[key]
        data[key] = data[key].replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop("grammar"), "'grammar' must hold text, got NoneType"),
        (_swap("pddl_domain", "(isClean ?o)\n            )\n )", "(isHot ?o)\n            )\n )"), "differ in cleanobject"),
        (_swap("grammar", "move {o} to {r}", "put {o} in {r}"), "other words or commands"),
        (_swap("grammar", "Your task is to: ", "Do: "), "no sentence"),
        (_swap("pddl_problem", "(:init", ""), r"never opened"),
        (_swap("pddl_problem", "(:goal", ""), "never opened"),
        (_swap("pddl_problem", "(:goal", "(:gaol"), r"no \(:goal \.\.\.\) part"),
        (_swap("pddl_problem", "(atLocation", "(holds agent1 mug) (atLocation"), "states holds"),
        (_swap("pddl_problem", "(atLocation", "(openable fridge_bar_9) (atLocation"), "'fridge_bar_9', not in :objects"),
        (_swap("pddl_problem", "(receptacleAtLocation", "(wasInReceptacle"), "could never get there"),
        (_swap("pddl_problem", "(atLocation agent1 loc_bar_minus_1)", ""), "stated 0 times"),
        (_swap("pddl_problem", "(objectType", "(inReceptacle agent1) (objectType"), "two arguments"),
        (_swap("pddl_problem", "(inReceptacle ?o ?r)", "(isOn ?o)"), "none of the six"),
    ],
)  # fmt: skip
def test_a_bad_game_file_is_named_and_explained(
    game: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    _change(game / "game.tw-pddl", change)
    with pytest.raises(TaskError, match=message) as caught:
        read_game(game)
    assert str(game / "game.tw-pddl") in str(caught.value)


def test_two_types_for_one_thing_are_refused(game: Path) -> None:
    problem = json.loads((game / "game.tw-pddl").read_text())["pddl_problem"]
    first = problem[problem.index("(receptacleType ") :].split(")")[0]
    name = first.split()[1]
    again = f"{first}) (receptacleType {name} SafeType"
    declared = problem.replace("(:objects", "(:objects SafeType - rtype", 1).replace(first, again, 1)
    _change(game / "game.tw-pddl", lambda data: data.update(pddl_problem=declared))
    with pytest.raises(TaskError, match="stated 2 times; it can have one"):
        read_game(game)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("game.tw-pddl", None, "there is no such file"),
        ("game.tw-pddl", '{"grammar": "', "cut off"),
        ("game.tw-pddl", "[]", "expected a JSON object, got list"),
        ("traj_data.json", None, "there is no such file"),
        ("traj_data.json", "{}", "'pddl_params' must hold an object"),
    ],
)
def test_a_missing_or_broken_file_is_named(game: Path, name: str, content: str | None, message: str) -> None:
    path = game / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(TaskError, match=message) as caught:
        read_game(game)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["object_target", "parent_target"])
def test_a_folder_that_says_it_is_another_task_is_refused(game: Path, key: str) -> None:
    _change(game / "traj_data.json", lambda data: data["pddl_params"].update({key: "Nothing"}))
    with pytest.raises(TaskError, match=f"{key} is 'Nothing'"):
        read_game(game)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "cabin 1"}, "'cabinet 1' or the like"),
        ({"name": "cabinet 3"}, "call it 'cabinet 1'"),
        ({"name": "cabinet 01"}, "by class and number"),
    ],
)
def test_names_that_alfworld_could_not_show_are_refused(
    change: dict[str, Any], message: str, tmp_path: Path, texts: AlfworldTexts
) -> None:
    world = replace(
        _some_world(),
        receptacles=(replace(Receptacle("cabinet 1", "Cabinet"), **change),),
        things=(Thing("mug 1", "Mug", 0),),
    )
    with pytest.raises(UsageError, match=message):
        write_game(world, tmp_path, texts)


def test_a_mug_that_slices_is_refused(tmp_path: Path, texts: AlfworldTexts) -> None:
    cabinet = (Receptacle("cabinet 1", "Cabinet"),)
    world = replace(_some_world(), receptacles=cabinet, things=(Thing("mug 1", "Mug", 0, slices=True),))
    with pytest.raises(UsageError, match="Knife and ButterKnife slice"):
        write_game(world, tmp_path, texts)
