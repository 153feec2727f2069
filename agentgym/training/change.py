"""How a step of an update changed the policy, for the schedules that ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from agentgym.core.errors import UsageError
from agentgym.training.packing import Row, rows_of
from agentgym.training.schedules.base import Step
from agentgym.training.step import Batch
from agentgym.training.tokens import Floats
from agentgym.training.turns import Indices, Values

ScoreNow: TypeAlias = Callable[[Sequence[Row]], Floats]
"""Returns the log-probabilities that the policy as it is now gives the trained tokens of rows, shape (N,)."""


class PolicyChange:
    """The change in the last step of `schedule` on `batch`."""

    def __init__(self, batch: Batch, schedule: str, score: ScoreNow) -> None:
        self._batch = batch
        self._schedule = schedule
        self._score = score
        self._measured = self._moved = False
        self._before_N: Floats = np.empty(0, np.float32)

    def note(self, step: Step, before_N: Floats, *, moved: bool) -> None:
        """Keep what the policy thought of a step's tokens before it, and whether the step changed anything."""
        self._measured, self._before_N, self._moved = step.measured, before_N, moved

    def log_ratios(self, rows: Indices) -> Values:
        """Return the mean change of the log-probability of each turn's tokens, shape (rows,)."""
        if not self._measured:
            raise UsageError(
                f"The schedule {self._schedule!r} must say of the steps it asks about that they are `measured`."
            )
        if not self._moved:
            return np.zeros(len(rows))
        turns, tokens = self._batch.turns, self._batch.tokens
        chosen_R = np.isin(np.arange(len(turns.turn_R)), rows)
        now_N = self._score(rows_of(self._batch.rows, chosen_R))
        scored = np.flatnonzero(chosen_R[tokens.turn_N])
        change = now_N[scored].astype(np.float64) - self._before_N[scored]
        change_R = np.bincount(tokens.turn_N[scored], change, len(turns.turn_R))
        return (change_R / np.maximum(turns.tokens_R, 1))[rows]
