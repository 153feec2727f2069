from collections import Counter

import pytest

from agentgym.core.task import Split
from agentgym.environments.phone import SPEC
from agentgym.environments.phone.apps.catalogue import BASIC, HELDOUT
from agentgym.environments.phone.env import PhoneEnv
from agentgym.environments.phone.goals import Target
from agentgym.environments.phone.tasks import PhoneSuite
from agentgym.environments.phone.templates.catalogue import NEW_APPS, TEMPLATES

SUITE = PhoneSuite()
_LONGEST = 60


def play(env: PhoneEnv, task_id: str) -> int:
    """Let the expert play a task, and return its number of actions; it must succeed."""
    env.reset(options={"task": task_id})
    for number in range(_LONGEST):
        action = env.oracle()
        assert action is not None, f"{task_id}: the expert gave up after {number} actions"
        info = env.step(action)[4]
        assert info["valid"], f"{task_id}: {action}"
        if info["success"]:
            return number + 1
    pytest.fail(f"{task_id}: not solved in {_LONGEST} actions")


def test_there_are_enough_of_each() -> None:
    assert len(TEMPLATES) >= 60
    assert len(BASIC) >= 8
    assert {template.app for template in TEMPLATES.values()} == {
        "",
        *(app.name for app in (*BASIC, *HELDOUT)),
    }
    levels = Counter(template.level.value for template in TEMPLATES.values())
    assert levels["hard"] >= 10
    assert sum(template.heldout for template in TEMPLATES.values()) >= 15


@pytest.mark.parametrize("interruptions", [0.0, 0.25])
def test_the_expert_solves_every_template(interruptions: float) -> None:
    env = SPEC.make(Split.HELDOUT, interruptions=interruptions, max_steps=_LONGEST, admissible=False)
    for name in TEMPLATES:
        play(env, f"heldout-{name}-007")


def test_nothing_is_solved_at_the_start() -> None:
    env = SPEC.make(Split.HELDOUT, admissible=False)
    for name in TEMPLATES:
        info = env.reset(options={"task": f"heldout-{name}-003"})[1]
        assert (info["success"], info["progress"]) == (False, 0.0), name


@pytest.mark.parametrize(
    ("task_id", "harm"),
    [
        ("train-settings_switch-001", ["open_app Clock", "tap Alarms", "tap 2", "tap Enabled"]),
        ("train-notes_pin-002", ["open_app Tasks", "tap 2", "tap Done"]),
        ("train-several_finish_task-003", ["open_app Shop", "tap Cart", "tap 1", "tap More"]),
    ],
)
def test_harm_elsewhere_is_no_success_until_it_is_repaired(task_id: str, harm: list[str]) -> None:
    env = SPEC.make(Split.TRAIN)

    def end(repaired: bool) -> float:
        env.reset(options={"task": task_id})
        while (action := env.oracle()) is not None and action != "status complete":
            env.step(action)
        for action in harm:
            assert env.step(action)[4]["valid"]
        if repaired:
            while (action := env.oracle()) is not None:
                reward = env.step(action)[1]
                if action == "status complete":
                    return reward
        return env.step("status complete")[1]

    assert end(repaired=False) == 0.0
    assert end(repaired=True) == 1.0


def test_what_cannot_be_undone_leaves_the_expert_without_a_word() -> None:
    env = SPEC.make(Split.TRAIN)
    env.reset(options={"task": "train-notes_pin-000"})
    for action in ("open_app Shop", "tap 3", "tap Buy now", "type 1 Park Road", "type 1", "tap Place order"):
        assert env.step(action)[4]["valid"]
    assert env.oracle() is None


def test_answers_may_differ_in_case_and_blanks_only() -> None:
    env = SPEC.make(Split.TRAIN)
    for answer, reward in (("  {}. ", 1.0), ("It is {}", 0.0)):
        env.reset(options={"task": "train-notes_answer-000"})
        while not (action := env.oracle() or "").startswith("answer "):
            env.step(action)
        env.step(f"answer {answer.format(action.removeprefix('answer ').upper())}")
        assert env.step("status complete")[1] == reward


def test_the_validator_pairs_rows_sensibly() -> None:
    target = Target({1: ("a",), 2: ("b",)}, [("new",)])
    assert target.remaining({1: ("a",), 2: ("b",), 3: ("new",)}) == []
    assert target.remaining({1: ("a",), 2: ("x",), 9: ("new",)}) == [(2, ("x",), ("b",))]
    assert target.remaining({1: ("a",), 2: ("b",), 3: ("nwe",)}) == [(3, ("nwe",), ("new",))]
    assert target.remaining({1: ("a",), 4: ("b",)}) == [(0, None, ("new",))]
    assert target.remaining({1: ("a",), 2: ("b",), 3: ("new",), 4: ("z",)}) == [(4, ("z",), None)]


def test_splits_differ_in_templates_and_applications() -> None:
    kinds = {split: {task.task_type for task in SUITE.tasks(split)[: 2 * len(TEMPLATES)]} for split in Split}
    assert kinds[Split.TRAIN] == kinds[Split.SELECT] == {n for n, t in TEMPLATES.items() if not t.heldout}
    assert kinds[Split.HELDOUT] == set(TEMPLATES)
    groups = Counter(task.group for task in SUITE.tasks(Split.HELDOUT)[: len(TEMPLATES)])
    assert set(groups) == {"seen", "new_template", "new_app"}
    music = SPEC.make(Split.HELDOUT, apps=NEW_APPS).reset(seed=0)[0]
    assert "Music" in str(music)
    assert "Music" not in str(SPEC.make(Split.TRAIN).reset(seed=0)[0])
