"""One optimiser step: a batch and an objective in, new weights and metrics out.

Legend: N trained tokens (of a micro-batch, of a step or of the batch), R turns, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from transformers import PreTrainedModel

from agentgym.core.errors import AgentGymError
from agentgym.training.attention import packed_attention
from agentgym.training.losses.aggregations import Aggregation
from agentgym.training.losses.batch import TokenBatch
from agentgym.training.losses.objective import Objective
from agentgym.training.offending import NonFiniteLoss, check_tokens
from agentgym.training.packing import MicroBatch, Row, micro_batches, rows_of
from agentgym.training.schedules.base import Step
from agentgym.training.scoring import entropy_of, fast_matmul, forward_logits, logp_of, score_tokens
from agentgym.training.side_task import SideRows
from agentgym.training.tally import Tally
from agentgym.training.tokens import Floats, TokenTable
from agentgym.training.turns import Indices, TurnTable, Values
from agentgym.training.used import UsedTokens


class SamplerGap(AgentGymError):
    """The sampler and the trainer disagree about the same tokens; the weights were left as they were."""


class TeacherLogits(Protocol):
    """A teacher's distributions."""

    def __call__(self, batch: MicroBatch) -> Tensor:
        """Return the teacher's logits at the trained tokens of a micro-batch, shape (N, V), without gradient."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything an update knows of the episodes it learns from."""

    turns: TurnTable
    tokens: TokenTable
    rows: Sequence[Row]
    advantage_N: Values
    """Of each token of the table."""
    teacher: TeacherLogits | None = None
    iteration: int = 0
    """Of the run, counted from 0."""
    episodes: Sequence[str] = ()
    """Ids of the trajectories, for messages."""
    side: SideRows = field(default_factory=SideRows)
    """What is to be predicted besides."""
    used: UsedTokens | None = None
    """Where is noted what the loss sees, if anybody wants to know."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one step may do."""

    grad_clip: float
    """Largest norm of the gradient."""
    tokens_per_microbatch: int
    """Tokens in one forward and backward pass; changes memory, not results."""


def optimiser_step(
    model: PreTrainedModel,
    optimiser: Optimizer,
    batch: Batch,
    step: Step,
    objective: Objective,
    limits: Limits,
    tally: Tally,
) -> Floats:
    """Take one step of a schedule; return the log-probabilities of the tokens it computed as they were before it,
    shape (N,), NaN for the others.

    Turns in which no advantage and no regulariser would leave a gradient are not computed (if the step is
    `measured`, without gradient); they still count in the aggregation's weights. A step that finds no gradient
    leaves weights and optimiser alone and is counted. Raises `NonFiniteLoss` or `SamplerGap` before any weight
    changes.
    """
    step_batch = _StepBatch.of(batch, step, objective)
    before_N = np.full(len(batch.tokens), np.nan, np.float32)
    optimiser.zero_grad(set_to_none=True)
    side = batch.side.of(np.unique(batch.turns.trajectory_R[step.rows]).tolist())
    if not step_batch.live and not side:
        tally.steps_without_update += 1
        return before_N
    if step_batch.live and (objective.fits_logp or (step.fresh and objective.fits)):
        logp_N = step_batch.score(model, step_batch.live, objective.temperature, limits)
        step_batch = replace(step_batch, logp_N=logp_N)
    if step_batch.live and objective.fits:
        objective = objective.fit(step_batch.all_tokens(model.device))
    if step.measured:
        before_N = step_batch.score(model, step_batch.still, objective.temperature, limits)
    loss = 0.0
    with packed_attention(model), fast_matmul(model.device):
        for micro in micro_batches(step_batch.live, limits.tokens_per_microbatch, model.device):
            loss_N, logp_N = _micro_loss(model, micro, step_batch, objective, tally)
            loss_N.sum().backward()
            loss += float(loss_N.detach().sum())
            before_N[micro.token_N] = logp_N.detach().cpu().numpy()
        loss += batch.side.weight * predict(model, side, batch.side.weight, limits.tokens_per_microbatch)
    if tally.gap_mean > objective.gap_limit:
        raise SamplerGap(
            f"The sampler's log-probabilities are {tally.gap_mean:.3g} nats off the trainer's on average (limit "
            f"{objective.gap_limit:g}): it would learn from what it did not do. Check that sampler and trainer "
            "have the same weights, temperature and precision; a recipe may allow more with `gap_limit`."
        )
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limits.grad_clip)
    if not torch.isfinite(norm):
        optimiser.zero_grad(set_to_none=True)
        raise NonFiniteLoss(
            f"The gradient's norm is {float(norm)} though the loss is finite; the weights were not changed. "
            "Train with a lower `optimiser.lr`, or in float32."
        )
    if norm == 0:  # AdamW would go on in the direction of earlier steps
        tally.steps_without_update += 1
        return before_N
    optimiser.step()
    tally.loss += loss
    tally.grad_norms.append(float(norm))
    return before_N


