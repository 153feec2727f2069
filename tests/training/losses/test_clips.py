"""What each clip leaves of the gradient, on tokens worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.losses.adaptive_clips import Adaptive, SecondMoment
from agentgym.training.losses.clips import CentredClip, Clip, PpoClip, ScoreFunction
from agentgym.training.losses.covariance_clips import ClipCov, KlCov
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import BehaviourRatio
from agentgym.training.losses.rec_clip import Rec
from agentgym.training.losses.soft_clips import Cispo, Opmd, Sapo, Topr
from tests.training.losses.tokens import clip_gradient, gradient, of_ratios, random_batch

RATIOS = [1.35, 1.35, 0.7, 0.7, 1.25, 4.0, 0.3, 3.5]
SIGNS = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0]


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        ("none", [1, 1, 1, 1, 1, 1, 1, 1]),
        ("one_side", [0, 1, 1, 0, 0, 1, 1, 1]),
        ("two_side", [0, 0, 0, 0, 0, 0, 0, 0]),
        ("ring", [0, 0, 0, 0, 0, 1, 1, 1]),
    ],
)
def test_rec_keeps_the_score_function_within_its_range(mode: str, kept: list[int]) -> None:
    clip = Rec.model_validate({"mode": mode})
    batch = of_ratios(RATIOS, SIGNS)
    expected = [-sign * keep for sign, keep in zip(SIGNS, kept, strict=True)]
    assert clip_gradient(clip, batch) == pytest.approx(expected)
    assert Objective(clip=clip)(batch).clipped_N.tolist() == [not keep for keep in kept]


def test_weights_of_rec() -> None:
    batch = of_ratios([1.1, 0.9], [2.0, -1.0])
    assert clip_gradient(Rec(weight="importance"), batch) == pytest.approx([-2.2, 0.9])
    tempered = clip_gradient(Rec(weight="advantage", temperature=2.0), batch)
    assert tempered == pytest.approx([-2.0 * math.e, math.exp(-0.5)])


@pytest.mark.parametrize(
    ("clip", "weights"),
    [
        (Cispo(), [1.28, 1.28, 0.7, 0.7, 1.25, 1.28, 0.3, 1.28]),
        (Cispo(mask=True), [0, 1.28, 0.7, 0.7, 1.25, 1.28, 0.3, 1.28]),
        (Cispo(low=0.2, mask=True), [0, 1.28, 0.8, 0, 1.25, 1.28, 0.8, 1.28]),
        (Topr(), [1, 1, 1, 0.7, 1, 1, 1, 1]),
        (ScoreFunction(), [1] * 8),
        (Opmd(tau=3.0), [0.25] * 8),
    ],
    ids=repr,
)
def test_weights_on_the_score_function(clip: Clip, weights: list[float]) -> None:
    expected = [-sign * weight for sign, weight in zip(SIGNS, weights, strict=True)]
    assert clip_gradient(clip, of_ratios(RATIOS, SIGNS)) == pytest.approx(expected)


def test_sapo_is_reinforce_at_ratio_one_and_fades_on_both_sides() -> None:
    batch = of_ratios([0.2, 1.0, 5.0], [1.0, 1.0, 1.0])
    below, at, above = clip_gradient(Sapo(), batch)
    assert at == pytest.approx(-1.0)
    assert -1.0 < below < 0.0
    assert -1.0 < above < 0.0
    # Trinity's weight at ratio 1 is 4 x sigmoid(0).
    assert clip_gradient(Sapo().as_published(), batch)[1] == pytest.approx(-2.0)


def test_the_centred_clip_moves_with_the_proximal_policy() -> None:
    """The proximal policy has doubled the token's probability: a ratio of 2 to the sampler is no change."""
    batch = of_ratios([1.0, 1.3, 0.5], [1.0, 1.0, -1.0])  # to the proximal policy
    batch.need("sampler_logp_N").sub_(math.log(2.0))
    objective = Objective(BehaviourRatio(), CentredClip(low=0.2, high=0.2))
    assert gradient(objective, batch).tolist() == pytest.approx([-2.0, 0.0, 0.0])
    batch = of_ratios(RATIOS, SIGNS)  # the proximal policy is the sampler
    centred = gradient(Objective(BehaviourRatio(), CentredClip()), batch)
    torch.testing.assert_close(centred, torch.tensor(clip_gradient(PpoClip(dual=0.0), batch)))


