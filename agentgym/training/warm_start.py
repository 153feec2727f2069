"""Warm start: supervised training on demonstrations, before there is anything to reinforce."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from agentgym.core.trace import Episode
from agentgym.training.attention import packed_attention
from agentgym.training.packing import Row, pack
from agentgym.training.recipe import WarmStartSection
from agentgym.training.scoring import fast_matmul
from agentgym.training.step import predict

TOKENS_PER_MICROBATCH = 1 << 14

WARMUP_SHARE = 0.05
"""Part of the steps over which the learning rate rises."""


def warm_start(
    model: PreTrainedModel,
    episodes: Sequence[Episode],
    settings: WarmStartSection,
    *,
    seed: int,
    on_step: Callable[[int, int, float], None] | None = None,
) -> float:
    """Train `model` in place on demonstration episodes; return the mean loss of the last epoch.

    `on_step` is told the step, counted from 1, the number of steps, and the step's mean cross-entropy in
    nats.
    """
    rows = (
        [_every_token(*pair) for pair in _pairs(episodes)] if settings.train_on == "all" else pack(episodes)
    )
    plan = _plan(rows, settings, seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.lr, betas=(0.9, 0.95), weight_decay=settings.weight_decay
    )
    losses: list[float] = []
    model.eval()  # no dropout: it draws from a generator that no checkpoint keeps
    with packed_attention(model), fast_matmul(model.device):
        for step, chosen in enumerate(plan):
            for group in optimiser.param_groups:
                group["lr"] = settings.lr * _schedule(step, len(plan))
            losses.append(_train_step(model, optimiser, [rows[index] for index in chosen]))
            if on_step is not None:
                on_step(step + 1, len(plan), losses[-1])
    last_epoch = max(len(plan) // settings.epochs, 1)
    return float(np.mean(losses[-last_epoch:]))


def _pairs(episodes: Sequence[Episode]) -> list[tuple[Row, Row]]:
    """Return each row with its trained tokens, beside the same row with the completions not trained on."""
    inverted = [
        replace(episode, turns=[replace(turn, loss_mask=1 - turn.loss_mask) for turn in episode.turns])
        for episode in episodes
    ]
    return list(zip(pack(episodes), pack(inverted), strict=True))


def _every_token(row: Row, untrained: Row) -> Row:
    """Return the row with every token trained, observations too, but the ones of `untrained`."""
    target: NDArray[np.int64] = np.setdiff1d(np.flatnonzero(row.parent >= 0), untrained.target)
    nowhere = np.zeros(len(target), np.int64)
    return Row(row.ids, row.parent, target, nowhere, nowhere)


def _plan(rows: Sequence[Row], settings: WarmStartSection, seed: int) -> list[list[int]]:
    """Return which rows each optimiser step takes: every row once an epoch, in an order of its own."""
    plan: list[list[int]] = []
    for epoch in range(settings.epochs):
        step: list[int] = []
        tokens = 0
        for index in np.random.default_rng([seed, epoch]).permutation(len(rows)):
            step.append(int(index))
            tokens += len(rows[int(index)].ids)
            if tokens >= settings.tokens_per_step:
                plan.append(step)
                step, tokens = [], 0
        if step:
            plan.append(step)
    return plan


def _schedule(step: int, steps: int) -> float:
    warmup = max(int(steps * WARMUP_SHARE), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def _train_step(model: PreTrainedModel, optimiser: torch.optim.Optimizer, rows: Sequence[Row]) -> float:
    """Take one step on the mean cross-entropy of the rows' trained tokens and return it."""
    optimiser.zero_grad(set_to_none=True)
    loss = predict(model, rows, 1.0, TOKENS_PER_MICROBATCH)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss
