"""From other implementations' names of settings to ours."""

from __future__ import annotations

from agentgym.training.losses.aggregations import Aggregation, Constant, SeqMeanTokenSum, TokenMean, TurnMean


def aggregation(mode: str, width: int) -> Aggregation:
    """Return verl's aggregation over rows of `width` places; a row is a turn."""
    if mode == "token-mean":
        return TokenMean()
    if mode == "seq-mean-token-mean":
        return TurnMean()
    if mode == "seq-mean-token-sum":
        return SeqMeanTokenSum(over="turns")
    if mode == "seq-mean-token-sum-norm":
        return Constant(tokens=width).as_published()
    raise AssertionError(f"no aggregation for the mode {mode!r}")
