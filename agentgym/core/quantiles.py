"""Quantiles of Student's t, from the standard library and no further package."""

from __future__ import annotations

import math
from functools import cache
from itertools import count

from agentgym.core.errors import UsageError

_TINY = 1e-300
_PRECISION = 1e-15


@cache
def t_quantile(probability: float, df: float) -> float:
    """Return the x with P(T <= x) = `probability` for T of Student's t with `df` degrees of freedom.

    By bisection of the tail P(T > x) = 1/2 I(df / (df + x^2); df/2, 1/2) (Abramowitz and Stegun, 26.7.1),
    to 9 digits for probabilities outside (0.49, 0.51). Raises `UsageError` outside 0 < probability < 1, df > 0.

    >>> round(t_quantile(0.975, 10), 4)
    2.2281
    """
    if not 0 < probability < 1 or not df > 0:
        raise UsageError(f"t_quantile needs a probability inside (0, 1) and df > 0, got {probability}, {df}.")
    tail = min(probability, 1 - probability)
    low, high = 0.0, 1.0
    while _tail(high, df) > tail:
        low, high = high, 2 * high
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if _tail(middle, df) > tail:
            low = middle
        else:
            high = middle
    return math.copysign((low + high) / 2, probability - 0.5)


def _tail(x: float, df: float) -> float:
    """P(T > x) for x >= 0."""
    return 0.5 * incomplete_beta(df / (df + x * x), df / 2, 0.5)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I(x; a, b) for 0 <= x <= 1 and a, b > 0.

    By its continued fraction (DLMF 8.17.22) with Lentz's method, on the side where it converges fast.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log_front) / a * _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d1 / (1 + d2 / ...)); `upper` and `lower` are ratios of successive convergents."""
    value = upper = 1.0
    lower = 0.0
    for step in count(1):
        half = step // 2
        if step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        lower = 1 / _nonzero(1 + term * lower)
        upper = _nonzero(1 + term / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < _PRECISION:
            break
    return 1 / value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
