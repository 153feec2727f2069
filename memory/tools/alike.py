"""Tools that do the same, by what they say of themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from agentgym.core.memory import MemoryItem
from agentgym.memory.retrieval.ngrams import features
from agentgym.memory.retrieval.words import words

ALIKE = 0.5
"""Similarity from which two descriptions are taken to be of one thing."""


def similarity(one: str, other: str) -> float:
    """Return the cosine of two texts as words and parts of words, from 0 to 1; it depends on no other text.

    >>> round(similarity("Adds two numbers.", "Add numbers"), 2), similarity("Adds numbers.", "Opens a door.")
    (0.88, 0.0)
    """
    left, right = _vector(one), _vector(other)
    dot = math.fsum(value * right.get(feature, 0.0) for feature, value in left.items())
    norms = math.sqrt(_square(left) * _square(right))
    return dot / norms if norms else 0.0


def clusters(
    tools: Sequence[MemoryItem],
    may: Callable[[MemoryItem, MemoryItem], bool] = lambda one, other: True,
    alike: float = ALIKE,
) -> list[list[MemoryItem]]:
    """Return the groups of two tools or more that do the same; every tool is in one group at most.

    In a group every two are alike (complete linkage, the most alike first), so that a chain of small differences joins
    nothing. They are of one space and one environment, and `may` be together.
    """
    order = sorted(tools, key=lambda tool: tool.version)
    near = {
        (a, b): similarity(_told(order[a]), _told(order[b]))
        for a in range(len(order))
        for b in range(a + 1, len(order))
        if (order[a].space, order[a].env_id) == (order[b].space, order[b].env_id) and may(order[a], order[b])
    }
    groups = [[place] for place in range(len(order))]

    def between(one: list[int], other: list[int]) -> float:
        return min(near.get((min(a, b), max(a, b)), 0.0) for a in one for b in other)

    while len(groups) > 1:
        pairs = [
            (between(one, other), one, other) for n, one in enumerate(groups) for other in groups[n + 1 :]
        ]
        best, one, other = max(pairs, key=lambda pair: pair[0])
        if best < alike:
            break
        groups.remove(other)
        one += other
    return [[order[place] for place in sorted(group)] for group in groups if len(group) > 1]


def _told(tool: MemoryItem) -> str:
    return f"{tool.name} {tool.key_text}"


def _vector(text: str) -> dict[int, float]:
    counts = Counter(int(feature) for word in words(text) for feature in features(word))
    return {feature: 1 + math.log(count) for feature, count in counts.items()}


def _square(vector: dict[int, float]) -> float:
    return math.fsum(value * value for value in vector.values())
