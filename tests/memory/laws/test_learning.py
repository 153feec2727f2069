"""Learning laws from made-up changes whose rules are known, and what a law is as data."""

from __future__ import annotations

import random
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.facts import Fact, Facts
from agentgym.memory.laws import book as books
from agentgym.memory.laws.book import LawBook, fit
from agentgym.memory.laws.forms import Form
from agentgym.memory.laws.law import Law, Need
from agentgym.memory.laws.learning import learn
from agentgym.memory.laws.watching import Change


def facts(*texts: str) -> Facts:
    """`on lamp 1` is ("on", "lamp 1")."""
    return frozenset(tuple(text.split(": ")) for text in texts)


def presses(count: int, works: float, seed: int = 0) -> list[Change]:
    """Pressing a button lights its lamp where there is power, if luck has it; otherwise nothing."""
    rng = random.Random(seed)
    found: list[Change] = []
    for _ in range(count):
        button = f"button {rng.randrange(3)}"
        before: set[Fact] = {("is up", f"button {n}") for n in range(3)}
        power = rng.random() < 0.5
        if power:
            before.add(("power",))
        lit = power and rng.random() < works
        after = before - {("is up", button)} | {("lit", button)} if lit else before
        found.append(Change(frozenset(before), f"press {button}", frozenset(after)))
    return found


def test_effect_and_needs_are_found_and_said_in_words() -> None:
    (found,) = learn(presses(60, 1.0))
    law = found.law
    assert law.action == "press ?0"
    assert law.needs == (Need(("is up", "?0")), Need(("power",)))
    assert (law.adds, law.removes) == ((("lit", "?0"),), (("is up", "?0"),))
    assert str(law) == "press X\nNeeds: is up X; power.\nThen: lit X; not is up X."
    assert (found.contradicted, law.probability > 0.95) == ((), True)


def test_luck_is_a_probability() -> None:
    changes = presses(400, 0.7)
    (found,) = learn(changes)
    assert found.law.probability == pytest.approx(0.7, abs=0.08)
    assert "It works" in str(found.law)
    unlit, power = facts("is up: button 0", "power"), ("lit", "button 0")
    assert fit([found], changes).chances(unlit, "press button 0")[power] == pytest.approx(0.7, abs=0.08)
    assert fit([found], changes).chances(facts("is up: button 0"), "press button 0") == {}


def test_one_sight_is_no_law_and_nothing_is_nothing() -> None:
    (once,) = [each for each in presses(60, 1.0) if each.before != each.after][:1]
    assert learn([once]) == []
    assert learn([]) == []
    assert fit([], []) == LawBook((), 0.501)


def test_what_the_action_does_not_name_ends_by_a_star() -> None:
    def go(a: str, b: str) -> Change:
        return Change(facts(f"at: {a}", "warm"), f"go to {b}", facts(f"at: {b}", "warm"))

    found = learn([go("desk 1", "bed 1"), go("bed 1", "desk 1"), go("desk 1", "shelf 2")])
    book = fit(found, [go("desk 1", "bed 1")] * 20)
    assert book.predict(facts("at: sofa 9", "warm"), "go to bed 4") == facts("at: bed 4", "warm")
    assert book.predict(facts("at: bed 4", "warm"), "sit down") == facts("at: bed 4", "warm")


def test_weights_are_the_best_there_are() -> None:
    """Against scipy's L-BFGS-B on the same objective."""
    rng = np.random.default_rng(0)
    feature_CE, held_C, count_C = (
        rng.normal(size=(40, 5)),
        rng.integers(0, 2, 40).astype(float),
        rng.integers(1, 9, 40).astype(float),
    )

    def loss(weights: NDArray[np.float64]) -> float:
        logit_C = feature_CE @ weights
        nll_C = np.logaddexp(0.0, logit_C) - held_C * logit_C
        return float(count_C @ nll_C + books.L1 * np.abs(weights).sum())

    best = cast(Any, optimize).minimize(
        loss, np.full(5, books.FIRST), method="L-BFGS-B", bounds=[(0, books.MOST)] * 5
    )
    ours = books._minimise(feature_CE, held_C, count_C)  # pyright: ignore[reportPrivateUsage]
    assert loss(ours) == pytest.approx(best.fun, rel=1e-5)
    assert ours.min() >= 0.0


def test_a_law_is_data_and_comes_back_as_it_was() -> None:
    (found,) = learn(presses(60, 0.8))
    assert Law.from_json(found.law.to_json()) == found.law


WRONG: list[dict[str, Any]] = [
    {"needs": "x"}, {"adds": [["in", 3]]}, {"adds": [[]]}, {"probability": 1.0}, {"probability": "often"},
    {"weight": -1.0}, {"removes": None}, {"needs": [[["in"], True, 1]]},
]  # fmt: skip


@pytest.mark.parametrize("change", WRONG)
def test_what_is_no_law_is_refused(change: dict[str, Any]) -> None:
    (found,) = learn(presses(60, 1.0))
    with pytest.raises(UsageError, match="law"):
        Law.from_json({**found.law.to_json(), **change})
    with pytest.raises(UsageError, match="Not a law"):
        Law.from_json({})


def test_an_inert_world_has_a_probability() -> None:
    with pytest.raises(ConfigError, match="Inertia is a probability"):
        LawBook((), inertia=0.2)


def test_the_likelihood_is_that_of_the_facts() -> None:
    law = Law("press ?0", (Need(("power",)),), (("lit", "?0"),), (), 0.8, weight=1.0)
    book = LawBook((law,), inertia=0.9, inertia_weight=1.0)
    before = facts("power")
    odds = np.log(0.8 / 0.2) - np.log(0.9 / 0.1)  # the law says lit, inertia says not
    lit = 1 / (1 + np.exp(-odds))
    assert book.chances(before, "press button 1") == pytest.approx({("lit", "button 1"): lit})
    happened = Change(before, "press button 1", facts("power", "lit: button 1"))
    assert book.log_likelihood(happened) == pytest.approx(np.log(lit) + np.log(0.9))
    assert book.log_likelihood(happened._replace(after=facts())) == pytest.approx(
        np.log(1 - lit) + np.log(0.1)
    )
    assert Form.of("press button 1").text == law.action
