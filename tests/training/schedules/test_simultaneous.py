"""The simultaneous schedule: every trajectory once in each epoch, and whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.schedules.base import Simultaneous
from agentgym.training.turns import TurnTable
from tests.golden.toy import toy_episode


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    epochs=st.integers(1, 3),
    minibatches=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_minibatches_partition_the_trajectories(
    lengths: list[int], epochs: int, minibatches: int, seed: int
) -> None:
    played = [toy_episode(number, [[0]] * turns, "g", 0.0) for number, turns in enumerate(lengths)]
    table = TurnTable.from_episodes(played)
    taken = list(
        Simultaneous(epochs=epochs, minibatches=minibatches).steps(
            table, seed, lambda rows: np.zeros(len(rows))
        )
    )
    parts = min(minibatches, len(lengths))
    assert len(taken) == epochs * parts
    for epoch in range(epochs):
        steps = taken[epoch * parts : (epoch + 1) * parts]
        rows = np.concatenate([step.rows for step in steps])
        assert sorted(rows.tolist()) == list(range(sum(lengths)))
        owners: list[set[int]] = [set(table.trajectory_R[step.rows].tolist()) for step in steps]
        assert sum(map(len, owners)) == len(set[int]().union(*owners)), "a trajectory is in two mini-batches"
        assert all(step.factor_R is None and not step.fresh for step in steps)


def test_every_epoch_shuffles_anew_and_the_seed_decides() -> None:
    table = TurnTable.from_episodes([toy_episode(number, [[0]], "g", 0.0) for number in range(20)])

    def first_rows(seed: int) -> list[list[int]]:
        steps = Simultaneous(epochs=2, minibatches=2).steps(table, seed, lambda rows: np.zeros(len(rows)))
        return [step.rows.tolist() for step in steps]

    assert first_rows(0) == first_rows(0)
    assert first_rows(0) != first_rows(1)
    assert first_rows(0)[:2] != first_rows(0)[2:]
