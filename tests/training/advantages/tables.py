"""Credit tables to test with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentgym.training.turns import TurnTable, Values, codes


def table(
    group: Sequence[str],
    trajectory: Sequence[str],
    state: Sequence[str],
    reward: Sequence[float],
    valid: Sequence[int] | None = None,
    tokens: Sequence[int] | None = None,
) -> TurnTable:
    """One entry per turn; turns of a trajectory stand together."""
    trajectory_R, names = codes(trajectory), list(trajectory)
    first_T = [names.index(name) for name in dict.fromkeys(names)]
    return TurnTable(
        trajectory_R=trajectory_R,
        turn_R=np.array([row - names.index(name) for row, name in enumerate(names)], np.int64),
        state_R=codes(zip(group, state, strict=True)),
        reward_R=np.array(reward, np.float64),
        valid_R=np.array(valid or [1] * len(names), np.bool_),
        tokens_R=np.array(tokens or [1] * len(names), np.int64),
        group_T=codes(group[row] for row in first_T),
        score_T=np.bincount(trajectory_R, np.array(reward, np.float64)).astype(np.float64),
        task_T=[group[row] for row in first_T],
    )


def one_turn_each(group: str, reward: Sequence[float], tokens: Sequence[int] | None = None) -> TurnTable:
    """One trajectory of one turn for each letter of `group`."""
    names = [str(number) for number in range(len(group))]
    return table(list(group), names, ["s"] * len(group), reward, tokens=tokens)


WORKED = table(
    "g" * 13,
    "0001111222333",
    ["s0", "s1", "s2", "s0", "s1", "s3", "s2", "s0", "s4", "s1", "s0", "s4", "s5"],
    [0, 0, 10, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0],
)
"""Two successes and two failures over shared states: the example GiGPO and HGPO are worked out on."""


@st.composite
def tables(draw: st.DrawFn, rewards: Sequence[float] = (0.0, 0.1, 0.5, 1.0), last: bool = False) -> TurnTable:
    """Random tables of up to two groups; with `last`, only last turns are rewarded."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    trajectory = [str(t) for t, length in enumerate(lengths) for _ in range(length)]
    group_of = [draw(st.sampled_from("ab")) for _ in lengths]
    count = len(trajectory)
    reward = draw(st.lists(st.sampled_from(list(rewards)), min_size=count, max_size=count))
    if last:
        ends = [row + 1 == count or trajectory[row + 1] != trajectory[row] for row in range(count)]
        reward = [value if end else 0.0 for value, end in zip(reward, ends, strict=True)]
    return table(
        [group_of[int(name)] for name in trajectory],
        trajectory,
        draw(st.lists(st.sampled_from("xyz"), min_size=count, max_size=count)),
        reward,
        tokens=draw(st.lists(st.integers(1, 4), min_size=count, max_size=count)),
    )


def reordered(turns: TurnTable, order_T: NDArray[np.int64]) -> tuple[TurnTable, NDArray[np.int64]]:
    """Return the table with its trajectories in another order, and the old row of each new one."""
    rows = np.concatenate([np.flatnonzero(turns.trajectory_R == t) for t in order_T])
    columns: dict[str, Any] = {}
    for column in fields(turns):
        value = getattr(turns, column.name)
        if isinstance(value, np.ndarray):
            columns[column.name] = value[rows if column.name.endswith("_R") else order_T]
    columns["trajectory_R"] = codes(columns["trajectory_R"].tolist())
    columns["state_R"] = codes(columns["state_R"].tolist())
    columns["group_T"] = codes(columns["group_T"].tolist())
    return replace(turns, **columns, task_T=[turns.task_T[t] for t in order_T]), rows


def by_trajectory(turns: TurnTable, advantage_R: Values) -> Values:
    """Return each trajectory's first value."""
    return advantage_R[turns.turn_R == 0]
