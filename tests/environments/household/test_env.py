import json
import random
import warnings
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import agentgym
from agentgym.core.errors import StepError, TaskError, UnknownNameError, UsageError
from agentgym.core.task import Split, Task
from agentgym.environments.household import SPEC
from agentgym.environments.household.env import HouseholdEnv

SUITE = SPEC.suite()


def _env(split: Split = Split.TRAIN, **options: Any) -> HouseholdEnv:
    return SPEC.make(split, **options)


@pytest.mark.parametrize("split", ["train", "select", "heldout"])
@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_gymnasiums_own_check_passes_without_a_warning(split: str, render_mode: str | None) -> None:
    env = agentgym.make("agentgym/Household-v0", split=split, render_mode=render_mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)


def test_gymnasium_can_make_another_one_from_the_spec() -> None:
    env = agentgym.make("household", split="select", difficulty="hard")
    assert env.spec is not None
    other = gymnasium.make(env.spec)
    assert isinstance(other.unwrapped, HouseholdEnv)
    assert other.reset(seed=5) == env.reset(seed=5)


def test_vector_environments_play() -> None:
    envs = agentgym.make_vec("household", 3, split="train", difficulty="easy")
    texts, _ = envs.reset(seed=1)
    assert all("Your task is to" in text for text in texts)
    texts, rewards, *_ = envs.step(("look", "inventory", "nonsense"))
    assert list(texts)[1:] == ["You are not carrying anything.", "Nothing happens."]
    assert list(rewards) == [0.0, 0.0, 0.0]
    envs.close()


def test_an_episode_from_opening_to_reward() -> None:
    env = _env(difficulty="easy")
    observation, info = env.reset(seed=3)
    assert observation.startswith("-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room.")
    assert observation.endswith(f"Your task is to: {SUITE.world(env.task).instruction}.")
    assert info["success"] is False
    assert info["valid"] is True
    assert info["task_id"] == env.task.id
    total, progress = 0.0, info["progress"]
    while (command := env.oracle()) is not None:
        assert command in info["admissible_actions"]
        observation, reward, terminated, truncated, info = env.step(command)
        total += reward
        assert info["valid"] is True
        assert 0.0 <= progress <= 1.0
        progress = info["progress"]
        assert terminated is info["success"] is (reward == 1.0)
        assert truncated is False
    assert total == progress == 1.0
    assert info["success"] is True


def test_the_same_seed_plays_the_same_task() -> None:
    one, other = _env(), _env()
    assert one.reset(seed=11) == other.reset(seed=11)
    assert one.reset() == other.reset()
    assert {one.reset(seed=s)[1]["task_id"] for s in range(30)} != {one.reset(seed=0)[1]["task_id"]}


def test_a_task_can_be_given_itself_or_by_id() -> None:
    env = _env(Split.SELECT)
    task = env.suite.tasks("select")[17]
    by_task = env.reset(seed=1, options={"task": task})
    assert env.task == task
    assert env.reset(seed=2, options={"task": task.id}) == by_task
    assert env.reset(options={"task": Task.from_json(json.loads(json.dumps(task.to_json())))}) == by_task


def test_tasks_that_do_not_fit_are_refused() -> None:
    env = _env()
    heldout = SUITE.tasks("heldout")[0]
    foreign = Task(id="x", env_id="agentgym/Shop-v0", split=Split.TRAIN)
    with pytest.raises(TaskError, match=r"belongs to split 'heldout'.*split='heldout'"):
        env.reset(options={"task": heldout})
    with pytest.raises(TaskError, match="agentgym/Shop-v0"):
        env.reset(options={"task": foreign})
    with pytest.raises(TaskError, match="Did you mean 'train-easy-heat-0000'"):
        env.reset(options={"task": "train-easy-heet-0000"})
    with pytest.raises(TaskError, match="int"):
        env.reset(options={"task": 3})
    with pytest.raises(UsageError, match="Did you mean 'task'"):
        env.reset(options={"tsak": heldout})


def test_a_refused_task_leaves_the_episode_as_it_was() -> None:
    env = _env()
    env.reset(seed=1)
    task, key = env.task, env.state_key()
    with pytest.raises(TaskError):
        env.reset(options={"task": "nonsense"})
    assert (env.task, env.state_key()) == (task, key)


def test_wrong_order_is_refused() -> None:
    env = _env(difficulty="easy")
    for call in (lambda: env.step("look"), env.state_key, env.snapshot, env.oracle, lambda: env.task):
        with pytest.raises(StepError, match="call reset"):
            call()
    env.reset(seed=1)
    while (command := env.oracle()) is not None:
        env.step(command)
    with pytest.raises(StepError, match=r"over after \d+ steps"):
        env.step("look")
    env.reset(seed=1)
    env.step("look")


def test_an_action_that_is_no_text_is_refused() -> None:
    env = _env()
    env.reset(seed=1)
    with pytest.raises(UsageError, match="text command"):
        env.step(3)


