"""Losses and their gradients against the published code's numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from agentgym.training.losses.aggregations import Aggregation, Constant, RolloutMean, TokenMean, TurnMean
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import NoClip, PpoClip
from agentgym.training.losses.ratios import Ratio, TokenRatio, TurnRatio
from agentgym.training.losses.regularisers import kl_estimate

CASES: list[Any] = json.loads((Path(__file__).parents[1] / "golden/policy_losses.json").read_text("utf-8"))[
    "cases"
]


def named(prefix: str, *, without: str = "\0") -> list[Any]:
    return [case for case in CASES if case["name"].startswith(prefix) and without not in case["name"]]


def flat(values: Any, mask: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[mask]


def loss_and_gradient(
    inputs: Any, ratio: Ratio, clip: PpoClip, aggregation: Aggregation
) -> tuple[float, Tensor]:
    mask = torch.tensor(inputs["response_mask"], dtype=torch.bool)
    logp_N = flat(inputs["logprob"], mask).requires_grad_()
    row_N = torch.arange(len(mask))[:, None].expand_as(mask)[mask]
    batch = TokenBatch(logp_N, flat(inputs["old_logprob"], mask), flat(inputs["advantages"], mask), row_N)
    # Each row of the published batch is one turn of a trajectory of its own.
    weight_R = aggregation.weights(mask.sum(1), torch.arange(len(mask)))
    loss = (clip(ratio(batch), batch).loss_N * weight_R[row_N]).sum()
    loss.backward()
    gradient = torch.zeros(mask.shape)
    gradient[mask] = cast("Tensor", logp_N.grad)
    return float(loss.detach()), gradient


AGGREGATIONS: dict[str, Aggregation] = {"token-mean": TokenMean(), "seq-mean-token-mean": RolloutMean()}


@pytest.mark.parametrize(
    "case",
    [case for case in named("vanilla") if case["input"]["loss_agg_mode"] in AGGREGATIONS],
    ids=lambda case: case["name"],
)
def test_ppo_and_dapo_as_published(case: Any) -> None:
    inputs = case["input"]
    clip = PpoClip(low=inputs["clip_low"], high=inputs["clip_high"], dual=inputs["clip_c"])
    loss, gradient = loss_and_gradient(inputs, TokenRatio(), clip, AGGREGATIONS[inputs["loss_agg_mode"]])
    assert loss == pytest.approx(case["expected"]["loss"], rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(gradient, case["expected"]["grad_logprob"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", named("vanilla|ppo|seq-mean-token-sum-norm"), ids=lambda case: case["name"])
def test_constant_is_the_published_norm_divided_by_the_rows(case: Any) -> None:
    inputs = case["input"]
    clip = PpoClip(low=inputs["clip_low"], high=inputs["clip_high"], dual=inputs["clip_c"])
    mask = np.array(inputs["response_mask"])
    loss, gradient = loss_and_gradient(inputs, TokenRatio(), clip, Constant(tokens=mask.shape[1]))
    rows = int((mask.sum(1) > 0).sum())
    assert loss * rows == pytest.approx(case["expected"]["loss"], rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(gradient * rows, case["expected"]["grad_logprob"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", named("gspo"), ids=lambda case: case["name"])
def test_turn_ratio_is_gspo_as_published(case: Any) -> None:
    inputs = case["input"]
    clip = PpoClip(low=inputs["clip_low"], high=inputs["clip_high"], dual=0)
    loss, gradient = loss_and_gradient(inputs, TurnRatio(), clip, TurnMean())
    assert loss == pytest.approx(case["expected"]["loss"], rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(gradient, case["expected"]["grad_logprob"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("case", named("kl_penalty"), ids=lambda case: case["name"])
def test_kl_estimators_as_published(case: Any) -> None:
    estimator = cast("Literal['k1', 'k2', 'k3']", case["name"].split("|")[1])
    found = kl_estimate(
        torch.tensor(case["input"]["logprob"]), torch.tensor(case["input"]["ref_logprob"]), estimator
    )
    np.testing.assert_allclose(found, case["expected"]["kl"], rtol=1e-4, atol=1e-6)


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
