import json
from pathlib import Path

import pytest
from gymnasium.utils.env_checker import check_env

import agentgym
from agentgym.conformance import check_env as check_agent_env
from agentgym.core.errors import TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split, Task
from agentgym.environments import alfworld
from agentgym.environments.alfworld.suite import AlfworldSuite
from agentgym.environments.alfworld.writer import AlfworldTexts, write_game
from agentgym.environments.household import SPEC
from agentgym.environments.household.engine import Engine
from agentgym.environments.household.world import Goal, Receptacle, TaskType, Thing, World


def _folder(path: Path, solvable: str = "true", task_type: str = "look_at_obj_in_light") -> None:
    """Make what a suite needs to see of a game: enough to list it, not to play it."""
    path.mkdir(parents=True)
    walkthrough = json.dumps(["look"] * 5)
    (path / "game.tw-pddl").write_text(f'{{"solvable": {solvable}, "walkthrough": {walkthrough}}}')
    (path / "traj_data.json").write_text(json.dumps({"task_type": task_type}))


def _ids(suite: AlfworldSuite, split: Split | str) -> list[str]:
    return [task.id for task in suite.tasks(split)]


def test_official_folders_are_the_splits(tmp_path: Path) -> None:
    release = tmp_path / "json_2.1.1"
    for number in range(60):
        for trial in "ab":
            _folder(release / "train" / f"pick_two_obj_and_place-Mug-None-Desk-{number}" / f"trial_{trial}")
    _folder(release / "valid_seen" / "look_at_obj_in_light-CD-None-DeskLamp-301" / "trial_c")
    _folder(release / "valid_unseen" / "look_at_obj_in_light-CD-None-DeskLamp-308" / "trial_d")
    _folder(release / "valid_train" / "look_at_obj_in_light-CD-None-DeskLamp-302" / "trial_e")
    suite = AlfworldSuite(tmp_path)
    assert [(task.group, task.task_type) for task in suite.tasks("heldout")] == [
        ("seen", "look_at_obj_in_light"),
        ("unseen", "look_at_obj_in_light"),
    ]
    train, select = _ids(suite, "train"), _ids(suite, "select")
    assert len(train) + len(select) == 120
    assert 2 <= len(select) <= 30
    assert {Path(name).parent for name in train}.isdisjoint(Path(name).parent for name in select)
    assert _ids(AlfworldSuite(release), "select") == select
    assert suite.task(train[0]).params["task_type"] == "pick_two_obj_and_place"
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        suite.tasks("trian")


def test_any_other_folder_is_split_by_name(tmp_path: Path) -> None:
    for number in range(100):
        _folder(tmp_path / f"pick_two_obj_and_place-Mug-None-Desk-{number}" / "trial")
    suite = AlfworldSuite(tmp_path)
    sizes = {split: len(suite.tasks(split)) for split in Split}
    assert sum(sizes.values()) == 100
    assert sizes[Split.TRAIN] > 60
    assert min(sizes.values()) > 2
    assert "tenth" in suite.heldout_differs


def test_what_alfworld_leaves_out_is_left_out(tmp_path: Path) -> None:
    _folder(tmp_path / "a", task_type="pick_and_place_simple")
    _folder(tmp_path / "b", task_type="pick_and_place_with_movable_recep")
    _folder(tmp_path / "c", solvable="false")
    _folder(tmp_path / "d", solvable="null")
    _folder(tmp_path / "pick_and_place_simple-AppleSliced-None-Desk-3" / "e")
    _folder(tmp_path / "pick_and_place_with_movable_recep-Apple-Mug-Desk-3" / "f")
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "traj_data.json").write_text("{}")
    suite = AlfworldSuite(tmp_path)
    assert [name for split in Split for name in _ids(suite, split)] == ["a"]


