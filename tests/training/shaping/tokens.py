"""Token tables to test with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentgym.training.tokens import Floats, TokenTable
from agentgym.training.turns import TurnTable


def tokens_of(
    turns: TurnTable,
    *,
    sampler: Sequence[float] | None = None,
    proximal: Sequence[float] | None = None,
    entropy: Sequence[float] | None = None,
    reference: Sequence[float] | None = None,
) -> TokenTable:
    """The trained tokens of a credit table, with columns as they are given."""
    turn_N = np.repeat(np.arange(len(turns.turn_R)), turns.tokens_R)
    count, start_R = len(turn_N), np.cumsum(turns.tokens_R) - turns.tokens_R
    return TokenTable(
        turn_N=turn_N,
        position_N=np.arange(count) - start_R[turn_N],
        sampler_logp_N=_column(sampler if sampler is not None else [-1.0] * count),
        guided_N=np.zeros(count, np.bool_),
        proximal_logp_N=None if proximal is None else _column(proximal),
        entropy_N=None if entropy is None else _column(entropy),
        reference_logp_N=None if reference is None else _column(reference),
    )


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, np.float32)
