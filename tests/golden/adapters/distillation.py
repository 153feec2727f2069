"""Distillation and preferences: a teacher's tokens and distributions, pairs, and curricula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentgym.training.curricula import BackToFront, FrontToBack
from agentgym.training.losses.aggregations import Constant
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import NoClip, PpoClip
from agentgym.training.losses.distillation import Distillation, SampledDistillation, Sdpo
from agentgym.training.losses.objective import Objective
from agentgym.training.losses.preference import Dpo
from agentgym.training.losses.regularisers import Regulariser
from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.teacher import TeacherAdvantage
from agentgym.training.tokens import TokenTable
from tests.golden.cases import Inputs
from tests.golden.compare import Found, kind
from tests.golden.settings import aggregation
from tests.golden.tables import loss_and_gradient, mask_of, padded, single_turns, token_batch, weights


@kind("opd_advantage_and_loss", logged=["metrics"], prose=["unique_ids"])
def opd(given: Inputs) -> Found:
    mask_BL = mask_of(given["response_mask"])
    teacher = torch.tensor(given["teacher_logprob"])
    if given["teacher_valid_mask"] is not None:
        teacher[~mask_of(given["teacher_valid_mask"])] = torch.nan
    rows = mask_BL.nonzero()[:, 0].numpy()
    tokens = TokenTable(
        turn_N=rows,
        position_N=np.arange(len(rows)),
        sampler_logp_N=torch.tensor(given["student_logprob"])[mask_BL].numpy(),
        guided_N=np.zeros(len(rows), np.bool_),
        teacher_logp_N=teacher[mask_BL].numpy(),
    )
    turns = single_turns([0.0] * len(mask_BL), ["g"] * len(mask_BL))
    part = TeacherAdvantage(coefficient=given["kl_coef"])
    advantages = padded(part(np.zeros(len(rows)), tokens, turns, Progress(0, 1)), mask_BL)
    row = {"logprob": given["new_logprob"], "old_logprob": given["student_logprob"]}
    batch = token_batch({**row, "advantages": advantages.tolist()}, mask_BL)
    clip = PpoClip(low=given["clip"], high=given["clip"], dual=given["clip_c"])
    token_mean, row_mean = (aggregation(mode, 0) for mode in ("token-mean", "seq-mean-token-mean"))
    ppo = loss_and_gradient(Objective(clip=clip, aggregation=token_mean), batch, mask_BL)
    by_row = loss_and_gradient(Objective(clip=clip, aggregation=row_mean), batch, mask_BL)
    plain = loss_and_gradient(Objective(clip=NoClip(), aggregation=token_mean), batch, mask_BL)
    return {
        "advantages": advantages,
        "ppo_loss_token_mean": ppo["loss"],
        "ppo_grad": ppo["grad_logprob"],
        "is_loss_token_mean": plain["loss"],
        "is_grad": plain["grad_logprob"],
        "ppo_loss_seq_mean_token_mean": by_row["loss"],
    }


def each_step(given: Inputs) -> range:
    """The iterations of a schedule's table; the last one is included."""
    first, last = given["step_range"]
    return range(first, last + 1)


@kind("f2b_schedule")
def f2b(given: Inputs) -> Found:
    part, most = FrontToBack(every=given["eta"]), given["max_env_steps"]
    return {"k_per_step": [part.turn_limit(step, most) for step in each_step(given)]}


@kind("b2f_schedule")
def b2f(given: Inputs) -> Found:
    part, length = BackToFront(every=given["eta"]), given["expert_len"]
    return {"teacher_prefix_len_per_step": [part.prefix(step, length) for step in each_step(given)]}


@kind("opsd_jsd")
def opsd(given: Inputs) -> Found:
    beta = given["beta"]
    divergence = {0: "kl_forward", 1: "kl_reverse"}.get(beta, "jsd")
    part = Distillation.model_validate(
        {
            "coefficient": 1.0,
            "divergence": divergence,
            "temperature": given["temperature"],
            "top_k": given["top_k"] or 0,
            **({"beta": beta} if divergence == "jsd" else {}),
        }
    )
    student, teacher = torch.tensor(given["student_logits"]), torch.tensor(given["teacher_logits"])
    loss, gradient = distribution_loss(part, student, teacher, mask_of(given["valid_mask"]))
    return {"loss": loss, "grad_student_logits": gradient}


@kind("sdpo_full")
def sdpo_full(given: Inputs) -> Found:
    part = Sdpo(coefficient=1.0, alpha=given["alpha"]).as_published()
    student = torch.tensor(given["student_all_log_probs"])
    teacher = torch.tensor(given["teacher_all_log_probs"])
    loss, gradient = distribution_loss(part, student, teacher, mask_of(given["mask"]))
    return {"loss": loss, "grad_student_logits": gradient}


def distribution_loss(
    part: Regulariser, student_BLV: Tensor, teacher_BLV: Tensor, mask_BL: Tensor
) -> tuple[float, Tensor]:
    """Return the mean of a divergence over tokens, and its gradient in the student's logits."""
    student_BLV = student_BLV.clone().requires_grad_()
    zero_N = torch.zeros(int(mask_BL.sum()))
    row_N = mask_BL.nonzero()[:, 0]
    batch = TokenBatch(
        zero_N,
        zero_N,
        zero_N,
        row_N,
        logits_NV=student_BLV[mask_BL],
        teacher_logits_NV=teacher_BLV[mask_BL],
    )
    loss = (part.coefficient * part(batch) * weights(aggregation("token-mean", 0), mask_BL)[row_N]).sum()
    loss.backward()
    assert student_BLV.grad is not None
    return float(loss.detach()), student_BLV.grad


@kind("sdpo_token")
def sdpo_token(given: Inputs) -> Found:
    mask_BL = mask_of(given["mask"])
    nothing = np.zeros(mask_BL.shape)
    row: dict[str, Any] = {"logprob": given["student_logprob"], "old_logprob": given["student_logprob"]}
    row |= {"advantages": nothing, "teacher": given["teacher_logprob"]}
    part = SampledDistillation(coefficient=1.0).as_published()
    objective = Objective(regularisers=[part], aggregation=aggregation("token-mean", 0))
    return loss_and_gradient(objective, token_batch(row, mask_BL, teacher_logp_N="teacher"), mask_BL)


@kind("dpo", logged=["metrics"], prose=["layout"])
def dpo(given: Inputs) -> Found:
    """Rows 0, 2, .. are chosen, 1, 3, .. rejected: two members of one group."""
    mask_BL = mask_of(given["mask"])
    side = torch.tensor([1.0, -1.0]).repeat(len(mask_BL) // 2)[:, None].expand_as(mask_BL)
    row: dict[str, Any] = {"logprob": given["logprob"], "old_logprob": given["logprob"]}
    row["advantages"] = side.tolist()
    row["reference"] = given["ref_logprob"]
    batch = token_batch(row, mask_BL, reference_logp_N="reference")
    batch = replace(batch, group_N=batch.turn_N // 2)
    clip = Dpo(beta=given["beta"], label_smoothing=given["label_smoothing"]).as_published()
    return loss_and_gradient(Objective(clip=clip, aggregation=Constant(tokens=1, rows="one")), batch, mask_BL)
