"""Policy losses and their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agentgym.training.losses.adaptive_clips import Adaptive, SecondMoment
from agentgym.training.losses.clips import Clip, PpoClip
from agentgym.training.losses.corrections import Level, TruncatedImportance
from agentgym.training.losses.covariance_clips import ClipCov, KlCov
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import TokenRatio, TurnRatio
from agentgym.training.losses.regularisers import Estimator, Kl
from agentgym.training.losses.soft_clips import Cispo, Sapo
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.settings import aggregation
from tests.golden.tables import flat, loss_and_gradient, mask_of, padded, token_batch, weights


def ppo_clip(given: Mapping[str, Any]) -> PpoClip:
    """The clip that a case describes; without a dual bound unless it has one."""
    return PpoClip(low=given["clip_low"], high=given["clip_high"], dual=given.get("clip_c", 0.0))


def token_loss(given: Inputs, clip: Clip, mode: str, mask: str = "response_mask") -> Found:
    """Loss and gradient of a clip on token ratios."""
    mask_BL = mask_of(given[mask])
    objective = Objective(clip=clip, aggregation=aggregation(mode, mask_BL.shape[1]))
    return loss_and_gradient(objective, token_batch(given, mask_BL), mask_BL)


@kind("ppo", logged=["metrics"])
def ppo(given: Inputs) -> Found:
    return token_loss(given, ppo_clip(given), given["loss_agg_mode"])


@kind("gspo", logged=["metrics"])
def gspo(given: Inputs) -> Found:
    mask_BL = mask_of(given.get("response_mask", np.ones_like(given["logprob"])))
    batch = token_batch(given, mask_BL)
    mode = given.get("loss_agg_mode", "seq-mean-token-mean")
    objective = Objective(TurnRatio(), ppo_clip(given), aggregation=aggregation(mode, mask_BL.shape[1]))
    ratio_B = torch.ones(len(mask_BL))
    ratio_B[batch.turn_N] = TurnRatio()(batch).exp()
    return {**loss_and_gradient(objective, batch, mask_BL), "seq_ratio": ratio_B}


@kind("cispo", logged=["metrics"])
def cispo(given: Inputs) -> Found:
    clip = Cispo(low=given["clip_low"], high=given["clip_high"])
    return token_loss(given, clip, given["loss_agg_mode"])


@kind("clip_cov", logged=["metrics"])
def clip_cov(given: Inputs) -> Found:
    clip = ClipCov(
        low=given["clip_low"],
        high=given["clip_high"],
        share=given["clip_cov_ratio"],
        lower=given["clip_cov_lb"],
        upper=given["clip_cov_ub"],
    )
    return token_loss(given, clip, given["loss_agg_mode"])


@kind("kl_cov", logged=["metrics"])
def kl_cov(given: Inputs) -> Found:
    clip = KlCov(share=given["kl_cov_ratio"], coefficient=given["ppo_kl_coef"])
    return token_loss(given, clip, given["loss_agg_mode"])


@kind("ppo_quadrants")
def ppo_quadrants(given: Inputs) -> Found:
    """One row of tokens, given by their ratios."""
    ratio = torch.tensor([given["ratio"]])
    row: dict[str, Any] = {
        "logprob": ratio.log().tolist(),
        "old_logprob": torch.zeros_like(ratio).tolist(),
        "advantages": [given["advantage"]],
    }
    mask_BL = torch.ones_like(ratio, dtype=torch.bool)
    objective = Objective(
        TokenRatio(), ppo_clip(given), aggregation=aggregation("token-mean", ratio.shape[1])
    )
    found = loss_and_gradient(objective, token_batch(row, mask_BL), mask_BL)
    return {"loss": found["loss"], "grad_logprob_times_n": found["grad_logprob"][0] * ratio.shape[1]}


@kind("aggregations")
def aggregations(given: Inputs) -> Found:
    """The same token losses by every aggregation."""
    mask_BL = mask_of(given["mask"])
    loss_N = flat(given["loss"], mask_BL)
    modes = ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm")
    width = mask_BL.shape[1]
    return {
        mode: float((padded(loss_N, mask_BL) * weights(aggregation(mode, width), mask_BL)[:, None]).sum())
        for mode in modes
    }


@kind("bapo", logged=["clipfrac", "pos_neg_ratio"])
def bapo(given: Inputs) -> Found:
    clip = Adaptive(
        count="released",
        low=given["ratio_lower_start"],
        low_max=given["ratio_lower_max"],
        low_step=given["ratio_lower_step"],
        high=given["ratio_upper_start"],
        high_max=given["ratio_upper_max"],
        high_step=given["ratio_upper_step"],
        target=given["adv_ratio_target"],
        dual=given["clip_ratio_c"],
    )
    low, high = clip.fit(token_batch(given, mask_of(given["response_mask"]))).bounds
    return {**token_loss(given, clip, given["agg"]), "clip_low": low, "clip_high": high}


@kind("m2po", logged=["m2", "m2_after"])
def m2po(given: Inputs) -> Found:
    clip = SecondMoment(budget=given["m2_budget"])
    low, high = clip.fit(token_batch(given, mask_of(given["response_mask"]))).bounds
    # The released code writes 99999 for no bound.
    bounds = {"clip_low_eps": 1.0 - low, "clip_high_eps": min(high - 1.0, 99999)}
    return {**token_loss(given, clip, given["agg"]), **bounds}


@kind("sapo")
def sapo(given: Inputs) -> Found:
    clip = Sapo(tau_positive=given["tau_pos"], tau_negative=given["tau_neg"]).as_published()
    return token_loss(given, clip, given.get("loss_agg_mode", "token-mean"), "mask")


@kind("truncated_importance")
def truncated_importance(given: Inputs) -> Found:
    mask_BL = mask_of(given["response_mask"])
    levels: dict[str, Level] = {"token": "token", "sequence": "turn"}
    correction = TruncatedImportance(
        level=levels[given["rollout_is"]],
        cap=given["rollout_is_threshold"],
        normalise=given["batch_normalize"],
    )
    batch = token_batch(given, mask_BL, sampler_logp_N="rollout_logprob")
    mode = aggregation(given["loss_agg_mode"], mask_BL.shape[1])
    objective = Objective(clip=ppo_clip(given), corrections=[correction], aggregation=mode)
    weights_N = correction.fit(batch)(batch)
    return {**loss_and_gradient(objective, batch, mask_BL), "is_weights": padded(weights_N, mask_BL)}


ESTIMATORS: dict[str, Estimator] = {"k1": "k1", "k2": "k2", "k3": "k3", "abs": "abs"}


@kind("kl_estimate")
def kl_values(given: Inputs) -> Found:
    """The estimator is told in the name only."""
    mask_BL, everywhere = mask_of(given["mask"]), torch.ones_like(mask_of(given["mask"]))
    part = Kl(coefficient=1.0, estimator=ESTIMATORS[given.name.split("|")[1]])
    row = {**given, "old_logprob": given["ref_logprob"], "advantages": np.zeros(mask_BL.shape)}
    values = part(token_batch(row, everywhere, reference_logp_N="ref_logprob"))
    batch = token_batch(row, mask_BL, reference_logp_N="ref_logprob")
    logp_N = batch.logp_N.clone().requires_grad_()
    part(replace(batch, logp_N=logp_N)).sum().backward()
    assert logp_N.grad is not None
    return {"kl": padded(values, everywhere), "grad_of_masked_sum": padded(logp_N.grad, mask_BL)}
