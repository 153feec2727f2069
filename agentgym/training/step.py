"""One optimiser step: packed rows and an advantage for each turn in, new weights and metrics out.

Legend: N trained tokens of a micro-batch, R turns, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agentgym.core.errors import AgentGymError
from agentgym.training.attention import packed_attention
from agentgym.training.losses import Aggregation, Clip, Ratio, Regulariser, TokenBatch
from agentgym.training.packing import MicroBatch, Row, micro_batches
from agentgym.training.turns import Indices, TurnTable, Values


class NonFiniteLoss(AgentGymError):
    """The loss or its gradient is not a number; the weights were left as they were."""


class SamplerGap(AgentGymError):
    """The sampler and the trainer disagree about the same tokens; the weights were left as they were."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The parts of a recipe that make the loss."""

    ratio: Ratio
    clip: Clip
    regularisers: Sequence[Regulariser]
    aggregation: Aggregation
    temperature: float
    """The sampling temperature, at which log-probabilities are compared."""
    gap_limit: float = math.inf
    """Largest mean absolute gap, in nats, between the sampler's log-probabilities and the trainer's."""


@dataclass(slots=True)
class Tally:
    """Sums over trained tokens, from which an iteration's metrics are made."""

    tokens: int = 0
    computed_tokens: int = 0
    loss: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0
    kl: float = 0.0
    gap: float = 0.0
    gap_max: float = 0.0
    gap_tokens: int = 0
    grad_norms: list[float] = field(default_factory=list[float])

    @property
    def gap_mean(self) -> float:
        """Mean absolute gap between the sampler's and the trainer's log-probabilities, in nats."""
        return self.gap / max(self.gap_tokens, 1)

    def metrics(self) -> dict[str, float]:
        """Return per-token means, and the mean gradient norm."""
        count = max(self.tokens, 1)
        return {
            "loss": self.loss / max(len(self.grad_norms), 1),
            "entropy": self.entropy / count,
            "clip_share": self.clipped / count,
            "kl": self.kl / count,
            "gap_mean": self.gap_mean,
            "gap_max": self.gap_max,
            "grad_norm": float(np.mean(self.grad_norms)) if self.grad_norms else 0.0,
            "trained_tokens": float(self.tokens),
            "computed_tokens": float(self.computed_tokens),
        }


def forward_logits(model: PreTrainedModel, batch: MicroBatch) -> Tensor:
    """Return the logits that predict the trained tokens, float32, shape (N, V). Needs `packed_attention`."""
    output: Any = model(
        input_ids=batch.ids_L[None],
        position_ids=batch.positions_L[None],
        layout=batch.layout,
        logits_to_keep=batch.source_N,
        use_cache=False,
    )
    return output.logits[0].float()


def optimiser_step(
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    optimiser: Optimizer,
    rows: Sequence[Row],
    turns: TurnTable,
    chosen: Indices,
    advantage_R: Values,
    objective: Objective,
    *,
    grad_clip: float,
    tokens_per_microbatch: int,
    tally: Tally,
) -> None:
    """Take one step on the turns `chosen` (rows of the credit table).

    Rows in which no advantage and no regulariser would leave a gradient are not computed; they still
    count in the aggregation's weights. Raises `NonFiniteLoss` or `SamplerGap` before any weight changes.
    """
    weight_R = _turn_weights(turns, chosen, objective.aggregation)
    active_R = (weight_R > 0) & ((advantage_R != 0) | bool(objective.regularisers))
    live = [row for row in rows if active_R[row.turn].any()]
    optimiser.zero_grad(set_to_none=True)
    loss = 0.0
    with packed_attention(model), fast_matmul(model.device):
        for batch in micro_batches(live, tokens_per_microbatch, model.device):
            micro_loss = _micro_loss(model, reference, batch, weight_R, advantage_R, objective, tally)
            if not torch.isfinite(micro_loss).all():
                optimiser.zero_grad(set_to_none=True)
                raise NonFiniteLoss(_blame(micro_loss, batch, turns))
            micro_loss.sum().backward()
            loss += float(micro_loss.detach().sum())
    if tally.gap_mean > objective.gap_limit:
        raise SamplerGap(
            f"The sampler's log-probabilities are {tally.gap_mean:.3g} nats off the trainer's on average (limit "
            f"{objective.gap_limit:g}): it would learn from what it did not do. Check that sampler and trainer "
            "have the same weights, temperature and precision; a recipe may allow more with `gap_limit`."
        )
    if not live:
        return
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    if not torch.isfinite(norm):
        optimiser.zero_grad(set_to_none=True)
        raise NonFiniteLoss(
            f"The gradient's norm is {float(norm)} though the loss is finite; the weights were not changed. "
            "Train with a lower `optimiser.lr`, or in float32."
        )
    optimiser.step()
    tally.loss += loss
    tally.grad_norms.append(float(norm))


