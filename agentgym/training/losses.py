"""The policy loss: ratio x clip + regularisers, aggregated.

Everything works on flat tensors of trained tokens, without padding. Legend: N trained tokens, R turns,
T trajectories. `turn_N` gives each token's turn, `trajectory_R` each turn's trajectory.

`aggregation` turns the per-token losses into one number by fixed weights that are computed once for the
whole batch, so splitting the batch into micro-batches changes nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from agentgym.training.parts import Part


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """What the loss sees of N trained tokens. Log-probabilities in nats, at the sampling temperature."""

    logp_N: Tensor
    """Under the current parameters; carries the gradient."""
    old_logp_N: Tensor
    """Under the policy that is the ratio's denominator."""
    advantage_N: Tensor
    turn_N: Tensor
    """Index of each token's turn, 0..R-1 within this batch."""
    entropy_N: Tensor | None = None
    """Entropy of the current distribution at each token; present if a regulariser asks for it."""
    reference_logp_N: Tensor | None = None
    """Under the reference policy; present if a regulariser asks for it."""


class Ratio(Part, kind="ratio"):
    """What importance ratio a token's loss uses."""

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the log of the ratio for each token, shape (N,), with gradient."""


class TokenRatio(Ratio, name="token"):
    """Each token's own ratio (PPO)."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return logp - old, clamped to [-20, 20] as verl does, shape (N,)."""
        return (batch.logp_N - batch.old_logp_N).clamp(-20.0, 20.0)


class TurnRatio(Ratio, name="turn"):
    """The geometric mean of the ratios of a turn's tokens (GSPO, arXiv 2507.18071, eq. 7 and GSPO-token)."""

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the mean log-ratio of each token's turn, shape (N,).

        The gradient reaches each token through its own log-probability, so that per-token weights of
        the aggregation act as in GSPO-token.
        """
        difference_N = (batch.logp_N - batch.old_logp_N).detach()
        turns = int(batch.turn_N.max()) + 1 if len(batch.turn_N) else 0
        zero_R = difference_N.new_zeros(turns)
        total_R = zero_R.index_add(0, batch.turn_N, difference_N)
        length_R = zero_R.index_add(0, batch.turn_N, torch.ones_like(difference_N))
        mean_N = (total_R / length_R.clamp(min=1.0))[batch.turn_N]
        return (batch.logp_N - batch.logp_N.detach() + mean_N).clamp(max=10.0)


class Clipped(NamedTuple):
    """Per-token losses, and which tokens lost their gradient to the clip; both of shape (N,)."""

    loss_N: Tensor
    clipped_N: Tensor


class Clip(Part, kind="clip"):
    """How the ratio's pull is bounded."""

    @abstractmethod
    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return the loss of each token and whether it was clipped."""


class NoClip(Clip, name="none"):
    """The plain importance-weighted policy gradient, -A x ratio."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return -A x ratio; nothing is clipped."""
        loss_N = -batch.advantage_N * log_ratio_N.exp()
        return Clipped(loss_N, torch.zeros_like(loss_N, dtype=torch.bool))


class PpoClip(Clip, name="ppo"):
    """PPO's clip (arXiv 1707.06347, eq. 7) with separate bounds (DAPO, arXiv 2503.14476) and dual clip
    (arXiv 1912.09729, eq. 5).
    """

    low: float = Field(default=0.2, ge=0, le=1)
    """The ratio is clipped below 1 - low."""
    high: float = Field(default=0.2, ge=0)
    """The ratio is clipped above 1 + high."""
    dual: float = Field(default=3.0, ge=0)
    """Bound on the ratio where the advantage is negative; 0 leaves it out."""

    def __call__(self, log_ratio_N: Tensor, batch: TokenBatch) -> Clipped:
        """Return max(-A rho, -A clip(rho)), for A < 0 at most -A x dual."""
        ratio_N, advantage_N = log_ratio_N.exp(), batch.advantage_N
        free_N = -advantage_N * ratio_N
        bound_N = -advantage_N * ratio_N.clamp(1.0 - self.low, 1.0 + self.high)
        loss_N = torch.maximum(free_N, bound_N)
        clipped_N = bound_N > free_N
        if self.dual:
            ceiling_N = -advantage_N * self.dual
            over_N = (advantage_N < 0) & (loss_N > ceiling_N)
            loss_N = torch.where(over_N, ceiling_N, loss_N)
            clipped_N = clipped_N | over_N
        return Clipped(loss_N, clipped_N)


