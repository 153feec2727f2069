"""Losses of Trinity-RFT: score functions whose tokens have a mask, and whose mean is over tokens."""

from __future__ import annotations

from typing import Any

from agentgym.training.losses.clips import NoClip
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.ratios import TokenRatio, TurnRatio
from agentgym.training.losses.rec_clip import Rec
from agentgym.training.losses.regularisers import ForwardKl, KlToProximal, Regulariser
from agentgym.training.losses.soft_clips import Cispo, Opmd, Topr
from tests.golden.adapters.policy import token_loss
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.settings import aggregation
from tests.golden.tables import loss_and_gradient, mask_of, token_batch

WEIGHTS = {"importance_sampling": "importance", "gspo_importance_sampling": "importance"}
RENAMED = {
    "epsilon_low": "low",
    "epsilon_high": "high",
    "epsilon_low_prime": "low_far",
    "epsilon_high_prime": "high_far",
    "temp": "temperature",
}


@kind("rec", logged=["metrics"])
def rec(given: Inputs) -> Found:
    mode, weight = given["clip_mode"], given["weight"]
    by_turn = {setting.startswith("gspo") for setting in (mode, weight) if setting != "none"} or {False}
    assert len(by_turn) == 1, f"clip {mode!r} and weight {weight!r} look at different ratios"
    settings: dict[str, Any] = {ours: given[theirs] for theirs, ours in RENAMED.items() if theirs in given}
    settings["mode"] = mode.removeprefix("gspo-").replace("-", "_")
    settings["weight"] = WEIGHTS.get(weight, weight)
    mask_BL = mask_of(given["mask"])
    turn = by_turn == {True}
    objective = Objective(
        TurnRatio() if turn else TokenRatio(),
        Rec.model_validate(settings),
        regularisers(given),
        aggregation("seq-mean-token-mean" if turn else "token-mean", mask_BL.shape[1]),
    )
    return loss_and_gradient(objective, token_batch(given, mask_BL), mask_BL)


def regularisers(given: Inputs) -> list[Regulariser]:
    """The regularisers of REC; its k2 has no half."""
    name = given.get("regularizer", "none")
    if name == "none":
        return []
    coefficient = given["regularizer_coef"]
    known: dict[str, Regulariser] = {
        "k2": KlToProximal(coefficient=2 * coefficient, estimator="k2"),
        "forward-kl": ForwardKl(coefficient=coefficient),
    }
    return [known[name]]


@kind("opmd", logged=["metrics"])
def opmd(given: Inputs) -> Found:
    return token_loss(given, Opmd(tau=given["tau"]), "token-mean", "mask")


@kind("topr", logged=["metrics"])
def topr(given: Inputs) -> Found:
    return token_loss(given, Topr(threshold=given["advantage_threshold"]), "token-mean", "mask")


@kind("cispo_trinity", logged=["metrics"])
def cispo(given: Inputs) -> Found:
    clip = Cispo(low=given["clip_low"], high=given["clip_high"], mask=given.get("enable_mask_clip", False))
    return token_loss(given, clip, "token-mean", "mask")


@kind("importance_sampling", logged=["metrics"])
def importance_sampling(given: Inputs) -> Found:
    return token_loss(given, NoClip(), "token-mean", "mask")