def test_a_long_walkthrough_hides_nothing(tmp_path: Path) -> None:
    _folder(tmp_path / "look_at_obj_in_light-CD-None-DeskLamp-301" / "trial")
    path = tmp_path / "look_at_obj_in_light-CD-None-DeskLamp-301" / "trial" / "game.tw-pddl"
    path.write_text(json.dumps({"solvable": True, "walkthrough": ["go to desk 1"] * 5000}))
    assert sum(len(AlfworldSuite(tmp_path).tasks(split)) for split in Split) == 1


def test_no_games_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(UsageError, match='pass data="DIR" or set ALFWORLD_DATA'):
        agentgym.make("agentgym/ALFWorld-v0")
    with pytest.raises(UsageError, match="no such folder"):
        agentgym.make("alfworld", data=tmp_path / "absent")
    with pytest.raises(UsageError, match="alfworld-generate"):
        agentgym.make("alfworld", data=tmp_path)
    with pytest.raises(UsageError, match="has no option 'dta'"):
        agentgym.make("alfworld", dta=tmp_path)


def test_the_environment_plays_the_games_of_a_folder(
    tmp_path: Path, texts: AlfworldTexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    household = SPEC.suite()
    tasks = household.tasks("train")[:12]
    for task in tasks:
        write_game(household.world(task), tmp_path / "train" / task.id / "trial", texts)
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    env = agentgym.make("agentgym/ALFWorld-v0", split="train")
    check_env(env, skip_render_check=True)
    for task in env.suite.tasks("train"):
        _, info = env.reset(options={"task": task})
        assert info["task_id"] == task.id
        snapshot, key, total = env.snapshot(), env.state_key(), 0.0
        while not info["success"]:
            action = env.oracle()
            assert action in info["admissible_actions"]
            _, reward, terminated, truncated, info = env.step(action)
            total += float(reward)
            assert not truncated
            assert terminated == info["success"]
        assert total == 1.0
        env.restore(snapshot)
        assert env.state_key() == key
    with pytest.raises(TaskError, match="Did you mean"):
        env.reset(options={"task": env.suite.tasks("train")[0].id + "x"})
    with pytest.raises(TaskError, match="no game"):
        env.reset(options={"task": Task("x", env.suite.env_id, Split.TRAIN, params={"game": "../../etc"})})


def test_the_environment_keeps_agentgyms_contract(tmp_path: Path, texts: AlfworldTexts) -> None:
    household = SPEC.suite()
    folders = {
        "train": ("train", ""),
        "valid_seen": ("heldout", "seen"),
        "valid_unseen": ("heldout", "unseen"),
    }
    for folder, (split, group) in folders.items():
        tasks = [task for task in household.tasks(split)[:60] if task.group == group]
        for task in tasks:
            write_game(household.world(task), tmp_path / folder / task.id / "trial", texts)
    report = check_agent_env("alfworld", options={"data": tmp_path})
    assert report.passed, report


def test_the_readmes_episode() -> None:
    text = (Path(alfworld.__file__).parent / "README.md").read_text()
    episode = text.split("```text\n", 1)[1].split("```", 1)[0]
    opening, *turns = episode.split("\n> ")
    names = ("cabinet 2", "cabinet 1", "countertop 1", "fridge 1", "microwave 1", "sinkbasin 1")
    rtypes = ("Cabinet", "Cabinet", "CounterTop", "Fridge", "Microwave", "SinkBasin")
    receptacles = tuple(
        Receptacle(name, rtype, openable=rtype in ("Cabinet", "Fridge", "Microwave"), location=i)
        for i, (name, rtype) in enumerate(zip(names, rtypes, strict=True))
    )
    world = World(
        receptacles,
        (Thing("mug 1", "Mug", 0, coolable=True),),
        frozenset({("CounterTop", "Mug")}),
        Goal(TaskType.COOL, "Mug", "CounterTop"),
        "put a cool mug in countertop",
    )
    engine = Engine(world)
    assert engine.reset() == opening
    for turn in turns:
        command, feedback = turn.rstrip("\n").split("\n")
        assert engine.step(command) == (feedback, True)
    assert engine.won
