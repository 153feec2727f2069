import itertools
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import UsageError
from agentgym.core.quantiles import incomplete_beta, t_quantile

student: Any = cast(Any, stats).t
betainc: Any = cast(Any, special).betainc


@pytest.mark.parametrize("df", [0.5, 1, 2, 3, 7, 30.5, 99, 499, 1e4, 1e6])
def test_t_quantiles_agree_with_scipy(df: float) -> None:
    for probability in (1e-6, 0.001, 0.025, 0.3, 0.7, 0.975, 0.995, 0.99999):
        assert t_quantile(probability, df) == pytest.approx(student.ppf(probability, df), rel=1e-9)


def test_incomplete_beta_agrees_with_scipy() -> None:
    xs, sizes = (0.0, 1e-9, 0.01, 0.3, 0.5, 0.9, 0.999999, 1.0), (0.5, 1.0, 3.0, 50.0, 1000.0)
    for x, a, b in itertools.product(xs, sizes, sizes):
        assert incomplete_beta(x, a, b) == pytest.approx(float(betainc(a, b, x)), abs=1e-11)


@given(st.floats(0.001, 0.499), st.floats(0.001, 0.499), st.floats(0.5, 1e5))
def test_t_quantiles_are_symmetric_and_grow(first: float, second: float, df: float) -> None:
    assert t_quantile(first, df) == pytest.approx(-t_quantile(1 - first, df), rel=1e-9)
    low, high = sorted([first, second])
    assert t_quantile(low, df) <= t_quantile(high, df) + 1e-9


@pytest.mark.parametrize(("probability", "df"), [(0.0, 3), (1.0, 3), (0.5, 0), (0.5, -1), (float("nan"), 3)])
def test_what_has_no_quantile_is_refused(probability: float, df: float) -> None:
    with pytest.raises(UsageError, match="needs a probability inside"):
        t_quantile(probability, df)
