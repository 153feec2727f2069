"""Scores are the official checker's: on its own right answers, and on answers made wrong in many ways."""

import itertools
import random
from importlib import import_module
from typing import Any

import pytest

from agentgym.core.env import Action
from agentgym.core.task import Split, Task
from agentgym.core.tool import ToolCall
from agentgym.environments.bfcl import SPEC, official
from agentgym.environments.bfcl.calls import write_call

SUITE = SPEC.suite()
TASKS = {task.id: task for split in Split for task in SUITE.tasks(split)}
ENTRIES = {entry["id"]: entry for category in official.CATEGORIES for entry in official.entries(category)}
ENVS = {split: SPEC.make(split) for split in Split}

Answer = list[list[ToolCall]]
"""The calls of each turn."""

_runs = itertools.count()


def right_answer(task: Task) -> Answer:
    return [list(turn) for turn in SUITE.problem(task).right_calls]


def our_score(task: Task, answer: Answer) -> float:
    """Play the calls of each turn, with a message after each."""
    env = ENVS[task.split]
    env.reset(options={"task": task})
    actions: list[Action] = [action for turn in answer for action in (*turn, "That is all.")]
    for action in actions:
        _, reward, terminated, truncated, _ = env.step(action)
        assert not truncated
        if terminated:
            return reward
    raise AssertionError("the episode has not ended with its last turn")


def official_score(task: Task, answer: Answer | list[list[str]]) -> float:
    """Give the official checker the calls as a model would have written them, under a name never used before."""
    checker: Any = import_module(
        "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker"
    ).multi_turn_checker
    written = [[[call if isinstance(call, str) else write_call(call)] for call in turn] for turn in answer]
    entry, model = ENTRIES[task.id], f"player {next(_runs)}".replace(" ", "_")
    return float(checker(written, entry["ground_truth"], entry, task.task_type, model)["valid"])


def test_all_right_answers_score_one() -> None:
    assert len(TASKS) == 800
    assert sum(our_score(task, right_answer(task)) for task in TASKS.values()) == 800


def test_the_oracle_plays_right_answers() -> None:
    for task in list(TASKS.values())[::16]:
        env = ENVS[task.split]
        env.reset(options={"task": task})
        while True:
            _, reward, over, _, info = env.step(env.oracle())
            if over:
                break
        assert (reward, info["success"], info["progress"], info["verdict"]) == (1.0, True, 1.0, "valid")
        assert env.oracle() is None


def drop_a_call(answer: Answer, rng: random.Random) -> None:
    turn = rng.choice([turn for turn in answer if turn])
    turn.pop(rng.randrange(len(turn)))


def swap_two_arguments(answer: Answer, rng: random.Random) -> None:
    calls = [(turn, at) for turn in answer for at, call in enumerate(turn) if len(call.arguments) > 1]
    if calls:
        turn, at = rng.choice(calls)
        one, other = rng.sample(sorted(turn[at].arguments), 2)
        arguments = dict(turn[at].arguments)
        arguments[one], arguments[other] = arguments[other], arguments[one]
        turn[at] = ToolCall(turn[at].name, arguments)


def change_an_argument(answer: Answer, rng: random.Random) -> None:
    calls = [(turn, at) for turn in answer for at, call in enumerate(turn) if call.arguments]
    if calls:
        turn, at = rng.choice(calls)
        name = rng.choice(sorted(turn[at].arguments))
        value = rng.choice([0, 7, -1.5, True, "", "other", ["other"], None])
        turn[at] = ToolCall(turn[at].name, {**turn[at].arguments, name: value})


def misname_an_argument(answer: Answer, rng: random.Random) -> None:
    turn = rng.choice([turn for turn in answer if turn])
    at = rng.randrange(len(turn))
    turn[at] = ToolCall(turn[at].name, {f"{name}_": value for name, value in turn[at].arguments.items()})


def repeat_a_call(answer: Answer, rng: random.Random) -> None:
    turn = rng.choice([turn for turn in answer if turn])
    rng.choice(answer).insert(0, rng.choice(turn))


def add_an_unknown_call(answer: Answer, rng: random.Random) -> None:
    rng.choice(answer).append(ToolCall("no_such_function", {"x": rng.randrange(9)}))


def only_unknown_calls(answer: Answer, rng: random.Random) -> None:
    rng.choice([turn for turn in answer if turn])[:] = [ToolCall("no_such_function", {})]


def exchange_two_calls(answer: Answer, rng: random.Random) -> None:
    turn = rng.choice([turn for turn in answer if turn])
    rng.shuffle(turn)


def move_calls_to_another_turn(answer: Answer, rng: random.Random) -> None:
    at = rng.randrange(len(answer))
    other = (at + rng.choice([-1, 1])) % len(answer)
    answer[other], answer[at] = [*answer[other], *answer[at]], []


def repeat_an_answered_turn(answer: Answer, rng: random.Random) -> None:
    """All of a turn's calls in the turn before it too."""
    at = rng.randrange(1, len(answer)) if len(answer) > 1 else 0
    answer[at - 1] = [*answer[at - 1], *answer[at]]


CORRUPTIONS = (
    drop_a_call,
    swap_two_arguments,
    change_an_argument,
    misname_an_argument,
    repeat_a_call,
    add_an_unknown_call,
    only_unknown_calls,
    exchange_two_calls,
    move_calls_to_another_turn,
    repeat_an_answered_turn,
)
HARMLESS = {add_an_unknown_call}
"""The official checker does not mind it."""


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda corrupt: corrupt.__name__)
def test_wrong_answers_score_as_the_official_checker_says(corrupt: Any) -> None:
    scores: list[float] = []
    for number, task in enumerate(list(TASKS.values())[::5]):
        answer = right_answer(task)
        corrupt(answer, random.Random(f"{corrupt.__name__} {number}"))
        scores.append(our_score(task, answer))
        assert scores[-1] == official_score(task, answer), f"{task.id}: {answer}"
    assert len(scores) == 160
    assert (sum(scores) == 160) == (corrupt in HARMLESS)


def test_right_answers_as_they_are_written_score_as_the_official_checker_says() -> None:
    for task in list(TASKS.values())[::4]:
        written: list[list[str]] = ENTRIES[task.id]["ground_truth"]
        assert official_score(task, written) == our_score(task, right_answer(task)) == 1.0
