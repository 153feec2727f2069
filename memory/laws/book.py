"""Laws together: how likely a next state is under all that apply, and how much each of them counts (OneLife).

Every fact is a variable o with two values. Experts speak about it: the laws whose needs are met and that change it, and
inertia, which says that everything stays as it is. OneLife's product: p(o = v | s, a) ∝ Π φ_i(o = v | s, a)^θ_i. With two
values that is a logistic regression on the experts' log-odds, so that the weights have one best choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentgym.core.errors import ConfigError
from agentgym.core.facts import Fact, Facts
from agentgym.memory.laws.forms import Form
from agentgym.memory.laws.law import Law
from agentgym.memory.laws.learning import Learned
from agentgym.memory.laws.watching import Change

L1 = 0.001
MOST = 10.0
FIRST = 0.5
"""OneLife's settings: weights in [0, 10] that begin at 0.5, with an L1 penalty of 0.001."""
_STEPS = 500


@dataclass(frozen=True)
class LawBook:
    """Laws, and how inert the world is: the probability that a fact stays as it is where no law speaks."""

    laws: tuple[Law, ...]
    inertia: float = 0.999
    inertia_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0.5 < self.inertia < 1 or self.inertia_weight < 0:
            raise ConfigError(
                f"Inertia is a probability from 0.5 to 1 with a weight from 0, got {self.inertia} and "
                f"{self.inertia_weight}."
            )

    def chances(self, before: Facts, action: str) -> dict[Fact, float]:
        """Return, for each fact that some law speaks about, the probability that it holds after the action."""
        logits = {
            fact: sum(self._odds(law) if holds else -self._odds(law) for law, holds in said)
            + (self._inert if fact in before else -self._inert)
            for fact, said in _spoken(self.laws, before, Form.of(action)).items()
        }
        return {fact: float(_sigmoid(np.float64(logit))) for fact, logit in logits.items()}

    def predict(self, before: Facts, action: str) -> Facts:
        """Return the likeliest next state."""
        chances = self.chances(before, action)
        return before - {fact for fact, p in chances.items() if p < 0.5} | {
            fact for fact, p in chances.items() if p >= 0.5
        }

    def log_likelihood(self, change: Change) -> float:
        """Return log p(after | before, action) in nats, over the facts that hold before or after or are spoken of."""
        chances = self.chances(change.before, change.action)
        total = 0.0
        for fact, p in chances.items():
            total += float(np.log(p if fact in change.after else 1 - p))
        stay = float(-np.logaddexp(0.0, -self._inert))
        leave = float(-np.logaddexp(0.0, self._inert))
        silent = (change.before | change.after) - chances.keys()
        changed = len(silent & (change.before ^ change.after))
        return total + changed * leave + (len(silent) - changed) * stay

    @property
    def _inert(self) -> float:
        return self.inertia_weight * float(np.log(self.inertia) - np.log1p(-self.inertia))

    def _odds(self, law: Law) -> float:
        return law.weight * _log_odds(law)


def fit(learned: Sequence[Learned], changes: Sequence[Change]) -> LawBook:
    """Return the laws with the weights that make the changes likeliest: min -Σ log p + 0.001 ‖θ‖₁, θ in [0, 10].

    OneLife minimises by L-BFGS; here projected gradient steps over the distinct cases do, whose number is small. Laws that
    weigh nothing are left out.
    """
    laws = [found.law for found in learned]
    inertia = _inertia(laws, changes)
    cases = Counter(case for change in changes for case in _cases(laws, change))
    if not cases:
        return LawBook(tuple(laws), inertia)
    odds = np.array([_log_odds(law) for law in laws] + [float(np.log(inertia) - np.log1p(-inertia))])
    rows = list(cases)
    sign_CE = np.zeros((len(rows), len(odds)))
    for place, (said, _) in enumerate(rows):
        for expert, holds in said:
            sign_CE[place, expert] += 1.0 if holds else -1.0
    held_C = np.array([1.0 if holds else 0.0 for _, holds in rows])
    count_C = np.array([cases[row] for row in rows], np.float64)
    weights = _minimise(sign_CE * odds, held_C, count_C)
    kept = tuple(
        replace(law, weight=float(weight))
        for law, weight in zip(laws, weights[:-1], strict=True)
        if weight > 0
    )
    return LawBook(kept, inertia, float(weights[-1]))


def _minimise(
    feature_CE: NDArray[np.float64], held_C: NDArray[np.float64], count_C: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights; C distinct cases, E experts. Accelerated projected gradient (FISTA), started at `FIRST`."""
    total = count_C.sum()
    curvature = float(np.linalg.norm(feature_CE * np.sqrt(count_C / total)[:, None], 2)) ** 2 / 4
    step = 1.0 / max(curvature, 1e-9)
    weights = momentum = np.full(feature_CE.shape[1], FIRST)
    inertia = 1.0
    for _ in range(_STEPS):
        error_C = count_C * (_sigmoid(feature_CE @ momentum) - held_C)
        gradient = (feature_CE.T @ error_C + L1) / total
        following = np.clip(momentum - step * gradient, 0.0, MOST)
        faster = (1 + np.sqrt(1 + 4 * inertia**2)) / 2
        momentum = following + (inertia - 1) / faster * (following - weights)
        weights, inertia = following, faster
    return weights


def _spoken(laws: Iterable[Law], before: Facts, form: Form) -> dict[Fact, list[tuple[Law, bool]]]:
    """Return what the laws that apply say of facts."""
    said: dict[Fact, list[tuple[Law, bool]]] = {}
    for law in laws:
        if law.action == form.text and law.holds_in(before, form):
            for fact, holds in law.changes(before, form):
                said.setdefault(fact, []).append((law, holds))
    return said


def _cases(laws: Sequence[Law], change: Change) -> Iterator[tuple[tuple[tuple[int, bool], ...], bool]]:
    """Yield, for each fact of a change, what each expert says (by its place; inertia is the last), and what was so."""
    place = {law: index for index, law in enumerate(laws)}
    spoken = _spoken(laws, change.before, Form.of(change.action))
    for fact in change.before | change.after | spoken.keys():
        said = [(place[law], holds) for law, holds in spoken.get(fact, ())]
        yield tuple(sorted([*said, (len(laws), fact in change.before)])), fact in change.after


def _inertia(laws: Sequence[Law], changes: Sequence[Change]) -> float:
    """Return how often facts stay of which no law speaks, with one change and one stay added."""
    stayed = moved = 1
    for change in changes:
        silent = (change.before | change.after) - _spoken(laws, change.before, Form.of(change.action)).keys()
        left = len(silent & (change.before ^ change.after))
        moved += left
        stayed += len(silent) - left
    return min(max(stayed / (stayed + moved), 0.501), 1 - 1e-6)


def _log_odds(law: Law) -> float:
    return float(np.log(law.probability) - np.log1p(-law.probability))


def _sigmoid(x: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)), np.float64)