@dataclass(frozen=True, slots=True)
class _StepBatch:
    """The part of a batch that one step learns from. Columns run over all N tokens of the table."""

    batch: Batch
    live: Sequence[Row]
    """The parts of the rows that must be computed: the turns with a gradient, and what leads to them."""
    still: Sequence[Row]
    """The same for the step's other turns."""
    chosen_N: NDArray[np.int64]
    """The table's entries that belong to the step."""
    place_N: NDArray[np.int64]
    """Place of each entry among the chosen ones, -1 for others."""
    weight_N: Values
    """Of each token's loss; 0 for those not chosen."""
    advantage_N: Values
    fresh: bool
    """Whether ratios are to the policy as it is."""
    logp_N: NDArray[np.float32] | None = None
    """Under the weights before the step, where something is fitted to it."""

    @classmethod
    def of(cls, batch: Batch, step: Step, objective: Objective) -> _StepBatch:
        tokens = batch.tokens
        weight_N = _turn_weights(batch.turns, step.rows, objective.aggregation)[tokens.turn_N]
        factor_N = 1.0 if step.factor_R is None else step.factor_R[tokens.turn_N]
        advantage_N = batch.advantage_N * factor_N
        needs_all = (
            bool(objective.regularisers) or objective.fits_uncredited or (step.fresh and objective.fits)
        )
        active_N = (weight_N > 0) & ((advantage_N != 0) | needs_all)
        chosen_N = np.flatnonzero(weight_N > 0)
        place_N = np.full(len(tokens), -1)
        place_N[chosen_N] = np.arange(len(chosen_N))
        chosen_R, live_R = np.zeros((2, len(batch.turns.turn_R)), np.bool_)
        chosen_R[tokens.turn_N[chosen_N]] = True
        live_R[tokens.turn_N[active_N]] = True
        live, still = (rows_of(batch.rows, turns_R) for turns_R in (live_R, chosen_R & ~live_R))
        return cls(batch, live, still, chosen_N, place_N, weight_N, advantage_N, step.fresh)

    def score(
        self, model: PreTrainedModel, rows: Sequence[Row], temperature: float, limits: Limits
    ) -> Floats:
        """Return the log-probabilities of the rows' trained tokens, NaN for other tokens, shape (N,)."""
        return score_tokens(
            model,
            rows,
            len(self.weight_N),
            temperature=temperature,
            tokens_per_microbatch=limits.tokens_per_microbatch,
        ).logp_N

    def all_tokens(self, device: torch.device) -> TokenBatch:
        """Return all the step's tokens with the weights as they are, for the parts that take statistics."""
        logp_N = np.full(len(self.weight_N), np.nan, np.float32) if self.logp_N is None else self.logp_N
        return self.tokens(self.chosen_N, torch.from_numpy(logp_N[self.chosen_N]).to(device))

    def tokens(self, token_N: NDArray[np.int64], logp_N: Tensor) -> TokenBatch:
        """Return what the loss sees of the table's entries `token_N`."""
        table, turns = self.batch.tokens, self.batch.turns
        turn_N = table.turn_N[token_N]
        trajectory_N = turns.trajectory_R[turn_N]

        def column(values_N: NDArray[np.generic] | None) -> Tensor | None:
            return None if values_N is None else torch.as_tensor(values_N[token_N], device=logp_N.device)

        def index(values_N: Indices) -> Tensor:
            return torch.from_numpy(values_N).to(logp_N.device)

        old_logp_N = torch.from_numpy(table.old_logp_N[token_N]).to(logp_N.device)
        return TokenBatch(
            logp_N=logp_N,
            old_logp_N=logp_N.detach() if self.fresh else old_logp_N,
            advantage_N=torch.from_numpy(self.advantage_N[token_N].astype(np.float32)).to(logp_N.device),
            turn_N=index(turn_N),
            trajectory_N=index(trajectory_N),
            group_N=index(turns.group_T[trajectory_N]),
            token_N=index(self.place_N[token_N]),
            sampler_logp_N=column(table.sampler_logp_N),
            guided_N=column(table.guided_N),
            entropy_N=column(table.entropy_N),
            reference_logp_N=column(table.reference_logp_N),
            teacher_logp_N=column(table.teacher_logp_N),
            staleness_N=column(table.staleness(self.batch.iteration)),
            iteration=self.batch.iteration,
        )


