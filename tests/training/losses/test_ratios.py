"""Ratios and corrections on tokens worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest
import torch

from agentgym.training.losses.aggregations import SeqMeanTokenSum
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import NoClip
from agentgym.training.losses.corrections import Correction, LeftBehind, Rejection, TruncatedImportance
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import (
    BehaviourRatio,
    NoRatio,
    Ratio,
    TrajectoryProduct,
    TurnProduct,
    TurnRatio,
)
from agentgym.training.losses.regularisers import ForwardKl, KlMix, KlToProximal
from tests.training.losses.tokens import gradient, random_batch

LOG_RATIOS = [0.1, -0.2, 1.5, 0.0]


def between(log_ratios: list[float], *, turn: list[int], trajectory: list[int]) -> TokenBatch:
    """Tokens with these logs of proximal / sampler; the policy is the proximal one."""
    count = len(log_ratios)
    proximal_N = torch.full((count,), -2.0)
    return TokenBatch(
        logp_N=proximal_N,
        old_logp_N=proximal_N,
        advantage_N=torch.ones(count),
        turn_N=torch.tensor(turn),
        trajectory_N=torch.tensor(trajectory),
        token_N=torch.arange(count),
        sampler_logp_N=proximal_N - torch.tensor(log_ratios),
    )


def factors(correction: Correction, batch: TokenBatch) -> list[float]:
    return cast("list[float]", correction.fit(batch)(batch).tolist())


def test_truncated_importance_of_tokens() -> None:
    batch = between(LOG_RATIOS, turn=[0] * 4, trajectory=[0] * 4)
    assert factors(TruncatedImportance(), batch) == pytest.approx([1.1052, 0.8187, 2.0, 1.0], abs=1e-4)
    normalised = factors(TruncatedImportance(normalise=True), batch)
    assert normalised == pytest.approx([0.8978, 0.6651, 1.6247, 0.8124], abs=1e-4)
    assert factors(TruncatedImportance(cap=0), batch)[2] == pytest.approx(math.exp(1.5))


def test_truncated_importance_of_turns_and_trajectories() -> None:
    batch = between(LOG_RATIOS, turn=[0, 0, 1, 3], trajectory=[0, 0, 0, 1])
    by_turn = factors(TruncatedImportance(level="turn"), batch)
    assert by_turn == pytest.approx([math.exp(-0.1)] * 2 + [2.0, 1.0])
    mean = (math.exp(-0.1) + 2.0 + 1.0) / 3  # turns count alike, and those without tokens not at all
    normalised = factors(TruncatedImportance(level="turn", normalise=True), batch)
    assert normalised == pytest.approx([weight / mean for weight in by_turn])
    assert factors(TruncatedImportance(level="trajectory"), batch) == pytest.approx([2.0, 2.0, 2.0, 1.0])


def test_rejection_keeps_the_band() -> None:
    batch = between(LOG_RATIOS, turn=[0, 0, 1, 2], trajectory=[0, 0, 0, 1])
    assert factors(Rejection(low=0.5, high=2.0), batch) == [1, 1, 0, 1]
    assert factors(Rejection(level="turn", low=0.9, high=1.1), batch) == [1, 1, 0, 1]
    assert factors(Rejection(level="trajectory", low=0.6, high=1.7), batch) == [1, 1, 1, 1]
    assert factors(Rejection(level="trajectory", low=0.6, high=1.5), batch) == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="must hold 1"):
        Rejection(low=1.1, high=2.0)


def test_corrections_need_no_current_log_probabilities() -> None:
    batch = between(LOG_RATIOS, turn=[0] * 4, trajectory=[0] * 4)
    unscored = replace(batch, logp_N=torch.full((4,), math.nan))
    for part in (TruncatedImportance(normalise=True), Rejection()):
        objective = Objective(corrections=[part])
        assert objective.fits
        assert not objective.fits_logp
        assert factors(part, unscored) == factors(part, batch)


def test_turns_that_the_policy_has_left_behind_are_dropped_where_they_failed() -> None:
    batch = between([0.0] * 6, turn=[0, 0, 1, 1, 2, 2], trajectory=[0] * 6)
    moved = replace(
        batch,
        logp_N=batch.logp_N - torch.tensor([0.3, 0.0, 0.3, 0.0, 0.1, 0.0]),
        advantage_N=torch.tensor([-1.0, -1.0, 1.0, 1.0, -1.0, -1.0]),
    )
    assert factors(LeftBehind(limit=0.1), moved) == [0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("ratio", "column"), [(TurnProduct(), "turn_N"), (TrajectoryProduct(), "trajectory_N")]
)
def test_products_have_the_gradient_of_one_term_per_sequence(ratio: Ratio, column: str) -> None:
    """The gradient of sum over sequences of -A exp(sum of log-ratios), by autograd."""
    batch = random_batch(5)
    index_N = batch.need(column)
    logp_N = batch.logp_N.clone().requires_grad_()
    count = int(index_N.max()) + 1
    log_ratio = torch.zeros(count).index_add(0, index_N, logp_N - batch.old_logp_N)
    advantage = torch.zeros(count)
    advantage[index_N] = batch.advantage_N
    (-advantage * log_ratio.exp()).sum().backward()
    assert logp_N.grad is not None
    found = gradient(Objective(ratio, NoClip()).fit(batch), batch)
    torch.testing.assert_close(found, logp_N.grad, rtol=1e-4, atol=1e-5)


def test_the_turn_ratio_is_the_geometric_mean() -> None:
    batch = between([0.0] * 3, turn=[0, 0, 1], trajectory=[0, 0, 0])
    moved = replace(batch, logp_N=batch.logp_N + torch.tensor([0.1, 0.3, -0.4]))
    assert TurnRatio()(moved).tolist() == pytest.approx([0.2, 0.2, -0.4])
    assert TurnProduct()(moved).tolist() == pytest.approx([0.4, 0.4, -0.4])
    assert TrajectoryProduct().fit(moved)(moved).tolist() == pytest.approx([0.0] * 3, abs=1e-6)


def test_without_a_ratio_the_gradient_is_that_of_the_score_function() -> None:
    batch = random_batch(2)
    torch.testing.assert_close(gradient(Objective(NoRatio(), NoClip()), batch), -batch.advantage_N)


def test_the_behaviour_ratio_ignores_the_proximal_policy() -> None:
    batch = random_batch(2)
    other = replace(batch, old_logp_N=torch.zeros_like(batch.old_logp_N))
    torch.testing.assert_close(BehaviourRatio()(batch), BehaviourRatio()(other))


def test_remix_mixes_the_divergences_over_the_run() -> None:
    part = KlMix(coefficient=1.0)
    shares = [part.share(iteration) for iteration in (0, 50, 51, 60, 61, 100, 500)]
    assert shares == pytest.approx([1.0, 1.0, 0.9, 0.9, 0.8, 0.5, 0.5])
    batch = replace(random_batch(1), iteration=500)
    reference, old = batch.need("reference_logp_N"), batch.old_logp_N
    mixed = KlMix(coefficient=1.0, estimator="k1")(batch)
    torch.testing.assert_close(mixed, batch.logp_N - (reference + old) / 2)


def test_regularisers_of_rec() -> None:
    batch = random_batch(1)
    square = 2 * KlToProximal(coefficient=1.0, estimator="k2")(batch)
    torch.testing.assert_close(square, (batch.logp_N - batch.old_logp_N) ** 2)
    torch.testing.assert_close(ForwardKl(coefficient=1.0)(batch), -batch.logp_N)


def test_sequences_count_alike_in_their_sum() -> None:
    length_R, trajectory_R = torch.tensor([2, 2, 4, 0]), torch.tensor([0, 0, 1, 2])
    assert SeqMeanTokenSum().weights(length_R, trajectory_R).tolist() == pytest.approx([1 / 2] * 4)
    assert SeqMeanTokenSum(over="turns").weights(length_R, trajectory_R).tolist() == pytest.approx(
        [1 / 3] * 4
    )
