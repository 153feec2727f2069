import json
from typing import Any

import numpy as np
import pytest

import agentgym
from agentgym.conformance import check_env
from agentgym.conformance.subject import Limits
from agentgym.core.errors import StepError, TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split
from agentgym.environments.phone import SPEC
from agentgym.environments.phone.env import PhoneEnv
from agentgym.environments.phone.ui.hierarchy import read_hierarchy
from agentgym.environments.phone.ui.listing import read_screen

NOTE = "train-notes_pin-000"


def _env(split: Split = Split.TRAIN, **options: Any) -> PhoneEnv:
    return SPEC.make(split, **options)


@pytest.mark.parametrize("interruptions", [0.0, 0.3])
def test_the_contract_is_kept(interruptions: float) -> None:
    limits = Limits(tasks_per_kind=1, steps=25)
    options = {"interruptions": interruptions, "apps": ["Notes", "Clock", "Messages", "Files", "Music", ""]}
    report = check_env("phone", options=options, limits=limits)
    assert report.passed, report


def test_pictures_are_a_part_of_the_observation() -> None:
    report = check_env("phone", options={"pictures": True}, only=["contract.gymnasium", "contract.info"])
    assert report.passed, report
    env = _env(pictures=True)
    observation, _ = env.reset(options={"task": NOTE})
    assert observation in env.observation_space
    assert isinstance(observation, dict)
    assert isinstance(observation["image"], np.ndarray)
    before = observation["image"].copy()
    after = env.step("open_app Notes")[0]["image"]
    assert after.shape == before.shape == (640, 360, 3)
    assert (after != before).any()


def test_an_episode_from_opening_to_reward() -> None:
    env = _env()
    observation, info = env.reset(options={"task": NOTE})
    assert str(observation).splitlines()[0].startswith("Home 2026-")
    assert str(observation).endswith(f"Your task is to: {info['instruction']}.")
    progress = [info["progress"]]
    while (action := env.oracle()) is not None:
        assert action in info["admissible_actions"]
        observation, reward, terminated, truncated, info = env.step(action)
        progress.append(info["progress"])
        assert info["valid"]
        assert terminated is info["success"] is (reward == 1.0)
        assert not truncated
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert env.oracle() is None
    with pytest.raises(StepError, match="call reset"):
        env.step("back")


def test_saying_that_it_is_done_does_not_make_it_so() -> None:
    env = _env()
    env.reset(options={"task": NOTE})
    _, reward, terminated, _, info = env.step("status complete")
    assert (reward, terminated, info["success"]) == (0.0, True, False)
    env.reset(options={"task": "train-contacts_missing-000"})
    assert env.step("status complete")[1] == 0.0
    env.reset(options={"task": "train-contacts_missing-000"})
    assert env.step("status infeasible")[1] == 1.0


def test_without_an_end_the_episode_is_cut() -> None:
    env = _env(max_steps=3)
    env.reset(options={"task": NOTE})
    ends = [env.step(action)[2:4] for action in ("open_app Notes", "back", "wait")]
    assert ends == [(False, False), (False, False), (False, True)]