def predict(model: PreTrainedModel, rows: Sequence[Row], weight: float, tokens_per_microbatch: int) -> float:
    """Add the gradient of `weight` x the mean cross-entropy of the rows' trained tokens; return the latter, in
    nats."""
    count = sum(len(row.target) for row in rows)
    total = 0.0
    for micro in micro_batches(rows, tokens_per_microbatch, model.device):
        loss = cross_entropy(forward_logits(model, micro), micro.target_ids_N, reduction="sum") / count
        (weight * loss).backward()
        total += float(loss.detach())
    return total


def _turn_weights(turns: TurnTable, chosen: Indices, aggregation: Aggregation) -> Values:
    """Return each turn's token weight, zero for the turns not chosen, shape (R,)."""
    _, trajectory = np.unique(turns.trajectory_R[chosen], return_inverse=True)
    length_R = torch.from_numpy(turns.tokens_R[chosen])
    trajectory_R = torch.from_numpy(trajectory.astype(np.int64))
    weight_R = np.zeros(len(turns.tokens_R))
    weight_R[chosen] = aggregation.weights(length_R, trajectory_R).numpy()
    return weight_R


def _micro_loss(
    model: PreTrainedModel, micro: MicroBatch, step: _StepBatch, objective: Objective, tally: Tally
) -> tuple[Tensor, Tensor]:
    """Return weighted loss and log-probability of each token of a micro-batch, with gradient."""
    raw_NV = forward_logits(model, micro)
    logp_NV = (raw_NV / objective.temperature).log_softmax(-1)
    with torch.set_grad_enabled(objective.differentiates_entropy):
        entropy_N = entropy_of(logp_NV)
    teacher = step.batch.teacher
    tokens = replace(
        step.tokens(micro.token_N, logp_of(logp_NV, micro.target_ids_N)),
        entropy_N=entropy_N,
        logits_NV=raw_NV if "distributions" in objective.needs else None,
        teacher_logits_NV=teacher(micro) if teacher and "teacher_distributions" in objective.needs else None,
    )
    loss = objective(tokens)
    tally.count(tokens, len(micro.ids_L), loss)
    if step.batch.used is not None:
        step.batch.used.note(micro.token_N, tokens, loss)
    weight_N = torch.from_numpy(step.weight_N[micro.token_N].astype(np.float32)).to(raw_NV.device)
    columns = {
        "advantage": tokens.advantage_N,
        "log-probability": tokens.logp_N,
        "old log-probability": tokens.old_logp_N,
        "ratio": loss.log_ratio_N.exp(),
        "loss": loss.loss_N,
    }
    check_tokens(micro, columns, weight_N, step.batch.tokens, step.batch.turns, step.batch.episodes)
    return torch.where(weight_N > 0, loss.loss_N * weight_N, 0.0), tokens.logp_N
