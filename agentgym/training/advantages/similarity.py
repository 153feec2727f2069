"""Grouping states that read alike, for environments whose observations are noisy."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from agentgym.training.turns import Indices


def similar_states(text_R: Sequence[str], group_R: Indices, threshold: float) -> Indices:
    """Number clusters of similar texts within each group, by first appearance; shape (R,).

    Greedy, as in GiGPO's released code: a text joins the first cluster whose first member it resembles by at
    least `threshold` (`difflib.SequenceMatcher.ratio`), or begins a cluster of its own.
    """
    clusters: dict[int, list[tuple[str, int]]] = {}
    known: dict[tuple[int, str], int] = {}
    count = 0
    code_R = np.empty(len(text_R), np.int64)
    for row, (text, group) in enumerate(zip(text_R, group_R.tolist(), strict=True)):
        if (group, text) not in known:
            heads = clusters.setdefault(group, [])
            found = next((code for head, code in heads if _alike(head, text, threshold)), None)
            if found is None:
                found = count
                heads.append((text, found))
                count += 1
            known[group, text] = found
        code_R[row] = known[group, text]
    return code_R


def _alike(one: str, other: str, threshold: float) -> bool:
    matcher = SequenceMatcher(None, one, other)
    # The two quick ratios are upper bounds: they only spare the slow comparison.
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= threshold for bound in bounds)