def test_released_bapo_raises_the_lower_bound_in_vain() -> None:
    batch = of_ratios([1.5, 0.5, 1.1, 0.7], [1.0, -1.0, -1.0, -1.0])
    released = Adaptive(
        count="released", target=0.55, low_max=0.8, low_step=0.05, high_max=2.0, high_step=0.05
    ).fit(batch)
    assert released.bounds == (0.8, 1.5)
    assert float(Objective(clip=released)(batch).loss_N.mean()) == pytest.approx(0.3)
    assert released.model_copy(update={"low_max": 0.6}).fit(batch).bounds == (0.6, 1.35)


def test_bapo_counts_gradients_so_that_both_bounds_help() -> None:
    """|ratio A| is 1.48 for the gain, and 0.51, 1.1 and 0.7 for the losses."""
    batch = of_ratios([1.48, 0.51, 1.1, 0.7], [1.0, -1.0, -1.0, -1.0])
    assert Adaptive(target=0.39, low=0.4).fit(batch).bounds == (0.4, 1.5)  # 1.48 / 3.79
    assert Adaptive(target=0.45, low=0.4, high_max=1.6).fit(batch).bounds == (0.52, 1.6)  # 1.48 / 3.28


def test_paper_bapo_weighs_by_the_sampler() -> None:
    batch = of_ratios([1.0, 1.0], [1.0, -1.0])
    batch.need("sampler_logp_N")[1] = math.log(1e-6)
    assert Adaptive(count="values", target=0.9).fit(batch).bounds == (0.6, 1.2)


def test_where_every_advantage_is_negative_the_bounds_end_at_their_most() -> None:
    assert Adaptive().fit(of_ratios([1.0, 0.9], [-1.0, -1.0])).bounds == (0.9, 3.0)


def test_m2_clips_only_what_the_second_moment_demands() -> None:
    """Squares 0.01, 0.04 and 0.25 with a budget of 0.04: tau^2 = 0.12 - 0.01 - 0.04."""
    ratios = [math.exp(root) for root in (0.1, 0.2, 0.5)]
    batch = of_ratios([*ratios, 0.5], [1.0, 1.0, 1.0, 1.0])  # the last is not harmful
    low, high = SecondMoment(budget=0.04).fit(batch).bounds
    assert (low, high) == pytest.approx((0.7675, 1.3029), abs=1e-4)
    assert clip_gradient(SecondMoment(budget=0.04), batch) == pytest.approx(
        [-ratios[0], -ratios[1], 0.0, -0.5]
    )
    assert clip_gradient(SecondMoment(budget=1.0), batch) == pytest.approx(
        [-ratio for ratio in [*ratios, 0.5]]
    )


@given(st.lists(st.floats(0.05, 3.0), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_m2_holds_its_budget(roots: list[float], budget: float) -> None:
    batch = of_ratios(np.exp(roots).tolist(), [1.0] * len(roots))
    _, high = SecondMoment(budget=budget).fit(batch).bounds
    held = np.minimum(np.square(roots), np.log(high) ** 2).mean()
    wanted = min(budget, float(np.square(roots).mean()))
    assert held == pytest.approx(wanted, rel=1e-4)


def test_clip_cov_drops_confident_and_rewarded_tokens() -> None:
    """Covariances 1.45, -1.45, -1.45, 1.45."""
    batch = of_ratios([1.0] * 4, [1.0, 1.0, -1.0, -1.0])
    for column in (batch.logp_N, batch.old_logp_N):
        column.copy_(torch.tensor([-0.1, -3.0, -0.1, -3.0]))
    assert clip_gradient(ClipCov(share=1.0), batch) == [0.0, -1.0, 1.0, 0.0]
    one_dropped = clip_gradient(ClipCov(share=0.0002), batch)
    assert sorted(one_dropped) in ([-1.0, -1.0, 0.0, 1.0], [-1.0, 0.0, 1.0, 1.0])
    assert clip_gradient(ClipCov(share=1.0, lower=2.0), batch) == [-1.0, -1.0, 1.0, 1.0]


def test_kl_cov_pulls_those_tokens_back() -> None:
    batch = of_ratios([1.1] * 4, [1.0, 1.0, -1.0, -1.0])
    batch.logp_N.copy_(torch.tensor([-0.1, -3.0, -0.1, -3.0]))
    batch.old_logp_N.copy_(batch.logp_N - math.log(1.1))
    pulled = clip_gradient(KlCov(share=0.5, coefficient=0.3), batch)
    assert pulled == pytest.approx([-0.8, -1.1, 1.1, 1.4])


def test_a_part_that_was_not_fitted_says_so() -> None:
    with pytest.raises(ValueError, match="'clip_cov' must be fitted"):
        Objective(clip=ClipCov())(random_batch(0))


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at most `low_max`"):
        Adaptive(low=0.95)
    with pytest.raises(ValueError, match="`target` is a share"):
        Adaptive(target=1.0)
