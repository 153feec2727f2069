"""Batches of tokens to try the parts of a loss on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.clips import Clip
from agentgym.training.losses.objective import Objective


def random_batch(seed: int, tokens: int = 24) -> TokenBatch:
    """Tokens of trajectories of up to three turns; every optional column of floats is there."""
    random = np.random.default_rng(seed)
    turn = np.sort(random.integers(0, 8, tokens))
    trajectory = turn // 3

    def near(values: np.ndarray[Any, Any], spread: float) -> Tensor:
        return torch.tensor(values + random.normal(0, spread, tokens), dtype=torch.float32)

    logp = random.normal(-2.0, 1.0, tokens)
    advantage = random.normal(size=3)
    return TokenBatch(
        logp_N=near(logp, 0.0),
        old_logp_N=near(logp, 0.5),
        advantage_N=torch.tensor(advantage[trajectory], dtype=torch.float32),
        turn_N=torch.tensor(turn),
        trajectory_N=torch.tensor(trajectory),
        group_N=torch.tensor(trajectory // 2),
        token_N=torch.arange(tokens),
        sampler_logp_N=near(logp, 0.5),
        guided_N=torch.zeros(tokens, dtype=torch.bool),
        entropy_N=near(np.ones(tokens), 0.1),
        reference_logp_N=near(logp, 0.5),
        teacher_logp_N=near(logp, 0.5),
    )


def of_ratios(ratios: Sequence[float], advantages: Sequence[float], old: float = -1.0) -> TokenBatch:
    """One token to a turn, with these ratios to the old policy, which is the sampler."""
    count = len(ratios)
    old_N = torch.full((count,), old)
    return TokenBatch(
        logp_N=old_N + torch.tensor(ratios).log(),
        old_logp_N=old_N,
        advantage_N=torch.tensor(advantages),
        turn_N=torch.arange(count),
        trajectory_N=torch.arange(count),
        token_N=torch.arange(count),
        sampler_logp_N=old_N.clone(),
    )


def chosen(batch: TokenBatch, index: Tensor) -> TokenBatch:
    """Some of a batch's tokens, in this order."""
    columns = {field.name: getattr(batch, field.name) for field in fields(batch)}
    cut = {name: column[index] for name, column in columns.items() if isinstance(column, Tensor)}
    return replace(batch, **cut)


def gradient(objective: Objective, batch: TokenBatch) -> Tensor:
    """The gradient of the sum of a fitted objective's token losses in the log-probabilities, shape (N,)."""
    logp_N = batch.logp_N.clone().requires_grad_()
    losses = objective(replace(batch, logp_N=logp_N)).loss_N
    if losses.requires_grad:
        losses.sum().backward()
    return torch.zeros_like(batch.logp_N) if logp_N.grad is None else logp_N.grad


def clip_gradient(clip: Clip, batch: TokenBatch) -> list[float]:
    """The gradient of each token under a clip of token ratios, fitted to the batch."""
    return cast("list[float]", gradient(Objective(clip=clip).fit(batch), batch).tolist())
