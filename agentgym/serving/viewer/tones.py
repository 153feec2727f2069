"""The classes by which figures are coloured: what they mean is in the style sheet."""

from __future__ import annotations

import math

_PROBABILITIES = (0.98, 0.9, 0.7, 0.4, 0.15, 0.04)
_ADVANTAGES = (0.02, 0.4, 1.0)
_LOG_RATIOS = (0.01, 0.05, 0.2)


def surprise(probability: float) -> str:
    """Return the class of a token's colour: from `t0` (sure) to `t6` (hardly to be expected)."""
    return f"t{sum(probability < bound for bound in _PROBABILITIES)}"


def tone(advantage: float | None) -> str:
    """Return the class of an advantage's colour: from `a-3` (much worse than its peers) to `a3`."""
    if advantage is None or not math.isfinite(advantage):
        return "a-none"
    return f"a{_level(advantage, _ADVANTAGES)}"


def ratio_tone(ratio: float) -> str:
    """Return the class of an importance ratio's colour: from `r-3` (much less likely by now) to `r3`."""
    if not math.isfinite(ratio) or ratio <= 0:
        return "r-none"
    return f"r{_level(math.log(ratio), _LOG_RATIOS)}"


def _level(value: float, bounds: tuple[float, ...]) -> int:
    size = sum(abs(value) > bound for bound in bounds)
    return size if value > 0 else -size