MEGABYTE = "milk " * 200_000


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("tap 999 10", "(999 10 is off the screen, which is 360 by 640 pixels.)"),
        ("tap -1 -1", "(-1 -1 is off the screen, which is 360 by 640 pixels.)"),
        ("tap 359 600", "(There is nothing to touch at 359 600.)"),
        ("tap 77", "(There is no element 77 here; there are 9.)"),
        ("tap 99999999999999999999", "(Nothing here is called '99999999999999999999'.)"),
        ("tap Contcts", "(Nothing here is called 'Contcts'. Did you mean 'Contacts'?)"),
        ("tap", "(`tap` what? Write a name, a number of the list, or x and y.)"),
        ("long_press Notes", "(Holding that does nothing.)"),
        ("swipe up", "(There is nothing to swipe up.)"),
        ("swipe sideways", "(`swipe` needs up, down, left or right, or four coordinates; got 'sideways'.)"),
        ("type milk", "(No field has the focus: tap one first, then type.)"),
        (f"type {MEGABYTE}", "(A field takes 1000 characters at most; this text has 999999.)"),
        (f"answer {MEGABYTE}", "(An answer has 1 to 1000 characters, this one 999999.)"),
        ("answer", "(An answer has 1 to 1000 characters, this one 0.)"),
        ("type \ud800", "(Half a surrogate pair is no text.)"),
        ("open_app Kontacts", "(No application is called 'Kontacts'. Did you mean 'Contacts'?)"),
        ("back", "(This is the home screen: there is nothing to go back to.)"),
        ("home", "(This is the home screen already.)"),
        ("status done", "(`status` is complete or infeasible; got 'done'.)"),
        ("back twice", "(`back` takes nothing after it.)"),
        ('{"action_type": "fly"}', "(Unknown action_type 'fly'."),
        ('{"action_type": "click"}', "('click' needs an index, or x and y.)"),
        ('{"action_type": "click", "index": 3', "(This begins like JSON and is none:"),
        ('{"a": ' + "[" * 100_000, "(This begins like JSON and is none:"),
        ('{"action_type": "input_text", "index": 2, "text": "milk"}', "(That is no field to type in.)"),
        ("tpa 3", "(Unknown action 'tpa'. Did you mean 'tap'?"),
        ("", "(Unknown action ''."),
        (MEGABYTE, "(Unknown action 'milk'."),
        ("x" * 1_000_000, "(Unknown action 'xxxx"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_and_changes_nothing(action: str, answer: str) -> None:
    env = _env()
    env.reset(options={"task": NOTE})
    before = env.state_key()
    observation, reward, terminated, truncated, info = env.step(action)
    assert str(observation).startswith(answer)
    assert len(str(observation)) < 600
    assert (reward, terminated, truncated, info["valid"]) == (0.0, False, False, False)
    assert env.state_key() == before
    assert observation in env.observation_space


def test_actions_read_alike_in_every_spelling() -> None:
    spellings = [
        ["open_app Notes", "tap New", "type Fox", "back"],
        ['open_app("notes")', "tap(1)", 'type("Fox")', "back()"],
        ["tap 240 150", "tap 300 50", "type Fox", "back"],
        [
            json.dumps(action)
            for action in (
                {"action_type": "open_app", "app_name": "Notes"},
                {"action_type": "click", "index": 1},
                {"action_type": "input_text", "index": 1, "text": "Fox"},
                {"action_type": "navigate_back"},
            )
        ],
    ]
    played: list[list[Any]] = []
    for actions in spellings:
        env = _env()
        env.reset(options={"task": NOTE})
        env.step("open_app Notes" if actions[0].startswith("tap") else "wait")
        env.step("home") if actions[0].startswith("tap") else env.step("wait")
        actions = [centre(env, "Notes"), *actions[1:]] if actions[0].startswith("tap") else actions
        played.append([env.step(action)[0] for action in actions])
    assert played[0] == played[1] == played[2] == played[3]
    assert "1 Title = Fox" in played[0][2]


def centre(env: PhoneEnv, name: str) -> str:
    """The tap by coordinates on an element, found in the XML."""
    elements = read_screen(read_hierarchy(env.hierarchy())).elements
    (found,) = [element for element in elements if element.name == name]
    return "tap {} {}".format(*found.node.bounds.centre)


def test_what_is_gone_is_told() -> None:
    env = _env()
    env.reset(options={"task": NOTE})
    env.step("open_app Notes")
    note = next(line for line in env.step("wait")[0].splitlines() if line.startswith("3 "))
    name = note[2:].partition(" - ")[0]
    for action in (f"long_press {name}", "tap Delete"):
        assert env.step(action)[4]["valid"]
    observation, *_, info = env.step(f"tap {name}")
    assert f"Nothing here is called '{name}'" in observation
    assert not info["valid"]


def test_snapshots_come_back_elsewhere_and_refuse_what_is_none() -> None:
    env, other = _env(), _env()
    env.reset(options={"task": "train-several_send_number-004"})
    for _ in range(4):
        env.step(env.oracle())
    saved, key = env.snapshot(), env.state_key()
    assert len(saved) < 60_000
    env.step("home")
    assert env.state_key() != key
    for one in (env, other):
        one.restore(saved)
        assert one.state_key() == key
    while (action := env.oracle()) is not None:
        assert other.oracle() == action
        assert env.step(action) == other.step(action)
    for broken in (b"", b"nonsense", saved[:-1], saved[:100] + b"?" + saved[101:]):
        with pytest.raises(UsageError, match="snapshot"):
            env.restore(broken)


def test_xml_is_an_observation_too() -> None:
    env = _env(text="xml")
    observation, _ = env.reset(options={"task": NOTE})
    xml, task = str(observation).rsplit("\n", 1)
    assert xml == env.hierarchy()
    assert task.startswith("Your task is to: ")


def test_rendering() -> None:
    assert _env().render() is None
    env = _env(render_mode="ansi")
    env.reset(options={"task": NOTE})
    assert str(env.render()).startswith("Home")
    env = _env(render_mode="rgb_array")
    env.reset(options={"task": NOTE})
    assert np.asarray(env.render()).shape == (640, 360, 3)


def test_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'Notes'"):
        agentgym.make("phone", apps=["Note"])
    with pytest.raises(UnknownNameError, match="Did you mean 'notes_pin'"):
        agentgym.make("phone", templates="notes_pim")
    with pytest.raises(UnknownNameError, match="Known: easy, hard, medium"):
        agentgym.make("phone", difficulty="simple")
    with pytest.raises(UsageError, match="from 0 to 1"):
        agentgym.make("phone", interruptions=2)
    with pytest.raises(UnknownNameError, match="Known: list, xml"):
        agentgym.make("phone", text="html")
    with pytest.raises(UsageError, match="no such tasks in split 'train'"):
        agentgym.make("phone", apps=["Music"])
    with pytest.raises(TaskError, match="Did you mean 'train-notes_pin-000'"):
        agentgym.make("phone").reset(options={"task": "train-notes_pim-000"})