class Regulariser(Part, kind="regulariser"):
    """A term added to each token's loss."""

    coefficient: float = Field(ge=0)
    needs_reference: ClassVar[bool] = False
    needs_entropy: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the term without its coefficient, shape (N,)."""


class Kl(Regulariser, name="kl"):
    """Divergence from the reference policy, by one of Schulman's estimators (http://joschu.net/blog/kl-approx.html)."""

    estimator: Literal["k1", "k2", "k3"] = "k3"
    needs_reference = True

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return the estimator's value for each token, shape (N,)."""
        if batch.reference_logp_N is None:
            raise ValueError("the kl regulariser needs reference log-probabilities in the batch")
        return kl_estimate(batch.logp_N, batch.reference_logp_N, self.estimator)


class Entropy(Regulariser, name="entropy"):
    """Reward for an undecided distribution: minus its entropy, in nats."""

    needs_entropy = True

    def __call__(self, batch: TokenBatch) -> Tensor:
        """Return minus the entropy of each token's distribution, shape (N,)."""
        if batch.entropy_N is None:
            raise ValueError("the entropy regulariser needs entropies in the batch")
        return -batch.entropy_N


def kl_estimate(logp: Tensor, reference: Tensor, estimator: Literal["k1", "k2", "k3"]) -> Tensor:
    """Estimate KL(policy || reference) per sampled token; same shape as `logp`.

    With d = logp - reference: k1 = d, k2 = d^2 / 2, k3 = exp(-d) + d - 1; k3 with verl's clamps (-d to
    [-20, 20], the result to [-10, 10]).
    """
    difference = logp - reference
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference.square() / 2
    inverse = (-difference).clamp(-20.0, 20.0)
    return (inverse.exp() - inverse - 1.0).clamp(-10.0, 10.0)


class Aggregation(Part, kind="aggregation"):
    """How token losses become one number."""

    @abstractmethod
    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return the weight of each token of a turn, shape (R,): loss = sum over tokens of weight x loss.

        `length_R` counts each turn's trained tokens; turns without any weigh nothing.
        """


class TokenMean(Aggregation, name="token_mean"):
    """Every token of the batch counts the same (DAPO; verl's `token-mean`)."""

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (tokens in the batch) for each turn."""
        return torch.ones_like(length_R, dtype=torch.float32) / length_R.sum().clamp(min=1)


class TurnMean(Aggregation, name="turn_mean"):
    """The mean over turns of the mean over a turn's tokens (GRPO's per-sample length norm on turn rows)."""

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (turns with tokens x tokens of the turn)."""
        return 1.0 / (length_R.float().clamp(min=1) * (length_R > 0).sum().clamp(min=1))


class RolloutMean(Aggregation, name="rollout_mean"):
    """The mean over trajectories of the mean over a trajectory's tokens: long episodes weigh no more."""

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (trajectories with tokens x tokens of the trajectory)."""
        total_T = _trajectory_tokens(length_R, trajectory_R)
        return 1.0 / (total_T.float().clamp(min=1)[trajectory_R] * (total_T > 0).sum().clamp(min=1))


class Constant(Aggregation, name="constant"):
    """The sum over tokens divided by trajectories x `tokens`: no length enters (Dr.GRPO, arXiv 2503.20783).

    The released verl form leaves out the division by the number of rows, which makes the step grow with
    the batch.
    """

    tokens: int = Field(default=256, ge=1)

    def weights(self, length_R: Tensor, trajectory_R: Tensor) -> Tensor:
        """Return 1 / (trajectories with tokens x `tokens`) for each turn."""
        filled = int((_trajectory_tokens(length_R, trajectory_R) > 0).sum())
        return torch.full_like(length_R, 1.0 / (max(filled, 1) * self.tokens), dtype=torch.float32)


def _trajectory_tokens(length_R: Tensor, trajectory_R: Tensor) -> Tensor:
    """Return the number of trained tokens of each trajectory, shape (T,)."""
    trajectories = int(trajectory_R.max()) + 1 if len(trajectory_R) else 0
    return length_R.new_zeros(trajectories).index_add(0, trajectory_R, length_R)
