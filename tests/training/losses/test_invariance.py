"""Every registered part: neither micro-batches nor the order of the tokens change what a token teaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import agentgym.training.catalog  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers every part)
from agentgym.training.losses.aggregations import Aggregation
from agentgym.training.losses.batch import LossPart, TokenBatch
from agentgym.training.losses.clips import Clip
from agentgym.training.losses.corrections import Correction
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import Ratio
from agentgym.training.losses.regularisers import Regulariser
from tests.training.losses.tokens import chosen, gradient, random_batch

DRAWS = {"clip_cov", "one_token"}
"""Parts that draw tokens at random, by their place."""
KINDS = (Clip, Ratio, Correction, Regulariser)
PARTS = [
    pytest.param(part, id=f"{kind.kind}-{name}")
    for kind in KINDS
    for name, part in sorted(kind.registry.items())
    if not part.needs & {"teacher_distributions", "distributions"}  # type: ignore[attr-defined]
]


def objective_with(kind: type[LossPart]) -> Objective:
    settings = {"coefficient": 0.3} if issubclass(kind, Regulariser) and kind.part_name != "kl_cov" else {}
    part = kind.model_validate(settings)
    if isinstance(part, Clip):
        return Objective(clip=part)
    if isinstance(part, Ratio):
        return Objective(ratio=part)
    if isinstance(part, Correction):
        return Objective(corrections=[part])
    assert isinstance(part, Regulariser)
    return Objective(regularisers=[part])


def split(batch: TokenBatch, places: set[int]) -> list[Tensor]:
    """The tokens before, between and after some of the boundaries between turns."""
    cuts = [index for index in range(1, len(batch.turn_N)) if batch.turn_N[index] != batch.turn_N[index - 1]]
    chosen_cuts = sorted({cuts[place % len(cuts)] for place in places}) if cuts else []
    return [
        torch.arange(start, stop)
        for start, stop in zip([0, *chosen_cuts], [*chosen_cuts, len(batch.turn_N)], strict=True)
    ]


@pytest.mark.parametrize("kind", PARTS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), places=st.sets(st.integers(0, 7), max_size=4))
def test_micro_batches_change_nothing(kind: type[LossPart], seed: int, places: set[int]) -> None:
    batch = random_batch(seed)
    fitted = objective_with(kind).fit(batch)
    pieces = [gradient(fitted, chosen(batch, index)) for index in split(batch, places)]
    torch.testing.assert_close(torch.cat(pieces), gradient(fitted, batch))


@pytest.mark.parametrize(
    "kind", [part for part in PARTS if part.id not in {f"clip-{name}" for name in DRAWS}]
)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_order_changes_nothing(kind: type[LossPart], seed: int) -> None:
    batch = random_batch(seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(batch.logp_N)))
    shuffled = replace(chosen(batch, order), token_N=torch.arange(len(order)))
    objective = objective_with(kind)
    there = gradient(objective.fit(batch), batch)
    torch.testing.assert_close(gradient(objective.fit(shuffled), shuffled), there[order])


@pytest.mark.parametrize("kind", PARTS)
def test_no_advantage_teaches_nothing(kind: type[LossPart]) -> None:
    """Except by the terms that are there to hold the policy: regularisers, and the pull of KL-Cov."""
    batch = random_batch(3)
    silent = replace(batch, advantage_N=torch.zeros_like(batch.advantage_N))
    objective = replace(objective_with(kind), regularisers=())
    if kind.part_name != "kl_cov":
        assert gradient(objective.fit(silent), silent).abs().max() == 0


@pytest.mark.parametrize("name", sorted(Aggregation.registry))
@settings(max_examples=5, deadline=None)
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12), seed=st.integers(0, 100))
def test_weights_do_not_depend_on_the_order_of_turns(name: str, lengths: list[int], seed: int) -> None:
    aggregation = Aggregation.model_validate({"name": name})
    random = np.random.default_rng(seed)
    length_R = torch.tensor(lengths)
    trajectory_R = torch.from_numpy(random.integers(0, 3, len(lengths)))
    order = torch.from_numpy(random.permutation(len(lengths)))
    weight_R = aggregation.weights(length_R, trajectory_R)
    torch.testing.assert_close(aggregation.weights(length_R[order], trajectory_R[order]), weight_R[order])
    assert torch.isfinite(weight_R).all()
