"""`CaseSelector`: a small network that learns which cases help with which situation (Memento, arXiv 2508.16153).

Q(s, c) is the probability of success in situation s with case c shown; it is trained by the cross-entropy of equation
15 and selects by equations 7 and 16. In the data published with the paper all cases of a query carry one label, so that
it can teach which queries are hard, but not which cases help. So here a trial counts only where others of its group were
shown other cases and ended otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import torch as safetensors_torch
from torch import Tensor, nn

from agentgym.core.errors import ConfigError, UsageError
from agentgym.core.memory import MemoryItem
from agentgym.memory.retrieval.ngrams import features
from agentgym.memory.retrieval.words import words

BUCKETS = 256
"""Dimensions of a text's vector."""


class Trial(NamedTuple):
    """A case that was shown in one rollout of a group, and how the rollout ended."""

    group: str
    situation: str
    case: MemoryItem
    reward: float
    """From 0 to 1."""


class Learned(NamedTuple):
    """What came of a batch of trials."""

    trials: int
    informative: int
    """Of them, those whose group says something about cases."""
    loss: float
    """Mean cross-entropy in the last pass over all informative trials so far, in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorSettings:
    """How the network is trained."""

    hidden: int = 64
    lr: float = 3e-3
    passes: int = 20
    """Over the trials that are kept, at each call of `learn`."""
    recent: int = 20_000
    """Trials that are kept to learn from, the latest ones."""
    temperature: float = 0.1
    """Alpha in equation 7: how much worse a case may look and still be shown now and then."""
    as_published: bool = False
    """Learn from every trial, those that say nothing about cases too."""
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.hidden, self.passes, self.recent)
        if min(counts) < 1 or self.lr <= 0 or self.temperature <= 0:
            raise ConfigError(
                "hidden, passes and recent are at least 1, lr and temperature above 0; got "
                f"{', '.join(map(str, counts))}, {self.lr} and {self.temperature}."
            )


class CaseSelector:
    """Learns online, from one batch of groups after the other."""

    def __init__(self, settings: SelectorSettings | None = None) -> None:
        self.settings = settings or SelectorSettings()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self._net = nn.Sequential(
                nn.Linear(3 * BUCKETS + 1, self.settings.hidden),
                nn.ReLU(),
                nn.Linear(self.settings.hidden, 1),
            )
        self._optimiser = torch.optim.AdamW(self._net.parameters(), lr=self.settings.lr, weight_decay=0.01)
        self._inputs: list[Tensor] = []
        self._rewards: list[float] = []
        self._seen = 0
        """Informative trials so far."""

    def q(self, situation: str, cases: Sequence[MemoryItem]) -> NDArray[np.float32]:
        """Return the probability of success with each case, shape (cases,)."""
        if not cases:
            return np.empty(0, np.float32)
        with torch.no_grad():
            logits: Tensor = self._net(torch.stack([_input(situation, case) for case in cases]))
        return torch.sigmoid(logits[:, 0]).numpy()

    def probabilities(self, situation: str, cases: Sequence[MemoryItem]) -> NDArray[np.float64]:
        """Return the chance of each case to be the first one shown, shape (cases,): softmax(Q / alpha), equation 7."""
        q = self.q(situation, cases).astype(np.float64) / self.settings.temperature
        weights = np.exp(q - q.max(initial=-np.inf)) if len(q) else q
        return weights / weights.sum() if len(q) else weights

    def best(self, situation: str, cases: Sequence[MemoryItem], k: int) -> list[MemoryItem]:
        """Return the `k` cases of the highest Q, equation 16."""
        order = np.argsort(-self.q(situation, cases), kind="stable")
        return [cases[place] for place in order[:k]]

    def explore(
        self, situation: str, cases: Sequence[MemoryItem], k: int, rng: np.random.Generator
    ) -> list[MemoryItem]:
        """Draw `k` cases by their probabilities, without putting any back: what varies the exposure in a group."""
        if not cases:
            return []
        chances = 0.9 * self.probabilities(situation, cases) + 0.1 / len(cases)  # none is ruled out
        order = rng.choice(len(cases), size=min(k, len(cases)), replace=False, p=chances)
        return [cases[int(place)] for place in order]

    def learn(self, trials: Sequence[Trial]) -> Learned:
        """Add a batch of trials and train on the latest of all so far.

        Raises `UsageError` where no group of the batch has both other cases and other outcomes, unless
        `as_published`: then there is nothing to learn about cases.
        """
        taught = list(trials) if self.settings.as_published else informative(trials)
        if not taught:
            raise UsageError(
                f"None of the {len(trials)} trials says which case helps: within each group all rollouts were shown "
                "the same cases or ended alike. Vary the cases between the rollouts of a group (`explore`)."
            )
        kept = slice(-self.settings.recent, None)
        self._inputs = [*self._inputs, *(_input(trial.situation, trial.case) for trial in taught)][kept]
        self._rewards = [*self._rewards, *(trial.reward for trial in taught)][kept]
        self._seen += len(taught)
        return Learned(len(trials), len(taught), self._train())

    def save(self, path: Path) -> None:
        """Write to a safetensors file what it has learned, and from what: who reads it learns on as this one would."""
        tensors = {f"net.{name}": value for name, value in self._net.state_dict().items()}
        moments: dict[int, dict[str, Tensor]] = self._optimiser.state_dict()["state"]
        for place, fields in moments.items():
            tensors |= {f"optimiser.{place}.{name}": value for name, value in fields.items()}
        inputs = torch.stack(self._inputs) if self._inputs else torch.empty(0, 3 * BUCKETS + 1)
        trials = {"inputs": inputs, "rewards": torch.tensor(self._rewards), "seen": torch.tensor(self._seen)}
        safetensors_torch.save_file(tensors | trials, path)

    def load(self, path: Path) -> None:
        """Become the selector that `save` wrote. Raises `UsageError` where it has another form."""
        try:
            tensors = safetensors_torch.load_file(path)
            net = {name: value for name, value in tensors.items() if name.startswith("net.")}
            self._net.load_state_dict({name.removeprefix("net."): value for name, value in net.items()})
            inputs, rewards, seen = (tensors[name] for name in ("inputs", "rewards", "seen"))
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise UsageError(f"{path} does not hold such a selector: {error}") from error
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, place, field = name.split(".")
                moments.setdefault(int(place), {})[field] = value
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self._inputs, self._rewards, self._seen = list(inputs), rewards.tolist(), int(seen)

    def _train(self) -> float:
        inputs, rewards = torch.stack(self._inputs), torch.tensor(self._rewards)
        generator = torch.Generator().manual_seed(self.settings.seed + self._seen)
        total = 0.0
        for _ in range(self.settings.passes):
            total = 0.0
            order = torch.randperm(len(rewards), generator=generator)
            for start in range(0, len(order), 256):
                batch = order[start : start + 256]
                logits: Tensor = self._net(inputs[batch])
                loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], rewards[batch])
                self._optimiser.zero_grad()
                loss.backward()
                self._optimiser.step()
                total += loss.item() * len(batch)
        return total / len(rewards)


def informative(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of groups in which rollouts were shown other cases and ended otherwise."""
    groups: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial.group].append(trial)
    return [trial for group in groups.values() if _varies(group) for trial in group]


def _varies(group: Sequence[Trial]) -> bool:
    """Whether the outcomes with some case were others than with another one."""
    rewards: defaultdict[str, list[float]] = defaultdict(list)
    for trial in group:
        rewards[trial.case.version].append(trial.reward)
    return len({tuple(sorted(each)) for each in rewards.values()}) > 1


def _input(situation: str, case: MemoryItem) -> Tensor:
    """Return what the network sees: both texts, what they have in common, and whether the case worked."""
    query, told = _vector(situation), _vector(f"{case.key_text} {case.body}")
    worked = 1.0 if case.meta.get("outcome") == "success" else -1.0
    return torch.from_numpy(
        np.concatenate([query, told, query * told * BUCKETS**0.5, [worked]]).astype(np.float32)
    )


def _vector(text: str) -> NDArray[np.float64]:
    vector = np.zeros(BUCKETS)
    for word in words(text):
        vector[features(word) % BUCKETS] += 1
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
