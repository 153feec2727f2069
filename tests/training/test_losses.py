"""Where losses have a gradient, and how aggregations weigh. Published numbers are compared in tests/golden."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from agentgym.training.losses.aggregations import Aggregation, Constant, RolloutMean, TokenMean, TurnMean
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import NoClip, PpoClip
from agentgym.training.losses.ratios import TokenRatio


def one_token(ratio: float, advantage: float) -> TokenBatch:
    logp = torch.tensor([np.log(ratio)], dtype=torch.float32, requires_grad=True)
    return TokenBatch(logp, torch.zeros(1), torch.tensor([advantage]), torch.zeros(1, dtype=torch.long))


@pytest.mark.parametrize(
    ("ratio", "advantage", "ppo", "dapo"),
    [
        (1.35, 1.0, 0.0, 0.0),
        (1.35, -1.0, 1.35, 1.35),
        (0.7, 1.0, -0.7, -0.7),
        (0.7, -1.0, 0.0, 0.0),
        (1.25, 1.0, 0.0, -1.25),
        (4.0, -1.0, 0.0, 4.0),
    ],
)
def test_where_the_clip_stops_the_gradient(ratio: float, advantage: float, ppo: float, dapo: float) -> None:
    for clip, expected in ((PpoClip(), ppo), (PpoClip(high=0.28, dual=10.0), dapo)):
        batch = one_token(ratio, advantage)
        clipped = clip(TokenRatio()(batch), batch)
        clipped.loss_N.sum().backward()
        assert float(cast("Tensor", batch.logp_N.grad)) == pytest.approx(expected, abs=1e-6)
        assert bool(clipped.clipped_N) == (expected == 0.0)


def test_without_a_clip_the_gradient_is_the_importance_weighted_score() -> None:
    batch = one_token(4.0, -1.0)
    NoClip()(TokenRatio()(batch), batch).loss_N.sum().backward()
    assert float(cast("Tensor", batch.logp_N.grad)) == pytest.approx(4.0)


@pytest.mark.parametrize("aggregation", [TokenMean(), TurnMean(), RolloutMean()])
def test_weights_of_a_batch_sum_to_one(aggregation: Aggregation) -> None:
    length_R = torch.tensor([3, 0, 5, 1])
    weight_R = aggregation.weights(length_R, torch.tensor([0, 0, 1, 1]))
    assert float((weight_R * length_R).sum()) == pytest.approx(1.0)


def test_what_each_aggregation_weighs_alike() -> None:
    length_R, trajectory_R = torch.tensor([2, 2, 4]), torch.tensor([0, 0, 1])
    assert TokenMean().weights(length_R, trajectory_R).tolist() == pytest.approx([1 / 8] * 3)
    assert TurnMean().weights(length_R, trajectory_R).tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 12])
    assert RolloutMean().weights(length_R, trajectory_R).tolist() == pytest.approx([1 / 8, 1 / 8, 1 / 8])
    assert Constant(tokens=10).weights(length_R, trajectory_R).tolist() == pytest.approx([1 / 20] * 3)