def test_truncates_after_the_step_limit_unless_solved_then() -> None:
    env = _env(max_steps=3, difficulty="easy")
    env.reset(seed=1)
    assert [env.step("look")[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    with pytest.raises(StepError):
        env.step("look")
    env = _env(difficulty="easy")
    env.reset(seed=1)
    length = 0
    while (command := env.oracle()) is not None:
        env.step(command)
        length += 1
    env = _env(max_steps=length, difficulty="easy")
    env.reset(seed=1)
    assert [env.step(env.oracle())[1:4] for _ in range(length)][-1] == (1.0, True, False)


def test_a_useless_command_changes_nothing() -> None:
    env = _env()
    env.reset(seed=4)
    key = env.state_key()
    observation, reward, terminated, _, info = env.step("fly to the moon")
    assert (observation, reward, terminated, info["valid"]) == ("Nothing happens.", 0.0, False, False)
    assert env.state_key() == key


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_is_taken(action: str) -> None:
    env = _env(difficulty="easy")
    env.reset(seed=4)
    assert env.step(action)[0] in env.observation_space


def test_admissible_actions_can_be_left_out() -> None:
    env = _env(admissible=False)
    _, info = env.reset(seed=1)
    assert "admissible_actions" not in info
    assert "admissible_actions" not in env.step("look")[4]


@given(seed=st.integers(0, 10_000), steps=st.integers(0, 30), more=st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_a_restored_snapshot_plays_on_as_the_original(seed: int, steps: int, more: int) -> None:
    env, other = _env(difficulty="easy"), _env(difficulty="easy")
    rng = random.Random(seed)
    _, info = env.reset(seed=seed)
    for _ in range(steps):
        _, _, terminated, _, info = env.step(rng.choice(info["admissible_actions"]))
        if terminated:
            return
    saved, key, task = env.snapshot(), env.state_key(), env.task
    actions = [rng.choice(info["admissible_actions"]) for _ in range(more)]

    def play(one: HouseholdEnv) -> list[object]:
        return [one.step(action) for action in actions if one.oracle() is not None]

    expected = play(env)
    for one in (env, other):
        one.reset(seed=seed + 1)
        one.restore(saved)
        assert (one.task, one.state_key(), one.snapshot()) == (task, key, saved)
        assert play(one) == expected


def test_a_snapshot_knows_the_step_limit_and_the_end() -> None:
    env = _env(max_steps=3)
    env.reset(seed=1)
    env.step("look")
    saved = env.snapshot()
    env.step("look")
    env.step("look")
    ended = env.snapshot()
    env.restore(saved)
    assert [env.step("look")[3] for _ in range(2)] == [False, True]
    env.reset(seed=1)
    env.restore(ended)
    with pytest.raises(StepError):
        env.step("look")


def test_foreign_and_damaged_snapshots_are_refused() -> None:
    env = _env()
    env.reset(seed=1)
    saved = env.snapshot()
    for seed in (1, 2):  # while playing the same task, and another one
        env.reset(seed=seed)
        before = env.snapshot()
        flipped = [saved[:i] + bytes([saved[i] ^ 1]) + saved[i + 1 :] for i in range(0, len(saved), 7)]
        for wrong in (b"", b"something else", saved[:24], saved[:40], saved[:-1], saved + b"x", *flipped):
            with pytest.raises(UsageError):
                env.restore(wrong)
            assert env.snapshot() == before
    with pytest.raises(TaskError, match="split 'train'"):
        _env(Split.SELECT).restore(saved)


def test_state_keys_tell_states_apart_and_nothing_else() -> None:
    env = _env(difficulty="easy")
    _, info = env.reset(seed=2)
    start = env.state_key()
    there, elsewhere = [a for a in info["admissible_actions"] if a.startswith("go to")][:2]
    env.step(there)
    first = env.state_key()
    env.step("look")
    env.step(elsewhere)
    assert len({start, first, env.state_key()}) == 3
    env.step(there)
    assert env.state_key() == first
    env.reset(seed=3)
    assert env.state_key() != start


def test_render_tells_the_present_state() -> None:
    env = _env(render_mode="ansi", difficulty="easy")
    env.reset(seed=3)
    key = env.state_key()
    text = env.render()
    assert text is not None
    assert text.startswith(f"Task: {SUITE.world(env.task).instruction}. Step 0.")
    assert "You are in the middle of a room" in text
    assert "not carrying anything" in text
    assert env.state_key() == key
    assert _env().render() is None


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="max_steps"):
        _env(max_steps=0)
    with pytest.raises(UsageError, match="ansi"):
        _env(render_mode="rgb_array")
    with pytest.raises(UnknownNameError, match="Did you mean 'easy'"):
        _env(difficulty="easi")
    with pytest.raises(UsageError, match="dificulty"):
        agentgym.make("household", dificulty="easy")


def test_environments_of_the_same_options_share_their_suite() -> None:
    assert _env(difficulty="easy").suite is _env(Split.SELECT, difficulty="easy").suite
    assert _env(task_types=["heat"]).suite is not _env(task_types=["cool"]).suite
