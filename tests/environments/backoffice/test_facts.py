from __future__ import annotations

import pytest

from agentgym.environments.backoffice.calculator import calculate
from agentgym.environments.backoffice.desk import Desk, Refused, cents, money
from agentgym.environments.backoffice.facts import told, values


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("The refund is 42.5.", "42.5"),
        ("You will get $42.50, by card.", "42.5"),
        ("EUR 1,042.50 it is", "1042.5"),
        ("(that is 42)", "42"),
        ("It leaves at 9:30.", "09:30"),
        ("order o417 is on its way", "O417"),
        ("on 2026-03-31, I think", "2026-03-31"),
        ("Your code: **1207**", "1207"),
    ],
)
def test_facts_are_heard_however_they_are_put(message: str, wanted: str) -> None:
    assert told(message, [wanted]) == {wanted}


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("142.5", "42.5"),
        ("42", "42.5"),
        ("O4170", "O417"),
        ("forty-two", "42"),
        ("4 2", "42"),
        ("42-5", "42"),
    ],
)
def test_other_figures_are_other_facts(message: str, wanted: str) -> None:
    assert not told(message, [wanted])


def test_who_lists_everything_has_told_nothing() -> None:
    assert told(" ".join(map(str, range(12))), ["7"]) == {"7"}
    assert not told(" ".join(map(str, range(13))), ["7"])
    assert values("nothing at all") == set()


def test_amounts_are_exact() -> None:
    assert [money(each) for each in (0, 1200, 1250, 1207)] == ["0", "12", "12.5", "12.07"]
    assert [cents(float(money(each))) for each in range(0, 30000, 7)] == list(range(0, 30000, 7))
    for wrong in (-1, 0.001, 12.345):
        with pytest.raises(Refused, match="two decimals"):
            cents(wrong)


@pytest.mark.parametrize(
    ("expression", "value"), [("42.50 * 0.85", 36.12), ("-(1 + 2) / 4", -0.75), (" 7 ", 7)]
)
def test_the_calculator_calculates(expression: str, value: float) -> None:
    assert calculate.run(Desk(), expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "2 ** 9",
        "abs(1)",
        "1 / 0",
        "x",
        "(" * 150,
        "1" * 500,
        "'a' * 9",
        "True + 1",
        "1e999",
        "1e308 * 10 - 1e308 * 10",
    ],
)
def test_and_nothing_else(expression: str) -> None:
    with pytest.raises(Refused, match="The argument 'expression'"):
        calculate.run(Desk(), expression)