def _turn_weights(turns: TurnTable, chosen: Indices, aggregation: Aggregation) -> Values:
    """Return each turn's token weight, zero for the turns not chosen, shape (R,)."""
    _, trajectory = np.unique(turns.trajectory_R[chosen], return_inverse=True)
    length_R = torch.from_numpy(turns.tokens_R[chosen])
    trajectory_R = torch.from_numpy(trajectory.astype(np.int64))
    weight_R = np.zeros(len(turns.tokens_R))
    weight_R[chosen] = aggregation.weights(length_R, trajectory_R).numpy()
    return weight_R


def _micro_loss(
    model: PreTrainedModel,
    reference: PreTrainedModel | None,
    batch: MicroBatch,
    weight_R: Values,
    advantage_R: Values,
    objective: Objective,
    tally: Tally,
) -> Tensor:
    logits_NV = forward_logits(model, batch) / objective.temperature
    logp_NV = logits_NV.log_softmax(-1)
    with torch.set_grad_enabled(any(term.needs_entropy for term in objective.regularisers)):
        entropy_N = -(logp_NV.exp() * logp_NV).sum(-1)
    device = logits_NV.device

    def per_token(values_R: Values) -> Tensor:
        values = torch.from_numpy(values_R.astype(np.float32))
        return values.to(device)[batch.turn_N]

    tokens = TokenBatch(
        logp_N=logp_NV.gather(-1, batch.target_ids_N[:, None])[:, 0],
        old_logp_N=batch.old_logp_N,
        advantage_N=per_token(advantage_R),
        turn_N=batch.turn_N,
        entropy_N=entropy_N,
        reference_logp_N=None
        if reference is None
        else _reference_logp(reference, batch, objective.temperature),
    )
    clipped = objective.clip(objective.ratio(tokens), tokens)
    loss_N = clipped.loss_N
    for term in objective.regularisers:
        loss_N = loss_N + term.coefficient * term(tokens)
    _count(tally, batch, tokens, clipped.clipped_N)
    return loss_N * per_token(weight_R)


@torch.no_grad()
def _reference_logp(reference: PreTrainedModel, batch: MicroBatch, temperature: float) -> Tensor:
    with packed_attention(reference):
        logits_NV = forward_logits(reference, batch) / temperature
    return logits_NV.log_softmax(-1).gather(-1, batch.target_ids_N[:, None])[:, 0]


@torch.no_grad()
def _count(tally: Tally, batch: MicroBatch, tokens: TokenBatch, clipped_N: Tensor) -> None:
    assert tokens.entropy_N is not None
    tally.tokens += len(tokens.logp_N)
    tally.computed_tokens += len(batch.ids_L)
    tally.entropy += float(tokens.entropy_N.sum())
    tally.clipped += float(clipped_N.sum())
    if tokens.reference_logp_N is not None:
        tally.kl += float((tokens.logp_N - tokens.reference_logp_N).sum())
    if not tally.grad_norms:  # before the iteration's first step, where both should agree
        gap_N = (tokens.logp_N - tokens.old_logp_N).abs()
        tally.gap += float(gap_N.sum())
        tally.gap_tokens += len(gap_N)
        tally.gap_max = max(tally.gap_max, float(gap_N.max()) if len(gap_N) else 0.0)


def _blame(loss_N: Tensor, batch: MicroBatch, turns: TurnTable) -> str:
    token = int((~torch.isfinite(loss_N)).nonzero()[0, 0])
    row = int(batch.turn_N[token])
    return (
        f"The loss of a token of trajectory {int(turns.trajectory_R[row])}, turn {int(turns.turn_R[row])} is "
        f"{float(loss_N[token].detach())}; the weights were not changed."
    )


@contextmanager
def fast_matmul(device: torch.device) -> Generator[None]:
    """Let CPU matrix products take oneDNN: still float32 without matrix units, twice as fast as the default.

    It slows single-row products down, so it is on during updates only. Other devices are left alone.
    """
    before = torch.get_float32_matmul_precision()
    if device.type == "cpu":
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
