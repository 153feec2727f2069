"""Losses over pairs: the published numbers, closed forms, and gradients that do not depend on micro-batches."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.preference import Dpo, PairLoss, Refuel

VECTORS = Path(__file__).parents[2] / "golden" / "vectors" / "distill_dpo.json"
GOLDEN = [case for case in json.loads(VECTORS.read_text("utf-8"))["cases"] if case["kind"] == "dpo"]


def tokens(
    logp_N: Tensor,
    base_N: Tensor,
    advantage_T: list[float],
    group_T: list[int],
    trajectory_N: Tensor,
    token_N: Tensor | None = None,
) -> TokenBatch:
    """A batch whose reference and old policy are both `base_N`."""
    return TokenBatch(
        logp_N=logp_N,
        old_logp_N=base_N,
        advantage_N=torch.tensor(advantage_T)[trajectory_N],
        turn_N=trajectory_N,
        trajectory_N=trajectory_N,
        group_N=torch.tensor(group_T)[trajectory_N],
        token_N=torch.arange(len(logp_N)) if token_N is None else token_N,
        reference_logp_N=base_N,
    )


def loss_and_gradient(part: PairLoss, batch: TokenBatch) -> tuple[float, Tensor]:
    fitted = part.fit(batch)
    logp_N = batch.logp_N.clone().requires_grad_()
    moving = TokenBatch(
        logp_N=logp_N,
        old_logp_N=batch.old_logp_N,
        advantage_N=batch.advantage_N,
        turn_N=batch.turn_N,
        token_N=batch.token_N,
    )
    loss = fitted(logp_N - batch.old_logp_N, moving).loss_N.sum()
    loss.backward()
    assert logp_N.grad is not None
    return loss.item(), logp_N.grad


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_pooled_dpo_is_the_released_loss(case: Any) -> None:
    given_ = case["input"]
    mask_BL = torch.tensor(given_["mask"]) > 0
    row_N = torch.arange(len(mask_BL))[:, None].expand(mask_BL.shape)[mask_BL]
    batch = tokens(
        torch.tensor(given_["logprob"])[mask_BL],
        torch.tensor(given_["ref_logprob"])[mask_BL],
        [1.0, -1.0] * (len(mask_BL) // 2),
        [row // 2 for row in range(len(mask_BL))],
        row_N,
    )
    part = Dpo(beta=given_["beta"], label_smoothing=given_["label_smoothing"]).as_published()
    loss, gradient_N = loss_and_gradient(part, batch)
    assert loss == pytest.approx(case["expected"]["loss"], rel=2e-4)
    expected_N = torch.tensor(case["expected"]["grad_logprob"])[mask_BL]
    torch.testing.assert_close(gradient_N, expected_N, rtol=2e-4, atol=2e-5)


def test_dpo_of_one_pair() -> None:
    trajectory_N = torch.tensor([0, 0, 1])
    batch = tokens(
        torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, 0.5]), [1, -1], [0, 0], trajectory_N
    )
    loss, gradient_N = loss_and_gradient(Dpo(beta=0.1), batch)
    assert loss == pytest.approx(0.57594, abs=1e-5)  # z = 2.5
    slope = -0.1 / (1 + math.exp(0.25))
    torch.testing.assert_close(gradient_N, torch.tensor([slope, slope, -slope]))


def test_dpo_pairs_every_preferred_with_every_rejected_of_its_group_alone() -> None:
    change = [0.3, -0.2, 0.5, 0.1, 9.0]
    batch = tokens(
        torch.tensor(change), torch.zeros(5), [0.5, 0.5, -0.5, -0.5, 0.5], [0, 0, 0, 0, 1], torch.arange(5)
    )
    loss, gradient_N = loss_and_gradient(Dpo(beta=1.0), batch)
    margins = [change[c] - change[r] for c in (0, 1) for r in (2, 3)]
    assert loss == pytest.approx(np.mean([math.log1p(math.exp(-z)) for z in margins]))
    assert gradient_N[4] == 0  # nobody to be preferred to


def test_refuel_worked_number() -> None:
    batch = tokens(torch.tensor([0.3, -0.1]), torch.zeros(2), [2.0, 1.0], [0, 0], torch.arange(2))
    loss, gradient_N = loss_and_gradient(Refuel(eta=0.5), batch)
    assert loss == pytest.approx(0.01)
    torch.testing.assert_close(gradient_N, torch.tensor([-0.2, 0.2]))


def test_refuel_compares_every_two_and_is_least_where_changes_follow_the_rewards() -> None:
    rewards = [1.0, 2.5, 4.0]
    wanted = torch.tensor(rewards) * 0.5 + 7.0  # a common change is free
    batch = tokens(wanted, torch.zeros(3), rewards, [0, 0, 0], torch.arange(3))
    loss, gradient_N = loss_and_gradient(Refuel(eta=0.5), batch)
    assert loss == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(gradient_N, torch.zeros(3), atol=1e-6, rtol=0)


@given(
    seed=st.integers(0, 2**32 - 1),
    part=st.sampled_from([Dpo(beta=0.7, label_smoothing=0.1), Dpo(pooled=True), Refuel(eta=0.3)]),
)
def test_gradient_is_that_of_the_loss_and_survives_micro_batches(seed: int, part: PairLoss) -> None:
    random = np.random.default_rng(seed)
    group_T = [0, 0, 0, 1, 1]
    advantage_T = random.choice([-1.0, 0.0, 0.5, 2.0], 5).tolist()
    trajectory_N = torch.from_numpy(np.sort(random.integers(0, 5, 12)))
    logp_N, base_N = torch.from_numpy(random.normal(size=(2, 12)))
    batch = tokens(logp_N, base_N, advantage_T, group_T, trajectory_N)
    _, gradient_N = loss_and_gradient(part, batch)
    step = 1e-5
    for index in range(12):
        nudge_N = torch.zeros(12, dtype=torch.float64)
        nudge_N[index] = step
        high, low = (
            loss_and_gradient(
                part, tokens(logp_N + sign * nudge_N, base_N, advantage_T, group_T, trajectory_N)
            )[0]
            for sign in (1, -1)
        )
        assert float(gradient_N[index]) == pytest.approx((high - low) / (2 * step), abs=1e-6)
    fitted = part.fit(batch)
    kept = torch.from_numpy(np.flatnonzero(random.integers(0, 2, 12)))
    whole_N = fitted(logp_N, batch).loss_N
    some_N = fitted(
        logp_N[kept],
        tokens(logp_N[kept], base_N[kept], advantage_T, group_T, trajectory_N[kept], token_N=kept),
    ).loss_N
    torch.testing.assert_close(some_N, whole_N[kept])


def test_a_step_without_pairs_has_no_gradient() -> None:
    batch = tokens(torch.zeros(2), torch.ones(2), [0.0, 0.0], [0, 0], torch.arange(2))
    loss, gradient_N = loss_and_gradient(Dpo(), batch)
    assert loss == 0
    assert not gradient_N.any()


def test_an_unfitted_loss_says_so() -> None:
    batch = tokens(torch.zeros(2), torch.ones(2), [1.0, -1.0], [0, 0], torch.arange(2))
    with pytest.raises(ValueError, match="'dpo' must be fitted"):
        Dpo()(torch.zeros(2), batch)
