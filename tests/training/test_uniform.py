"""Uniform sampling: every task once in each pass over the tasks, whatever the size of an iteration."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.task import Split, Task
from agentgym.training.task_sampling import Uniform


@given(tasks=st.integers(1, 9), count=st.integers(1, 12), passes=st.integers(1, 4), seed=st.integers(0, 99))
def test_every_pass_covers_every_task_once(tasks: int, count: int, passes: int, seed: int) -> None:
    suite = [Task(str(number), "test/Env-v0", Split.TRAIN) for number in range(tasks)]
    iterations = -(-passes * tasks // count)
    drawn = [
        task.id for iteration in range(iterations) for task in Uniform().draw(suite, count, iteration, seed)
    ]
    assert len(drawn) == iterations * count
    for start in range(0, passes * tasks, tasks):
        assert Counter(drawn[start : start + tasks]) == Counter(task.id for task in suite)


def test_the_order_follows_the_seed_and_changes_from_pass_to_pass() -> None:
    suite = [Task(str(number), "test/Env-v0", Split.TRAIN) for number in range(20)]
    first, second = (Uniform().draw(suite, 20, iteration, 0) for iteration in (0, 1))
    assert first == Uniform().draw(suite, 20, 0, 0)
    assert first != second
    assert first != Uniform().draw(suite, 20, 0, 1)
