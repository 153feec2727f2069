"""Task sampling: which tasks come, in what order and how often."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.task import Split, Task
from agentgym.core.trace import Episode
from agentgym.training.advantages.tracker import Tracker
from agentgym.training.task_sampling import Dynamic, Prioritised, Uniform, shuffled
from tests.training.conftest import EpisodeMaker

TASKS = [Task(f"t{n}", "test/Env-v0", Split.TRAIN, n) for n in range(10)]


@given(st.integers(1, 12), st.integers(0, 30), st.integers(1, 25), st.integers(0, 3))
def test_the_endless_order_has_everything_once_in_each_pass(
    size: int, first: int, count: int, seed: int
) -> None:
    items = list(range(size))
    whole = shuffled(items, 0, first + count + size, seed)
    assert shuffled(items, first, count, seed) == whole[first : first + count]
    for start in range(0, len(whole) - size + 1, size):
        assert sorted(whole[start : start + size]) == items


def test_dynamic_goes_on_where_it_stopped_whatever_the_iteration() -> None:
    part = Dynamic().with_memory({})
    first, second = part.draw(TASKS, 3, 0, 7), part.draw(TASKS, 3, 0, 7)
    third = part.draw(TASKS, 4, 5, 7)
    assert first + second + third == Uniform().draw(TASKS, 10, 0, 7)
    resumed = Dynamic().with_memory({"drawn": 6})
    assert resumed.draw(TASKS, 4, 5, 7) == third
    assert len(Dynamic(oversampling=3.0).with_memory({}).draw(TASKS, 3, 0, 7)) == 9


def test_dynamic_keeps_groups_whose_members_differ_in_success(make_episode: EpisodeMaker) -> None:
    lost, won = make_episode(0, score=0.0), make_episode(1, score=1.0)
    shaped = replace(lost, score=0.4)
    part = Dynamic()
    assert part.keeps([lost, won])
    assert not part.keeps([lost, lost])
    assert not part.keeps([won, won])
    assert not part.keeps([lost, shaped]), "success decides, not the score"
    assert part.keeps([lost]), "a lone member is kept, as in the released code"
    assert not part.keeps([])


def test_prioritised_draws_open_tasks_most_often(make_episode: EpisodeMaker) -> None:
    part = Prioritised(forget=1.0).with_memory({})
    part.draw(TASKS, 10, 0, 0)
    won, lost = make_episode(1, score=1.0), make_episode(2)
    for _ in range(20):
        for n, task in enumerate(TASKS):
            outcome = won if n < 4 else lost if n < 8 else (won, lost)[_ % 2]
            part.take_in([replace(outcome, task=task)])
    drawn = Counter(part.draw(TASKS, 1, iteration, 3)[0].id for iteration in range(4000))
    settled = math.sqrt(20.5 * 0.5) / 21 + 0.05
    weights = [settled] * 8 + [0.55] * 2
    expected = 4000 * np.array(weights) / sum(weights)
    found = np.array([drawn[task.id] for task in TASKS])
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max())


def test_prioritised_takes_the_rates_of_an_advantage_that_tracks_them() -> None:
    tracker = Tracker().with_memory({})
    for _ in range(50):
        tracker.take_in("t0", [1.0], 0.0)
    part = Prioritised().with_memory({})
    part.draw(TASKS, 10, 0, 0)
    drawn = Counter(part.draw(TASKS, 1, iteration, 3, tracker.priority)[0].id for iteration in range(2000))
    others = sum(count for task, count in drawn.items() if task != "t0") / 9
    assert drawn["t0"] / others == pytest.approx(tracker.priority("t0") / tracker.priority("t1"), rel=0.3)


def test_prioritised_draws_none_twice_before_all_have_come_and_repeats_itself() -> None:
    part = Prioritised().with_memory({})
    drawn = part.draw(TASKS, 25, 4, 1)
    assert Counter(task.id for task in drawn[:10]) == Counter(task.id for task in TASKS)
    assert Counter(task.id for task in drawn[10:20]) == Counter(task.id for task in TASKS)
    assert len({task.id for task in drawn[20:]}) == 5
    assert part.draw(TASKS, 25, 4, 1) == drawn
    assert Prioritised().with_memory(dict(part.memory)).draw(TASKS, 5, 5, 1) == part.draw(TASKS, 5, 5, 1)


def test_prioritised_forgets_by_its_factor(make_episode: EpisodeMaker) -> None:
    part = Prioritised(forget=0.5).with_memory({})
    part.draw(TASKS, 10, 0, 0)
    episodes = [
        replace(make_episode(n, score=score), task=TASKS[2]) for n, score in enumerate((1.0, 0.0, 1.0))
    ]
    part.take_in(episodes)
    assert part.memory["tasks"]["t2"] == [2, 0.25 + 2, 0.25 + 1]
    assert part.memory["tasks"]["t3"] == [3, 0.5, 0.5]


def test_a_group_without_a_score_counts_for_nothing(make_episode: EpisodeMaker) -> None:
    part = Prioritised().with_memory({})
    part.draw(TASKS, 10, 0, 0)
    before = {task: list(known) for task, known in part.memory["tasks"].items()}
    part.take_in([])
    assert part.memory["tasks"] == before


def test_episodes_of_tasks_never_drawn_count_for_nothing(make_episode: EpisodeMaker) -> None:
    part = Prioritised().with_memory({})
    stranger: Episode = replace(make_episode(0, score=1.0), task=Task("x", "test/Env-v0", Split.TRAIN))
    part.take_in([stranger])
    assert part.memory.get("tasks", {}) == {}
